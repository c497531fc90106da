import type { Body } from './source.ts';

interface Fill {
  target: Uint8Array;
  filled: number;
  arrived: (bytes: number) => boolean;
  resolve: (state: 'more' | 'end') => void;
  reject: (error: unknown) => void;
}

/** A body for what pushes its bytes: each piece waits until it has been taken, so that none piles up. */
export class PushBody implements Body {
  #fill: Fill | undefined;
  #piece: { bytes: Uint8Array; taken: () => void; refused: (error: unknown) => void } | undefined;
  #ended = false;
  #failure: unknown;
  readonly #onClose: () => void;

  /** `onClose` is called once, when nobody wants more bytes. */
  constructor(onClose: () => void) {
    let open = true;
    this.#onClose = () => {
      if (open) onClose();
      open = false;
    };
  }

  /** Fulfilled when all of the piece has been taken; one at a time. Rejects where nobody takes it any more. */
  push(bytes: Uint8Array): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (bytes.length === 0) return Promise.resolve();
    return new Promise((taken, refused) => {
      this.#piece = { bytes, taken, refused };
      this.#move();
    });
  }

  /** There are no more bytes. */
  end(): void {
    this.#ended = true;
    this.#move();
  }

  /** There will be no more bytes, though there should be. */
  fail(error: unknown): void {
    this.#failure ??= error;
    this.#piece?.refused(this.#failure);
    this.#piece = undefined;
    const fill = this.#fill;
    this.#fill = undefined;
    fill?.reject(this.#failure);
  }

  fill(target: Uint8Array, arrived: (bytes: number) => boolean): Promise<'more' | 'end'> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#fill = { target, filled: 0, arrived, resolve, reject };
      this.#move();
    });
  }

  close(): void {
    this.fail(new Error('nobody takes the bytes any more'));
    this.#onClose();
  }

  /** From the piece into the target, as far as both go. */
  #move(): void {
    const fill = this.#fill;
    if (!fill) return;
    const piece = this.#piece;
    let goOn = true;
    if (piece) {
      const part = piece.bytes.subarray(0, fill.target.length - fill.filled);
      fill.target.set(part, fill.filled);
      fill.filled += part.length;
      piece.bytes = piece.bytes.subarray(part.length);
      goOn = fill.arrived(part.length);
      if (piece.bytes.length === 0) {
        this.#piece = undefined;
        piece.taken();
      }
    }
    const full = fill.filled === fill.target.length;
    const over = this.#ended && !this.#piece;
    if (goOn && !full && !over) return;
    this.#fill = undefined;
    fill.resolve(over ? 'end' : 'more');
  }
}
