/** A driver that is let go of while others still use it: it closes when they have ended. */
import type { BackupStorageDriver } from './driver.ts';

/** How long nothing must have used it, in milliseconds: who has asked for it may be about to. */
const UNUSED = 60_000;

export class SharedDriver {
  /** The same driver; each call, and what it opens until that is closed, counts as a use. */
  readonly driver: BackupStorageDriver;
  readonly #inner: BackupStorageDriver;
  #uses = 0;
  #onClosed: (() => void) | undefined;
  #late: NodeJS.Timeout | undefined;

  constructor(inner: BackupStorageDriver) {
    this.#inner = inner;
    this.driver = new Proxy(inner, { get: (target, name) => this.#counted(target, name) });
  }

  /** Closes it as soon as nothing uses it any more, and then calls `onClosed`. */
  retire(onClosed: () => void): void {
    this.#onClosed = onClosed;
    this.#closeIfUnused();
  }

  /** Closes it at once, whoever uses it. */
  async close(): Promise<void> {
    clearTimeout(this.#late);
    await this.#inner.close();
  }

  #counted(target: BackupStorageDriver, name: string | symbol): unknown {
    const value: unknown = Reflect.get(target, name, target);
    if (typeof value !== 'function') return value;
    const call = value.bind(target) as (...given: unknown[]) => unknown;
    switch (name) {
      case 'location':
      case 'localFile':
      case 'close':
        return call;
      case 'read':
      case 'readPartial':
      case 'list':
        return (...given: unknown[]) => this.#during(() => call(...given) as AsyncIterable<unknown>);
      case 'create':
        return (...given: unknown[]) => this.#open(call, given, { commit: 'if done', abort: 'always' });
      case 'openForReading':
        return (...given: unknown[]) => this.#open(call, given, { close: 'always' });
      default:
        return async (...given: unknown[]) => {
          this.#uses++;
          try {
            return await call(...given);
          } finally {
            this.#unuse();
          }
        };
    }
  }

  async *#during(read: () => AsyncIterable<unknown>): AsyncGenerator<unknown> {
    this.#uses++;
    try {
      yield* read();
    } finally {
      this.#unuse();
    }
  }

  /** What the call opens is in use until one of the methods that `ends` names has been called. */
  async #open(
    call: (...given: unknown[]) => unknown,
    given: unknown[],
    ends: Readonly<Record<string, 'always' | 'if done'>>,
  ): Promise<unknown> {
    this.#uses++;
    let inUse = true;
    const end = () => {
      if (inUse) this.#unuse();
      inUse = false;
    };
    try {
      const opened = (await call(...given)) as object;
      return new Proxy(opened, {
        get(target, name) {
          const value: unknown = Reflect.get(target, name, target);
          if (typeof value !== 'function') return value;
          const method = value.bind(target) as (...given: unknown[]) => unknown;
          const ending = typeof name === 'string' && Object.hasOwn(ends, name) ? ends[name] : undefined;
          if (!ending) return method;
          return async (...args: unknown[]) => {
            let done = false;
            try {
              await method(...args);
              done = true;
            } finally {
              if (done || ending === 'always') end();
            }
          };
        },
      });
    } catch (error) {
      end();
      throw error;
    }
  }

  #unuse(): void {
    this.#uses--;
    this.#closeIfUnused();
  }

  #closeIfUnused(): void {
    clearTimeout(this.#late);
    const onClosed = this.#onClosed;
    if (!onClosed || this.#uses > 0) return;
    this.#late = setTimeout(() => {
      void this.#inner
        .close()
        .catch(() => {})
        .then(onClosed);
    }, UNUSED).unref();
  }
}
