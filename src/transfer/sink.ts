/**
 * Where a transfer's bytes go. A backup storage driver's writer is one; nothing here knows what a backup
 * storage is. Offsets and sizes are bytes.
 */

/** Writes one object from its first byte to its last. Not safe for two writers of one object. */
export interface Writer {
  /** Bytes that are there already: 0, or more where it was opened to continue. */
  readonly offset: number;
  /**
   * Appends the chunk. When the promise is fulfilled, the chunk's memory may be used again. Several writes
   * may be under way at once; they land in the order of the calls.
   */
  write(chunk: Uint8Array): Promise<void>;
  /** When it is fulfilled, all bytes written before the call survive the death of the machine. */
  flush(): Promise<void>;
  /**
   * Makes the object visible under its path, all of it or nothing, durable when fulfilled. An object that
   * was there before is replaced. When it is rejected, the writer is still open and owes an `abort`.
   */
  commit(options?: CommitOptions): Promise<void>;
  /**
   * Stops, once the writes under way have ended. With `keep`, the bytes stay for a later writer with
   * `resumeAt`; otherwise nothing stays.
   */
  abort(options?: { keep?: boolean }): Promise<void>;
}

/** The steps of a writer (kernel/steps.ts). */
export const WRITER_STEPS = {
  write: { onlyBehind: true },
  flush: {},
  commit: {},
  abort: { onlyBehind: true },
} as const;

export interface CommitOptions {
  /**
   * What the bytes should be, in hex: where they went to another machine, it is looked whether that has them, before
   * they become visible.
   */
  sha256?: string;
}

export interface WriteOptions {
  /**
   * Continue what was given up with `keep` or killed: its first `resumeAt` bytes stay (anything past them is
   * cut off). Rejects with a non-retryable error when fewer are there.
   */
  resumeAt?: number;
  /** Size of the whole object, where known: lets a store refuse early or reserve space. */
  expectedSize?: number;
}

export interface Sink {
  readonly id: string;
  open(options: WriteOptions): Promise<Writer>;
  /** The bytes [start, end) of what an unfinished writer left behind; ends early when fewer are there. */
  readPartial(range: { start: number; end: number }): AsyncIterable<Uint8Array>;
  /**
   * May throw an IngotError when the store can't take an object of this size; anything else that it throws, while
   * bytes come, says that it can't be told just now. Called with the total as soon as it is known,
   * again at each checkpoint (with an unknown total, with the bytes taken so far), and at the end.
   */
  checkSize?(bytes: number): void | Promise<void>;
}
