import { setTimeout as delay } from 'node:timers/promises';
import { fromErrorBody, IngotError } from '../kernel/errors.ts';
import type { Checkpoint } from './checkpoint.ts';
import { FanOut } from './fan-out.ts';
import { type LeastPace, Pace } from './pace.ts';
import { type CheckpointPolicy, type Inspector, Pass } from './pass.ts';
import type { Sink, Writer } from './sink.ts';
import { type OpenedSource, type Source, SourceBreak, type SourceFacts } from './source.ts';

/** Reason to abort a transfer with when the service stops: what was written is kept for the next start. */
export const SHUTDOWN = 'shutdown';

export interface TransferProgress {
  /** Bytes taken so far; falls back to 0 when the source had to be read anew. */
  bytes: number;
  /** Bytes in all, where the source says. */
  total?: number;
  /** Of `bytes`, those that an earlier attempt had brought. */
  resumedBytes: number;
}

/** What a log should tell of a transfer's way. */
export type TransferEvent =
  | { kind: 'break'; error: IngotError; offset: number; waitMilliseconds: number; tryNumber: number }
  | { kind: 'resume'; offset: number }
  | { kind: 'restart'; discardedBytes: number }
  | { kind: 'sink-failed'; id: string; error: IngotError }
  | { kind: 'checkpoint-failed'; error: IngotError };

export interface TransferRequest<I extends Inspector> {
  source: Source;
  sinks: readonly Sink[];
  /** Whether its MD5 is wanted too, the slowest of digests; true by default. */
  md5?: boolean;
  /** Called at each beginning at the first byte, with what the source has said of its bytes. */
  inspect: (facts: SourceFacts) => I;
  /** Ends the transfer. With the reason SHUTDOWN its parts are kept, otherwise they are removed. */
  signal: AbortSignal;
  /** The last one that an interrupted run of this transfer gave to `onCheckpoint`. */
  checkpoint?: Checkpoint;
  /**
   * Rejects with an IngotError to end the transfer. Any other error, such as a database's that is away for a
   * moment, costs the checkpoint alone: the next one tries again.
   */
  onCheckpoint: (checkpoint: Checkpoint) => Promise<void>;
  /** At most five times a second, and at the end. */
  onProgress?: (progress: TransferProgress) => void;
  onEvent?: (event: TransferEvent) => void;
  /** What the source has to give at the least; without it, a byte now and then will do. */
  pace?: LeastPace | undefined;
  /** May throw to refuse a size: called when the source says it, else with the bytes so far as they come. */
  checkSize?: (bytes: number) => void;
  /** Every 64 MiB and every 2 s by default. */
  checkpointPolicy?: Partial<CheckpointPolicy>;
}

export interface TransferResult<I extends Inspector> {
  bytes: number;
  /** Digests in hex of all bytes; no MD5 where that was not wanted. */
  sha256: string;
  md5: string;
  resumedBytes: number;
  /** Of the sinks that have all bytes, durable but not visible yet: the caller owes each a commit or an abort. */
  writers: Map<string, Writer>;
  /** Why other sinks were dropped, by id. */
  failures: Map<string, IngotError>;
  /** The one that has seen all bytes. */
  inspector: I;
  source: SourceFacts;
}

const CHECKPOINT_POLICY: CheckpointPolicy = { bytes: 64 * 1024 * 1024, milliseconds: 2000 };
const PROGRESS_INTERVAL = 200;

/**
 * Takes a source's bytes to all sinks in one pass and in bounded memory, digesting and inspecting them on the
 * way. A sink that fails is dropped; a source that breaks is taken up where it broke, or from its first byte
 * if that is no longer possible. When it rejects, nothing is left anywhere, except after SHUTDOWN.
 */
export async function transfer<I extends Inspector>(request: TransferRequest<I>): Promise<TransferResult<I>> {
  const run = new Run(request);
  try {
    return await run.toEnd();
  } catch (thrown) {
    throw await run.giveUp(thrown);
  }
}

class Run<I extends Inspector> {
  readonly #request: TransferRequest<I>;
  /** Aborted by the caller, or by a part of the transfer that can't go on. */
  readonly #signal: AbortSignal;
  readonly #stop = new AbortController();
  readonly #fanOut: FanOut;
  readonly #pass: Pass<I>;
  #pace: Pace | undefined;
  #resumedBytes = 0;
  #reportedAt = 0;

  constructor(request: TransferRequest<I>) {
    const { sinks, checkpointPolicy } = request;
    this.#request = request;
    this.#signal = AbortSignal.any([request.signal, this.#stop.signal]);
    const stop = (reason: unknown) => this.#stop.abort(reason);
    this.#fanOut = new FanOut(sinks, {
      onFailure: (id, error) => request.onEvent?.({ kind: 'sink-failed', id, error }),
      onAllFailed: stop,
    });
    this.#pass = new Pass({
      fanOut: this.#fanOut,
      inspect: request.inspect,
      md5: request.md5 ?? true,
      checkpointPolicy: { ...CHECKPOINT_POLICY, ...checkpointPolicy },
      onCheckpoint: request.onCheckpoint,
      onCheckpointFailure: (error) => request.onEvent?.({ kind: 'checkpoint-failed', error }),
      onArrival: (position) => this.#arrived(position),
      onHeldUp: (milliseconds) => this.#pace?.excuse(milliseconds),
      signal: this.#signal,
      stop,
    });
  }

  async toEnd(): Promise<TransferResult<I>> {
    const { checkpoint } = this.#request;
    this.#signal.throwIfAborted();
    if (checkpoint && checkpoint.offset > 0) {
      for (const [id, body] of Object.entries(checkpoint.failures ?? {})) {
        this.#fanOut.exclude(id, fromErrorBody(body));
      }
      this.#resumedBytes = await this.#pass.resume(checkpoint);
      this.#signal.throwIfAborted();
    }
    if (!this.#isComplete()) await this.#takeAll();
    const { sha256, md5, inspector } = await this.#pass.finish();
    this.#report(this.#pass.position);
    return {
      bytes: this.#pass.position,
      sha256,
      md5,
      resumedBytes: this.#resumedBytes,
      writers: this.#fanOut.writers,
      failures: this.#fanOut.failures,
      inspector,
      source: this.#pass.facts,
    };
  }

  /** Cleans up; fulfilled with the error to throw. */
  async giveUp(thrown: unknown): Promise<unknown> {
    const shutdown = this.#request.signal.reason === SHUTDOWN;
    const reason = this.#signal.aborted ? this.#signal.reason : thrown;
    // Whatever is still under way must see that it is over.
    this.#stop.abort(reason);
    await this.#pass.abandon({ keep: shutdown });
    if (shutdown) {
      return new IngotError(
        'LONG_JOB.1002',
        'The service is stopping; the transfer goes on at its next start.',
        {
          retryable: true,
        },
      );
    }
    if (reason instanceof IngotError) return reason;
    if (this.#request.signal.aborted) return new IngotError('SYS.1017', 'The transfer was cancelled.');
    return reason;
  }

  /** Reads the source to its end, however often it breaks, as long as new bytes come. */
  async #takeAll(): Promise<void> {
    const { source, pace } = this.#request;
    let furthest = this.#pass.position;
    if (pace) this.#pace = new Pace(pace, source.label, furthest);
    for (let tries = 0; ; ) {
      try {
        await this.#takeOnce();
        return;
      } catch (thrown) {
        this.#signal.throwIfAborted();
        if (!(thrown instanceof SourceBreak)) throw thrown;
        // Bytes that had come before are no progress, or a server without ranges could break for ever.
        if (this.#pass.position > furthest) tries = 0;
        furthest = Math.max(furthest, this.#pass.position);
        // Few tries are enough to see that nothing is there, but not to wait for a server that was.
        const limit = furthest > 0 ? source.retry.tries : (thrown.tries ?? source.retry.tries);
        if (tries >= Math.min(limit, source.retry.tries)) throw thrown.error;
        tries++;
        await this.#pause(thrown, tries);
      }
    }
  }

  async #takeOnce(): Promise<void> {
    const pass = this.#pass;
    const offset = pass.position;
    const opened = await this.#request.source.open({ offset, facts: pass.facts, signal: this.#signal });
    try {
      if (opened.facts.totalSize !== undefined) this.#request.checkSize?.(opened.facts.totalSize);
      await this.#adopt(opened);
      this.#signal.throwIfAborted();
      this.#pace?.opened();
      await pass.take(opened.body);
    } finally {
      opened.body.close();
    }
    const { totalSize } = pass.facts;
    if (totalSize === undefined) {
      pass.learn({ ...pass.facts, totalSize: pass.position });
    } else if (pass.position !== totalSize) {
      const details = `${this.#request.source.label} ended after ${pass.position} bytes, but said it has ${totalSize}.`;
      throw new SourceBreak(new IngotError('SYS.1015', details, { retryable: true }));
    }
  }

  /** Goes on where the source does. */
  async #adopt({ offset, facts }: OpenedSource): Promise<void> {
    const { onEvent } = this.#request;
    const begun = this.#pass.position;
    if (offset > 0) {
      this.#pass.learn(facts);
      onEvent?.({ kind: 'resume', offset });
      return;
    }
    if (begun > 0) onEvent?.({ kind: 'restart', discardedBytes: begun });
    this.#resumedBytes = 0;
    await this.#pass.begin(facts);
  }

  /** Waits longer from try to try, with some chance in it, so that many clients don't come back as one. */
  async #pause(broken: SourceBreak, tryNumber: number): Promise<void> {
    const { baseDelay, maxDelay } = this.#request.source.retry;
    const backoff = Math.min(maxDelay, baseDelay * 2 ** (tryNumber - 1)) * (0.5 + Math.random() / 2);
    const waitMilliseconds = Math.round(Math.max(backoff, broken.wait ?? 0));
    this.#request.onEvent?.({
      kind: 'break',
      error: broken.error,
      offset: this.#pass.position,
      waitMilliseconds,
      tryNumber,
    });
    await delay(waitMilliseconds, undefined, { signal: this.#signal });
  }

  #isComplete(): boolean {
    return this.#pass.position > 0 && this.#pass.position === this.#pass.facts.totalSize;
  }

  #arrived(position: number): void {
    try {
      this.#pace?.arrived(position);
      if (this.#pass.facts.totalSize === undefined) this.#request.checkSize?.(position);
    } catch (thrown) {
      this.#stop.abort(thrown);
    }
    const now = Date.now();
    if (now - this.#reportedAt < PROGRESS_INTERVAL) return;
    this.#reportedAt = now;
    this.#report(position);
  }

  #report(bytes: number): void {
    const total = this.#pass.facts.totalSize;
    this.#request.onProgress?.({
      bytes,
      ...(total !== undefined && { total }),
      resumedBytes: this.#resumedBytes,
    });
  }
}
