import { IngotError, toIngotError } from '../../kernel/errors.ts';
import type { StoreWriter } from '../driver.ts';
import type { S3Bucket } from './bucket.ts';
import { type PartBuffer, partMemory } from './part-memory.ts';
import { partBytes } from './part-size.ts';
import type { Upload } from './stored.ts';

/** An upload that is under way: what it has, and the bytes of its last part, which may grow. */
export interface Begun {
  upload: Upload;
  /** The upload's mark in the object's metadata. */
  tag: string;
  /** ETags of the parts that the server has, from the first on. */
  etags: string[];
  /** The last of them again, to be filled up. */
  tail?: Uint8Array;
}

export interface WriterOptions {
  bucket: S3Bucket;
  key: string;
  expectedSize: number | undefined;
  /** Bytes that are there. */
  offset: number;
  /** Begins the upload, or continues one. Called once, at the latest before the first byte. */
  begin: () => Promise<Begun>;
  /** Whether it may wait for the first byte: `commitAsItIs` commits what is there. */
  lazy: boolean;
  commitAsItIs?: () => Promise<void>;
  /** Removes all that is not committed, where nothing was begun yet. */
  discard: () => Promise<void>;
}

/** The part that is being filled. */
interface Filling {
  readonly number: number;
  readonly buffer: PartBuffer;
  /** Bytes in the buffer. */
  length: number;
  /** Of these, those that the server has. */
  sent: number;
  /** Fulfilled when no flush is sending it. */
  flushed: Promise<void>;
}

/** Parts of one writer that are under way at once. */
const PARALLEL = 4;

export async function openS3Writer(options: WriterOptions): Promise<StoreWriter> {
  const writer = new S3Writer(options);
  if (!options.lazy) await writer.begin();
  return writer;
}

class S3Writer implements StoreWriter {
  readonly #options: WriterOptions;
  readonly #stop = new AbortController();
  #begun: Begun | undefined;
  #position: number;
  /** Fulfilled when the writes so far have taken their turn. */
  #turn: Promise<void> = Promise.resolve();
  #filling: Filling | undefined;
  readonly #underWay = new Set<Promise<void>>();
  /** No later part is sent before: the server has a shorter state of an earlier one. */
  #barrier: Promise<void> = Promise.resolve();
  #heldBuffers = 0;
  #failure: IngotError | undefined;
  #closed = false;

  constructor(options: WriterOptions) {
    this.#options = options;
    this.#position = options.offset;
  }

  get offset(): number {
    return this.#position;
  }

  async begin(): Promise<Begun> {
    if (this.#begun) return this.#begun;
    const begun = await this.#options.begin();
    this.#begun = begun;
    if (begun.tail && begun.tail.length > 0) {
      const filling = await this.#nextPart(begun.etags.length);
      filling.buffer.bytes.set(begun.tail);
      filling.length = begun.tail.length;
      filling.sent = begun.tail.length;
      delete begun.tail;
      this.#filling = filling;
    }
    return begun;
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.#requireOpen();
    this.#position += chunk.length;
    const turn = this.#turn.then(() => this.#append(chunk));
    this.#turn = turn.catch((thrown) => this.#fail(thrown));
    await turn;
  }

  async flush(): Promise<void> {
    this.#requireOpen();
    await this.#turn;
    this.#throwIfFailed();
    const filling = this.#filling;
    if (filling && filling.length > filling.sent) this.#sendAsItIs(filling);
    await Promise.all(this.#underWay);
    this.#throwIfFailed();
  }

  /** Its digest need not be asked for: the server has checked each part against the SHA-256 that signs it. */
  async commit(): Promise<void> {
    const { bucket, key, commitAsItIs } = this.#options;
    this.#requireOpen();
    await this.#turn;
    this.#throwIfFailed();
    if (!this.#begun && commitAsItIs) {
      await commitAsItIs();
      this.#close();
      return;
    }
    const { upload, tag, etags } = await this.begin();
    const filling = this.#filling;
    const whole = filling?.number === 1 && filling.sent === 0;
    if (whole || this.#position === 0) {
      // S3 completes no upload without a part; and what fits into one request needs no more.
      const bytes = filling?.buffer.bytes.subarray(0, filling.length) ?? new Uint8Array(0);
      await bucket.put(key, bytes, { tag, signal: this.#stop.signal });
      // If this fails, what stays is found as a part of this path, and is removed with it.
      await bucket.abortUpload(upload).catch(() => {});
    } else {
      await this.flush();
      const parts = etags.map((etag, index) => ({ number: index + 1, etag }));
      await bucket.completeUpload(upload, parts, tag);
    }
    this.#close();
  }

  async abort({ keep = false } = {}): Promise<void> {
    if (this.#closed) return;
    if (!keep) this.#stop.abort();
    await this.#turn;
    await Promise.all(this.#underWay);
    this.#close();
    if (keep) return;
    const { bucket, discard } = this.#options;
    // What it has begun is all there is, unless another process has gone on from it: then that is not ours to remove.
    if (this.#begun) await bucket.abortUpload(this.#begun.upload);
    else await discard();
  }

  async #append(chunk: Uint8Array): Promise<void> {
    const { etags } = await this.begin();
    // Once it is given up, what was still to be written is written nowhere, and that is no failure.
    for (let at = 0; at < chunk.length && !this.#stop.signal.aborted; ) {
      this.#throwIfFailed();
      this.#filling ??= await this.#nextPart(etags.length + 1);
      const filling = this.#filling;
      const piece = chunk.subarray(at, at + filling.buffer.bytes.length - filling.length);
      filling.buffer.bytes.set(piece, filling.length);
      filling.length += piece.length;
      at += piece.length;
      if (filling.length < filling.buffer.bytes.length) continue;
      this.#filling = undefined;
      etags[filling.number - 1] ??= '';
      this.#sendWhole(filling);
    }
  }

  async #nextPart(number: number): Promise<Filling> {
    const bytes = partBytes(number, this.#options.expectedSize);
    for (;;) {
      this.#throwIfFailed();
      const buffer =
        this.#underWay.size < PARALLEL ? partMemory.take(bytes, this.#heldBuffers === 0) : undefined;
      if (buffer) {
        this.#heldBuffers++;
        return { number, buffer, length: 0, sent: 0, flushed: Promise.resolve() };
      }
      // Holding some already, and filling none: all are under way.
      await Promise.race(this.#underWay);
    }
  }

  /** Sends a part that is full; its memory is given back afterwards. */
  #sendWhole(filling: Filling): void {
    const before = Promise.all([this.#barrier, filling.flushed]);
    const done = this.#track(async () => {
      await before;
      try {
        await this.#send(filling, filling.length);
      } finally {
        this.#giveBack(filling);
      }
    });
    if (filling.sent > 0) this.#barrier = done;
  }

  /** Sends what there is of a part that is being filled; it is sent again when it is full. */
  #sendAsItIs(filling: Filling): void {
    const { length, flushed } = filling;
    const barrier = this.#barrier;
    filling.sent = length;
    filling.flushed = this.#track(async () => {
      await Promise.all([barrier, flushed]);
      await this.#send(filling, length);
    });
  }

  async #send({ number, buffer }: Filling, length: number): Promise<void> {
    this.#throwIfFailed();
    const { upload, etags } = await this.begin();
    const body = buffer.bytes.subarray(0, length);
    etags[number - 1] = await this.#options.bucket.uploadPart(upload, number, body, this.#stop.signal);
  }

  /** Begins something; its failure shows in all that follows. */
  #track(act: () => Promise<void>): Promise<void> {
    const done = act()
      .catch((thrown) => this.#fail(thrown))
      .finally(() => this.#underWay.delete(done));
    this.#underWay.add(done);
    return done;
  }

  #giveBack({ buffer }: Filling): void {
    this.#heldBuffers--;
    partMemory.give(buffer);
  }

  #fail(thrown: unknown): void {
    if (!this.#stop.signal.aborted) this.#failure ??= toIngotError(thrown);
  }

  #throwIfFailed(): void {
    if (this.#failure) throw this.#failure;
  }

  #requireOpen(): void {
    this.#throwIfFailed();
    if (this.#stop.signal.aborted || this.#closed) {
      throw new IngotError('SYS.1017', `Writing ${this.#options.key} was given up.`);
    }
  }

  #close(): void {
    this.#closed = true;
    if (this.#filling) this.#giveBack(this.#filling);
    this.#filling = undefined;
  }
}
