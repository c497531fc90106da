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

/** Records with a head of fixed length that says how much follows; each is filled up to 8 bytes. */
export class RecordReader implements TableReader {
  readonly #head: Uint8Array;
  readonly #onHead: (head: Head, length: (further: number) => number) => number;
  #filled = 0;
  /** Bytes of the record behind its head that are still to come. */
  #skip = 0;

  /** @param onHead told the head of each record; gives back how many bytes follow it, the filling not counted */
  constructor(headBytes: number, onHead: (head: Head, length: (further: number) => number) => number) {
    this.#head = new Uint8Array(headBytes);
    this.#onHead = onHead;
  }

  take(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, bytes.length - at);
        this.#skip -= skipped;
        at += skipped;
        continue;
      }
      const part = bytes.subarray(at, at + this.#head.length - this.#filled);
      this.#head.set(part, this.#filled);
      this.#filled += part.length;
      at += part.length;
      if (this.#filled < this.#head.length) return;
      this.#filled = 0;
      const length = (further: number) => Math.ceil((this.#head.length + further) / 8) * 8;
      const further = this.#onHead(new Head(this.#head), length);
      this.#skip = length(further) - this.#head.length;
    }
  }
}
