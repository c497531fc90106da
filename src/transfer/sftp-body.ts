import type { Body } from './source.ts';

/** OpenSSH's limit of a packet, less its head: what one request may ask for. */
const REQUEST_BYTES = 255 * 1024;
/** Requests under way at once: enough that the way there and back costs nothing. */
const WINDOW = 16;

interface Parts {
  read: (target: Buffer, position: number) => Promise<number>;
  start: number;
  size: number;
  inTime: <T>(work: Promise<T>) => Promise<T>;
  asError: (error: unknown) => unknown;
  finish: () => void;
}

interface Piece {
  memory: Buffer;
  position: number;
  wanted: number;
  length: Promise<number>;
}

/** Asks for many pieces at once, and hands them on in order. */
export class SftpBody implements Body {
  readonly #parts: Parts;
  readonly #pieces: Piece[] = [];
  readonly #memory: Buffer[] = [];
  /** Where the next request begins. */
  #asked: number;
  /** What is left of the piece that is being handed on. */
  #rest: { bytes: Buffer; memory: Buffer } | undefined;
  #taken: number;
  #closed = false;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#asked = parts.start;
    this.#taken = parts.start;
  }

  async fill(target: Uint8Array, arrived: (bytes: number) => boolean): Promise<'more' | 'end'> {
    const { size, asError } = this.#parts;
    try {
      for (let filled = 0; filled < target.length && this.#taken < size; ) {
        const rest = this.#rest ?? (await this.#next());
        // It is shorter than it was: what came is told, and what follows is found out anew.
        if (!rest) return 'end';
        const part = rest.bytes.subarray(0, target.length - filled);
        target.set(part, filled);
        filled += part.length;
        this.#taken += part.length;
        const left = rest.bytes.subarray(part.length);
        if (left.length > 0) this.#rest = { bytes: left, memory: rest.memory };
        else {
          this.#rest = undefined;
          this.#memory.push(rest.memory);
        }
        if (!arrived(part.length)) break;
      }
    } catch (error) {
      throw asError(error);
    }
    return this.#taken < size ? 'more' : 'end';
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#parts.finish();
  }

  async #next(): Promise<{ bytes: Buffer; memory: Buffer } | undefined> {
    this.#ask();
    const piece = this.#pieces.shift();
    if (!piece) return undefined;
    const { memory, position, wanted } = piece;
    let length = await this.#parts.inTime(piece.length);
    // A server may give less than it was asked for; the rest is asked for again.
    while (length > 0 && length < wanted) {
      const more = await this.#parts.inTime(
        this.#parts.read(memory.subarray(length, wanted), position + length),
      );
      if (more === 0) break;
      length += more;
    }
    return length === 0 ? undefined : { bytes: memory.subarray(0, length), memory };
  }

  #ask(): void {
    const { size, read } = this.#parts;
    while (this.#pieces.length < WINDOW && this.#asked < size) {
      const memory = this.#memory.pop() ?? Buffer.allocUnsafeSlow(REQUEST_BYTES);
      const wanted = Math.min(REQUEST_BYTES, size - this.#asked);
      const length = read(memory.subarray(0, wanted), this.#asked);
      length.catch(() => {}); // heard of in its turn
      this.#pieces.push({ memory, position: this.#asked, wanted, length });
      this.#asked += wanted;
    }
  }
}
