/** The bytes of one upload on their way from the requests that bring them to the transfer that takes them. */
import { sleep } from '../../kernel/clock.ts';
import { IngotError } from '../../kernel/errors.ts';
import { formatDuration, formatSize } from '../../kernel/format.ts';
import { PushBody } from '../../transfer/push-body.ts';
import { type OpenedSource, type Source, SourceBreak, type SourceFacts } from '../../transfer/source.ts';

interface Options {
  name: string;
  /** Bytes in all, where the client has said. */
  size: number | undefined;
  /** Milliseconds without a request after which the upload is given up; asked anew for each pause. */
  maxIdle: () => Promise<number>;
  /** Milliseconds that a request may go without a byte. */
  stallTimeout: number;
}

/**
 * A source that waits. Between two requests the transfer holds no memory for it: it breaks off, and opens again with
 * the next request. What has been taken is durable as far as the transfer's checkpoints go; after a death it opens
 * at the last of them, and the client asks where that is before it sends more.
 */
export class UploadChannel implements Source {
  readonly label: string;
  // It breaks with each request that ends, which is no failure.
  readonly retry = { tries: Number.POSITIVE_INFINITY, baseDelay: 2, maxDelay: 50 };
  readonly #options: Options;
  #size: number | undefined;
  /** Bytes taken; undefined until the transfer knows. */
  #offset: number | undefined;
  #body: PushBody | undefined;
  /** Requests that want to bring bytes. */
  #feeders = 0;
  #error: unknown;
  /** Replaced whenever something of the above changes. */
  #changed = Promise.withResolvers<void>();

  constructor(options: Options) {
    this.#options = options;
    this.#size = options.size;
    this.label = `upload://${options.name}`;
  }

  set size(bytes: number) {
    this.#size = bytes;
    this.#tell();
  }

  /** How many bytes have been taken; undefined where that is not known within so many milliseconds. */
  async offset(milliseconds: number): Promise<number | undefined> {
    await this.#until(() => this.#offset !== undefined, milliseconds);
    return this.#offset;
  }

  async open({ offset, signal }: { offset: number; signal: AbortSignal }): Promise<OpenedSource> {
    this.#offset = offset;
    this.#tell();
    if (this.#size !== offset) await this.#nextFeeder(signal);
    const body = new PushBody(() => {
      if (this.#body === body) this.#body = undefined;
    });
    this.#body = body;
    this.#tell();
    if (this.#size === offset) body.end();
    return {
      offset,
      facts: this.#facts(),
      body: {
        close: () => body.close(),
        fill: (target, arrived) =>
          body.fill(target, (bytes) => {
            this.#offset = (this.#offset ?? 0) + bytes;
            return arrived(bytes);
          }),
      },
    };
  }

  /** Brings one request's bytes, from `offset` on; fulfilled with where the next request goes on. */
  async feed(pieces: AsyncIterable<Uint8Array>, offset: number): Promise<number> {
    this.#feeders++;
    this.#tell();
    try {
      await this.#until(() => this.#body !== undefined || this.#error !== undefined);
      if (this.#error !== undefined) throw this.#error;
      const body = this.#body as PushBody;
      if (this.#offset !== offset) throw new OffsetConflict();
      await this.#bring(pieces, body);
      return this.#offset;
    } finally {
      this.#feeders--;
    }
  }

  /** Nobody takes bytes any more; requests under way end with the error. */
  close(error: unknown): void {
    this.#error ??= error;
    this.#body?.fail(error);
    this.#tell();
  }

  async #bring(pieces: AsyncIterable<Uint8Array>, body: PushBody): Promise<void> {
    const iterator = pieces[Symbol.asyncIterator]();
    try {
      for (;;) {
        const next = await this.#inTime(iterator.next());
        if (next.done) break;
        await body.push(next.value).catch((error) => this.#whyNot(error));
      }
      if (this.#offset === this.#size) body.end();
      else body.fail(new SourceBreak(paused(this.label, this.#offset ?? 0)));
    } catch (error) {
      // As far as it came; the next request brings the rest.
      body.fail(new SourceBreak(paused(this.label, this.#offset ?? 0)));
      throw error;
    }
  }

  /** The transfer lets go first, and then says why. */
  async #whyNot(error: unknown): Promise<never> {
    await this.#until(() => this.#error !== undefined, 5000);
    throw this.#error ?? error;
  }

  async #nextFeeder(signal: AbortSignal): Promise<void> {
    const milliseconds = await this.#options.maxIdle();
    const stop = new AbortController();
    const aborted = () => stop.abort(signal.reason);
    signal.addEventListener('abort', aborted, { once: true });
    if (signal.aborted) aborted();
    try {
      await this.#until(() => this.#feeders > 0, milliseconds, stop.signal);
    } finally {
      signal.removeEventListener('abort', aborted);
    }
    signal.throwIfAborted();
    if (this.#feeders > 0) return;
    const came = `${formatSize(this.#offset ?? 0)}${this.#size === undefined ? '' : ` of ${formatSize(this.#size)}`}`;
    throw new IngotError(
      'IMG.1001',
      `nothing was sent to ${this.label} for ${formatDuration(milliseconds)}; ${came} had come`,
      { elaboration: 'How long is waited says the setting image/upload.maxIdle, in seconds.' },
    );
  }

  async #until(ready: () => boolean, milliseconds?: number, signal?: AbortSignal): Promise<void> {
    const over = new AbortController();
    const late = milliseconds === undefined ? undefined : sleep(milliseconds, over.signal).catch(() => {});
    const aborted =
      signal &&
      new Promise<void>((resolve) => {
        signal.addEventListener('abort', () => resolve(), { once: true, signal: over.signal });
      });
    let inTime = true;
    void late?.then(() => {
      inTime = false;
    });
    try {
      while (!ready() && inTime && !signal?.aborted && this.#error === undefined) {
        await Promise.race([this.#changed.promise, ...(late ? [late] : []), ...(aborted ? [aborted] : [])]);
      }
    } finally {
      over.abort();
    }
  }

  #tell(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  async #inTime<T>(work: Promise<T>): Promise<T> {
    const { stallTimeout } = this.#options;
    const over = new AbortController();
    const late = sleep(stallTimeout, over.signal).then(() => {
      throw new IngotError('IMG.1001', `no byte came for ${formatDuration(stallTimeout)}`, {
        retryable: true,
      });
    });
    late.catch(() => {});
    try {
      return await Promise.race([work, late]);
    } finally {
      over.abort();
    }
  }

  #facts(): SourceFacts {
    return this.#size === undefined ? {} : { totalSize: this.#size };
  }
}

/** A request begins elsewhere than where the bytes have come to. */
export class OffsetConflict extends Error {}

function paused(label: string, offset: number): IngotError {
  return new IngotError('IMG.1001', `${label} paused after ${formatSize(offset)}`, { retryable: true });
}
