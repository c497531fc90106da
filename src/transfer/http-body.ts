import { maskUrl } from './http-address.ts';
import { broken, stalled } from './http-failure.ts';
import type { Framing } from './http-framing.ts';
import type { ConnectionEnd, Landing, Taker } from './landing.ts';
import type { Body } from './source.ts';

export interface BodyContext {
  url: URL;
  signal: AbortSignal;
  /** Milliseconds without a byte after which the connection counts as broken. */
  stallTimeout: number;
  /** Ends the connection. */
  finish: () => void;
}

/** A call of `fill` that is under way. */
interface Fill {
  target: Uint8Array;
  filled: number;
  arrived: (bytes: number) => boolean;
  resolve: (state: 'more' | 'end') => void;
  reject: (error: unknown) => void;
}

const NOTHING = new Uint8Array(0);

/** The body of an answer, read from the socket into the target: without a copy where no frames lie between. */
export class HttpBody implements Body, Taker {
  readonly #landing: Landing;
  readonly #framing: Framing;
  readonly #context: BodyContext;
  #taken = 0;
  #fill: Fill | undefined;
  /** Bytes of the connection that came before there was a target for them. */
  #spilled: Uint8Array = NOTHING;
  #failure: unknown;
  #closedInOrder = false;
  #stallTimer: NodeJS.Timeout | undefined;

  constructor(landing: Landing, framing: Framing, context: BodyContext) {
    this.#landing = landing;
    this.#framing = framing;
    this.#context = context;
    context.signal.addEventListener('abort', this.#onAbort, { once: true });
    landing.divert(this);
  }

  fill(target: Uint8Array, arrived: (bytes: number) => boolean): Promise<'more' | 'end'> {
    return new Promise((resolve, reject) => {
      this.#fill = { target, filled: 0, arrived, resolve, reject };
      const spilled = this.#spilled;
      this.#spilled = NOTHING;
      this.#take(spilled, false);
      if (this.#fill && this.#closedInOrder) this.#settle('end');
      if (this.#fill && this.#failure) this.#reject(this.#failure);
      if (!this.#fill) return;
      this.#stallTimer = setTimeout(() => {
        this.#fail(stalled(this.#context.url, this.#context.stallTimeout, 'bytes'));
        this.close();
      }, this.#context.stallTimeout);
      this.#landing.resume();
    });
  }

  close(): void {
    this.#context.signal.removeEventListener('abort', this.#onAbort);
    this.#context.finish();
  }

  room(): Uint8Array {
    return this.#fill && this.#framing.plain > 0 ? this.#fill.target.subarray(this.#fill.filled) : NOTHING;
  }

  landed(bytes: Uint8Array, inPlace: boolean): boolean {
    this.#take(bytes, inPlace);
    return this.#fill !== undefined;
  }

  closed({ clean, error }: ConnectionEnd): void {
    if (clean && this.#framing.endsWithConnection) {
      this.#closedInOrder = true;
      // What was spilled comes first.
      if (this.#fill) this.#settle('end');
      return;
    }
    const where = this.#framing.describe(this.#taken);
    this.#fail(broken(`The connection to ${maskUrl(this.#context.url)} ended ${where}`, error));
  }

  readonly #onAbort = () => this.#fail(this.#context.signal.reason);

  /** Puts the body's part of the bytes into the target, and keeps those that it has no room for. */
  #take(bytes: Uint8Array, inPlace: boolean): void {
    const fill = this.#fill;
    let rest = bytes;
    let arrived = 0;
    try {
      while (fill && rest.length > 0 && fill.filled < fill.target.length && !this.#framing.ended) {
        const { used, payload } = this.#framing.next(rest, fill.target.length - fill.filled);
        if (!inPlace) fill.target.set(payload, fill.filled);
        fill.filled += payload.length;
        arrived += payload.length;
        rest = rest.subarray(used);
      }
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#taken += arrived;
    // By the body's own bytes alone: frames could go on for ever.
    if (arrived > 0) this.#stallTimer?.refresh();
    const goOn = fill && arrived > 0 ? fill.arrived(arrived) : true;
    if (this.#framing.ended) {
      if (fill) this.#settle('end');
      return;
    }
    // Rare: at most one read for each target that was filled.
    if (rest.length > 0) this.#spilled = Buffer.concat([this.#spilled, rest]);
    if (fill && (!goOn || fill.filled === fill.target.length)) this.#settle('more');
  }

  #settle(state: 'more' | 'end'): void {
    clearTimeout(this.#stallTimer);
    const fill = this.#fill;
    this.#fill = undefined;
    if (state === 'end') this.close();
    fill?.resolve(state);
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    if (this.#fill) this.#reject(this.#failure);
  }

  #reject(error: unknown): void {
    clearTimeout(this.#stallTimer);
    const fill = this.#fill;
    this.#fill = undefined;
    fill?.reject(error);
  }
}
