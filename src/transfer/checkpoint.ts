import { type ErrorBody, IngotError, toIngotError } from '../kernel/errors.ts';
import type { Chunk, Lease } from './chunk-pool.ts';
import { Digest } from './digest.ts';
import type { Sink } from './sink.ts';
import type { SourceFacts } from './source.ts';

/** How far a transfer had come, as JSON for its owner to keep until the next start. */
export interface Checkpoint {
  /** Bytes that every sink that is left holds durably. */
  offset: number;
  /** Digest in hex of the first `offset` bytes. */
  sha256: string;
  source: SourceFacts;
  /** Sinks that had been dropped by then, by id, and why. */
  failures?: Record<string, ErrorBody>;
}

/** Takes bytes that lie in a chunk; the chunk is released by whoever takes it. */
export type TakeChunk = (chunk: Chunk, length: number) => void;

/**
 * Reads again what each sink holds of a transfer that was interrupted. Fulfilled with those that don't hold
 * exactly the checkpoint's bytes, and why. What the first sink holds is handed to `take` on the way, so that digests and
 * inspection can go on from there.
 */
export async function verifyPartials(
  checkpoint: Checkpoint,
  sinks: readonly Sink[],
  lease: Lease,
  take: TakeChunk,
  prefixOfTaken: () => Promise<string>,
  signal: AbortSignal,
): Promise<Map<Sink, IngotError>> {
  const digests = sinks.map(async (sink, index) => {
    if (index === 0) {
      await readPartial(sink, checkpoint.offset, lease, take, signal);
      return prefixOfTaken();
    }
    return digestPartial(sink, checkpoint.offset, lease, signal);
  });
  const settled = await Promise.allSettled(digests);
  signal.throwIfAborted();
  const unsound = new Map<Sink, IngotError>();
  for (const [index, sink] of sinks.entries()) {
    const one = settled[index];
    // One that can't be read holds nothing to go on from.
    if (one?.status === 'rejected') unsound.set(sink, toIngotError(one.reason));
    else if (one?.value !== checkpoint.sha256) unsound.set(sink, differs(checkpoint));
  }
  return unsound;
}

function differs({ offset }: Checkpoint): IngotError {
  return new IngotError('BS.1000', `the first ${offset} bytes that were written are not there any more`, {
    retryable: true,
  });
}

async function digestPartial(sink: Sink, end: number, lease: Lease, signal: AbortSignal): Promise<string> {
  const digest = new Digest(['sha256']);
  const take: TakeChunk = (chunk, length) => {
    // A failure shows again at the end.
    digest.update(chunk, length).then(
      () => lease.release(chunk),
      () => lease.release(chunk),
    );
  };
  let sha256 = '';
  try {
    await readPartial(sink, end, lease, take, signal);
  } finally {
    ({ sha256 } = await digest.end());
  }
  return sha256;
}

async function readPartial(
  sink: Sink,
  end: number,
  lease: Lease,
  take: TakeChunk,
  signal: AbortSignal,
): Promise<void> {
  let chunk: Chunk | undefined;
  let filled = 0;
  try {
    for await (const piece of sink.readPartial({ start: 0, end })) {
      for (let at = 0; at < piece.length; ) {
        chunk ??= await lease.acquire(signal);
        const part = piece.subarray(at, at + chunk.bytes.length - filled);
        chunk.bytes.set(part, filled);
        filled += part.length;
        at += part.length;
        if (filled < chunk.bytes.length) continue;
        take(chunk, filled);
        chunk = undefined;
        filled = 0;
      }
    }
  } finally {
    if (chunk) take(chunk, filled);
  }
}
