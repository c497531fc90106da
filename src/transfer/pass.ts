import { IngotError, toErrorBody, toIngotError } from '../kernel/errors.ts';
import { type Checkpoint, verifyPartials } from './checkpoint.ts';
import { CHUNK_BYTES, type Chunk, type Lease, sharedPool } from './chunk-pool.ts';
import { type Algorithm, Digest } from './digest.ts';
import type { FanOut } from './fan-out.ts';
import type { Body, SourceFacts } from './source.ts';

/** Looks at the bytes as they pass, in order. */
export interface Inspector {
  /** The chunk's memory is used again after the call. May throw to end the transfer. */
  write(chunk: Uint8Array): void;
}

export interface CheckpointPolicy {
  /** A checkpoint is due after so many bytes, */
  bytes: number;
  /** or so many milliseconds, whichever comes first. */
  milliseconds: number;
}

export interface PassContext<I extends Inspector> {
  fanOut: FanOut;
  /** Called at each beginning at the first byte, with what the source has said of its bytes. */
  inspect: (facts: SourceFacts) => I;
  /** Whether its MD5 is wanted too. */
  md5: boolean;
  checkpointPolicy: CheckpointPolicy;
  onCheckpoint: (checkpoint: Checkpoint) => Promise<void>;
  /** Told why a checkpoint could not be kept; the transfer goes on. */
  onCheckpointFailure: (error: IngotError) => void;
  /** Told of every batch of bytes, often. */
  onArrival: (position: number) => void;
  /** Told for how many milliseconds the source was not asked for bytes, as there was no memory for them. */
  onHeldUp: (milliseconds: number) => void;
  /** Ends the transfer with the reason. */
  stop: (reason: unknown) => void;
  signal: AbortSignal;
}

/** A chunk that isn't full goes on after so many milliseconds, so that a slow source holds little of the pool. */
const HAND_OVER_AFTER = 2000;

/** One way of the bytes from the source's first to its last: each chunk to inspector, digests and sinks. */
export class Pass<I extends Inspector> {
  readonly #context: PassContext<I>;
  readonly #lease: Lease = sharedPool().lease();
  readonly #underWay = new Set<Promise<void>>();
  /** There as soon as a beginning was made. */
  #inspector: I | undefined;
  #digest: Digest<Algorithm>;
  #facts: SourceFacts = {};
  #position = 0;
  #checkpoint: Promise<void> | undefined;
  /** Whether the last one could not be kept. */
  #checkpointFailed = false;
  #checkpointedAt = { position: 0, time: Date.now() };

  constructor(context: PassContext<I>) {
    this.#context = context;
    this.#digest = newDigest(context);
  }

  /** Bytes taken so far. */
  get position(): number {
    return this.#position;
  }

  /** What is known of the source so far. */
  get facts(): SourceFacts {
    return this.#facts;
  }

  /**
   * Goes on from a checkpoint with the sinks that hold its bytes, and without the others; from 0 with all of them
   * where none does. Fulfilled with the offset.
   */
  async resume(checkpoint: Checkpoint): Promise<number> {
    const { fanOut, signal, inspect } = this.#context;
    for (let seen = false; !seen; ) {
      const { sinks } = fanOut;
      this.#inspector = inspect(checkpoint.source);
      const unsound = await verifyPartials(
        checkpoint,
        sinks,
        this.#lease,
        (chunk, length) => this.#take(chunk, length, false),
        () => this.#digest.prefix('sha256'),
        signal,
      );
      if (unsound.size === sinks.length) {
        await this.#reset();
        return 0;
      }
      for (const [sink, error] of unsound) fanOut.drop(sink, error);
      // The digest and the inspector have seen what the first one holds, and are to see what is right.
      seen = sinks[0] !== undefined && !unsound.has(sinks[0]);
      if (!seen) await this.#reset();
    }
    this.#facts = checkpoint.source;
    await fanOut.open({ resumeAt: checkpoint.offset, ...sizeOf(this.#facts) });
    this.#markCheckpoint();
    return checkpoint.offset;
  }

  /** Begins at the source's first byte, again if need be: nothing of an earlier beginning counts. */
  async begin(facts: SourceFacts): Promise<void> {
    if (this.#position > 0) await this.#reset();
    this.#facts = facts;
    this.#inspector = this.#context.inspect(facts);
    await this.#context.fanOut.open(sizeOf(facts));
  }

  /** Takes facts that a source adds when it goes on. */
  learn(facts: SourceFacts): void {
    this.#facts = facts;
  }

  /** Takes the body to its end. Rejects as the body does, or when the transfer was stopped. */
  async take(body: Body): Promise<void> {
    const { signal, onArrival, onHeldUp } = this.#context;
    for (let state = 'more'; state !== 'end'; ) {
      const wanted = performance.now();
      const chunk = await this.#lease.acquire(signal);
      onHeldUp(performance.now() - wanted);
      // Up to the next boundary, so that chunks come to lie aligned again after one that was cut short.
      const target = chunk.bytes.subarray(0, CHUNK_BYTES - (this.#position % CHUNK_BYTES));
      const due = Date.now() + HAND_OVER_AFTER;
      let filled = 0;
      try {
        state = await body.fill(target, (bytes) => {
          filled += bytes;
          onArrival(this.#position + filled);
          return Date.now() < due;
        });
      } finally {
        this.#take(chunk, filled, true);
      }
      signal.throwIfAborted();
      this.#checkpointIfDue();
    }
  }

  /** After the last byte: fulfilled when everything is digested, inspected, written and durable. */
  async finish(): Promise<{ sha256: string; md5: string; inspector: I }> {
    const { fanOut } = this.#context;
    await this.#settled();
    await fanOut.checkSize(this.#position);
    await fanOut.flush();
    await fanOut.settled();
    this.#context.signal.throwIfAborted();
    const { sha256, md5 = '' } = await this.#digest.end();
    this.#lease.close();
    return { sha256, md5, inspector: this.#inspector as I };
  }

  /** Ends it before its time. With `keep`, what was taken is left for a later `resume`. */
  async abandon({ keep }: { keep: boolean }): Promise<void> {
    await this.#settled();
    const open = this.#checkpointFailed || this.#position > this.#checkpointedAt.position;
    if (keep && open) await this.#writeCheckpoint().catch(() => {});
    await this.#context.fanOut.abort({ keep });
    await this.#digest.end().catch(() => {});
    this.#lease.close();
  }

  #take(chunk: Chunk, length: number, write: boolean): void {
    if (length === 0 || this.#context.signal.aborted) {
      this.#lease.release(chunk);
      return;
    }
    const bytes = chunk.bytes.subarray(0, length);
    this.#position += length;
    const users = [this.#digest.update(chunk, length)];
    if (write) users.push(this.#context.fanOut.write(bytes));
    try {
      this.#inspector?.write(bytes);
    } catch (thrown) {
      this.#context.stop(thrown);
    }
    const done = Promise.allSettled(users).then(([digested]) => {
      this.#underWay.delete(done);
      this.#lease.release(chunk);
      if (digested?.status === 'rejected') this.#context.stop(digested.reason);
    });
    this.#underWay.add(done);
  }

  /** Fulfilled when no chunk and no checkpoint is under way. */
  async #settled(): Promise<void> {
    await Promise.all(this.#underWay);
    await this.#checkpoint;
  }

  async #reset(): Promise<void> {
    await this.#settled();
    await this.#digest.end();
    this.#digest = newDigest(this.#context);
    this.#inspector = undefined;
    this.#position = 0;
    this.#facts = {};
    this.#markCheckpoint();
  }

  #checkpointIfDue(): void {
    const { checkpointPolicy, stop, onCheckpointFailure } = this.#context;
    const bytes = this.#position - this.#checkpointedAt.position;
    const milliseconds = Date.now() - this.#checkpointedAt.time;
    if (this.#checkpoint || bytes === 0) return;
    if (bytes < checkpointPolicy.bytes && milliseconds < checkpointPolicy.milliseconds) return;
    this.#checkpoint = this.#writeCheckpoint()
      .then(
        () => {
          this.#checkpointFailed = false;
        },
        (error) => {
          this.#checkpointFailed = true;
          if (error instanceof IngotError) stop(error);
          else onCheckpointFailure(toIngotError(error));
        },
      )
      .finally(() => {
        this.#checkpoint = undefined;
      });
  }

  /** Bytes that arrive meanwhile go on being written; the checkpoint is of those taken when it was begun. */
  async #writeCheckpoint(): Promise<void> {
    const { fanOut, onCheckpoint } = this.#context;
    if (fanOut.sinks.length === 0) return;
    const offset = this.#position;
    this.#markCheckpoint();
    const prefix = this.#digest.prefix('sha256');
    const [sha256] = await Promise.all([
      prefix,
      fanOut.flush(),
      fanOut.checkSize(this.#facts.totalSize ?? offset),
    ]);
    const failures = [...fanOut.failures].map(([id, error]) => [id, toErrorBody(error)]);
    await onCheckpoint({
      offset,
      sha256,
      source: this.#facts,
      ...(failures.length > 0 && { failures: Object.fromEntries(failures) }),
    });
  }

  #markCheckpoint(): void {
    this.#checkpointedAt = { position: this.#position, time: Date.now() };
  }
}

function sizeOf(facts: SourceFacts): { expectedSize?: number } {
  return facts.totalSize === undefined ? {} : { expectedSize: facts.totalSize };
}

function newDigest({ md5 }: { md5: boolean }): Digest<Algorithm> {
  return new Digest<Algorithm>(md5 ? ['sha256', 'md5'] : ['sha256']);
}
