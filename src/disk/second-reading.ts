import { IngotError } from '../kernel/errors.ts';
import type { DiskInspector } from './inspector.ts';

interface Image {
  /** Bytes of it. */
  size: number;
  /** Fulfilled with how many bytes from the position on it has put into `target`. */
  read: (target: Uint8Array, position: number) => Promise<number>;
  signal: AbortSignal;
}

/** Bytes between two parts that are read with them: less than another request costs. */
const GAP = 64 * 1024;
/** What is read at once, and held, at most. */
const MOST = 4 * 1024 * 1024;

/**
 * Shows the inspector, which has seen all bytes, those parts once more whose meaning it learnt too late: tables that
 * may be as small as a sector, and a million. Those that lie together are read together.
 * @throws IngotError IMG.1002 when the image is refused, SYS.1016 when less is there than has passed; what the signal
 * says when it is aborted
 */
export async function readSecondTime(inspector: DiskInspector, image: Image): Promise<void> {
  const window = new Window(image);
  for (let part = inspector.unread(); part; part = inspector.unread()) {
    for (let at = part.start; at < part.end; ) {
      const bytes = await window.from(at, part.end);
      if (bytes.length === 0) {
        throw new IngotError(
          'SYS.1016',
          `the store gave back ${at - part.start} of ${part.end - part.start} bytes of the image's ${part.name}`,
          { retryable: true },
        );
      }
      inspector.readAgain(bytes);
      at += bytes.length;
    }
  }
}

/**
 * A stretch of the image in memory. Which parts come is not known before; so it grows with each that follows closely
 * on the one before, and is no longer than what was asked for where they lie far apart.
 */
class Window {
  readonly #image: Image;
  #memory = new Uint8Array(GAP);
  #start = 0;
  #end = 0;
  /** Up to where bytes were given out. */
  #given = Number.NEGATIVE_INFINITY;
  /** Bytes to be read at once. */
  #ahead = 0;

  constructor(image: Image) {
    this.#image = image;
  }

  /** The bytes of the image [start, end) or the first of them; none where the store has no more. */
  async from(start: number, end: number): Promise<Uint8Array> {
    if (start < this.#start || start >= this.#end) await this.#read(start, end);
    const stop = Math.max(start, Math.min(end, this.#end));
    this.#given = stop;
    return this.#memory.subarray(start - this.#start, stop - this.#start);
  }

  async #read(start: number, end: number): Promise<void> {
    const isNear = start >= this.#given && start - this.#given <= GAP;
    this.#ahead = isNear ? Math.min(MOST, Math.max(GAP, 2 * this.#ahead)) : 0;
    const wanted = Math.min(this.#image.size - start, MOST, Math.max(end - start, this.#ahead));
    if (wanted > this.#memory.length) this.#memory = new Uint8Array(Math.max(wanted, this.#ahead));
    this.#start = start;
    this.#end = start;
    this.#image.signal.throwIfAborted();
    this.#end += await this.#image.read(this.#memory.subarray(0, Math.max(0, wanted)), start);
    this.#image.signal.throwIfAborted();
  }
}
