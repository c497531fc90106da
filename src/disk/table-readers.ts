/** Readers for the two shapes that tables of a qcow2 have; both take their bytes in pieces of any size. */
import { Head } from './head.ts';

export interface TableReader {
  /** The table's next bytes. */
  take(bytes: Uint8Array): void;
}

/** Entries of 8 bytes, big-endian, given as two halves. */
export class EntryReader implements TableReader {
  readonly #onEntry: (high: number, low: number) => void;
  /** The first bytes of an entry that two pieces share. */
  readonly #split = new Uint8Array(8);
  #splitLength = 0;

  constructor(onEntry: (high: number, low: number) => void) {
    this.#onEntry = onEntry;
  }

  take(bytes: Uint8Array): void {
    let at = 0;
    if (this.#splitLength > 0) {
      at = Math.min(8 - this.#splitLength, bytes.length);
      this.#split.set(bytes.subarray(0, at), this.#splitLength);
      this.#splitLength += at;
      if (this.#splitLength < 8) return;
      this.#splitLength = 0;
      const entry = new DataView(this.#split.buffer);
      this.#onEntry(entry.getUint32(0), entry.getUint32(4));
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (; at + 8 <= bytes.length; at += 8) this.#onEntry(view.getUint32(at), view.getUint32(at + 4));
    this.#split.set(bytes.subarray(at));
    this.#splitLength = bytes.length - at;
  }
}

/** What the head of a record says: bytes behind the head, the filling not counted, and how many of them are of use. */
export interface Further {
  further: number;
  wanted: number;
}

/**
 * Records with a head of fixed length that says how much follows; each is filled up to 8 bytes.
 * `onHead` is told the head of each, `onWanted` those first bytes behind it that `onHead` has wanted, if any.
 */
export class RecordReader implements TableReader {
  readonly #headBytes: number;
  readonly #onHead: (head: Head, length: (further: number) => number) => Further;
  readonly #onWanted: (part: Head) => void;
  /** The part that is being collected: a head, or what was wanted behind one. */
  #part: Uint8Array;
  #isHead = true;
  #filled = 0;
  /** Bytes of the record that are passed over before the next part, and those behind what is wanted. */
  #skip = 0;
  #rest = 0;

  constructor(
    headBytes: number,
    onHead: (head: Head, length: (further: number) => number) => Further,
    onWanted: (part: Head) => void = () => {},
  ) {
    this.#headBytes = headBytes;
    this.#part = new Uint8Array(headBytes);
    this.#onHead = onHead;
    this.#onWanted = onWanted;
  }

  take(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, bytes.length - at);
        this.#skip -= skipped;
        at += skipped;
        continue;
      }
      const piece = bytes.subarray(at, at + this.#part.length - this.#filled);
      this.#part.set(piece, this.#filled);
      this.#filled += piece.length;
      at += piece.length;
      if (this.#filled === this.#part.length) this.#end();
    }
  }

  /** The part is whole. */
  #end(): void {
    const part = new Head(this.#part);
    if (!this.#isHead) {
      this.#onWanted(part);
      this.#next(this.#rest);
      return;
    }
    const length = (further: number) => Math.ceil((this.#headBytes + further) / 8) * 8;
    const { further, wanted } = this.#onHead(part, length);
    const behind = length(further) - this.#headBytes;
    if (wanted === 0) {
      this.#next(behind);
      return;
    }
    this.#isHead = false;
    this.#part = new Uint8Array(wanted);
    this.#filled = 0;
    this.#rest = behind - wanted;
  }

  #next(skip: number): void {
    this.#isHead = true;
    this.#part = new Uint8Array(this.#headBytes);
    this.#filled = 0;
    this.#skip = skip;
  }
}
