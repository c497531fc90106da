import type { Qcow2Header } from './qcow2.ts';
import type { Extent } from './qcow2-extensions.ts';
import { cutShort, damaged } from './refusal.ts';

/** 2 MiB of memory; with the usual 64 KiB clusters 128 TiB of disk. Past it L2 tables pass unread. */
const MOST_L2_TABLES = 262144;

/**
 * Reads the maps of a qcow2 as they pass, each entry once, and remembers only how far they reach: whatever
 * a map points to must be in the file, so a file that was cut short anywhere before its last cluster is
 * found out, without a second read and without keeping the maps.
 *
 * The L1 table tells where the L2 tables are. Writers put them behind it, so they can be read as well; one
 * that has passed already is not looked into. Maps of snapshots are not looked into either.
 */
export class Qcow2Maps {
  readonly #header: Qcow2Header;
  /** Starts of the tables not yet read: the two of the header, then the L2 tables, in order. */
  #tables: Extent[];
  #l2Tables: number[] = [];
  #nextL2 = 0;
  /** The first bytes of an entry that two chunks share. */
  readonly #split = new Uint8Array(8);
  #splitLength = 0;
  /** The first half of an extended L2 entry. */
  #half: [high: number, low: number] | undefined;
  /** The next byte of the table that is being read. */
  #at = -1;
  #furthest = { what: '', end: 0 };

  constructor(header: Qcow2Header) {
    this.#header = header;
    this.#tables = [header.l1Table, header.refcountTable].toSorted((one, other) => one.start - other.start);
    for (const table of header.tables) this.#require(`its ${table.name} reaches`, table.end);
  }

  /** The next bytes of the file; `position` is that of the first of them. */
  read(chunk: Uint8Array, position: number): void {
    const end = position + chunk.length;
    for (let table = this.#next(); table && table.start < end; table = this.#next()) {
      if (this.#at < 0) this.#at = table.start;
      const stop = Math.min(end, table.end);
      this.#readEntries(chunk.subarray(this.#at - position, stop - position), table);
      this.#at = stop;
      if (stop < table.end) return;
      this.#finish(table);
    }
  }

  /** Refuses a file that ends before what its header and its maps point to. */
  check(fileSize: number): void {
    const { what, end } = this.#furthest;
    if (end > fileSize) throw cutShort('qcow2', what, end, fileSize);
  }

  /** The table with the lowest place of those that are still to come. */
  #next(): Extent | undefined {
    const table = this.#tables[0];
    const start = this.#l2Tables[this.#nextL2];
    if (start === undefined || (table && table.start < start)) return table;
    return { name: 'L2 table', start, end: start + this.#header.facts.clusterSize };
  }

  #finish(table: Extent): void {
    this.#at = -1;
    if (this.#tables[0] === table) this.#tables.shift();
    else this.#nextL2++;
    if (table === this.#header.l1Table) this.#sortL2Tables(table.end);
    const next = this.#next();
    if (next && next.start < table.end) {
      throw damaged(`its ${table.name} and its ${next.name} are at the same place (byte ${next.start})`);
    }
  }

  #sortL2Tables(passed: number): void {
    const { start, end, name } = this.#header.refcountTable;
    this.#l2Tables = this.#l2Tables.filter((l2) => l2 >= passed).sort((one, other) => one - other);
    for (const [index, l2] of this.#l2Tables.entries()) {
      if (l2 === this.#l2Tables[index + 1]) throw damaged(`two of its L2 tables are at byte ${l2}`);
      if (l2 < end && l2 >= start) throw damaged(`an L2 table and its ${name} are at byte ${l2}`);
    }
  }

  #readEntries(bytes: Uint8Array, table: Extent): void {
    let at = 0;
    if (this.#splitLength > 0) {
      at = Math.min(8 - this.#splitLength, bytes.length);
      this.#split.set(bytes.subarray(0, at), this.#splitLength);
      this.#splitLength += at;
      if (this.#splitLength < 8) return;
      this.#readEntry(new DataView(this.#split.buffer), 0, table);
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (; at + 8 <= bytes.length; at += 8) this.#readEntry(view, at, table);
    this.#split.set(bytes.subarray(at));
    this.#splitLength = bytes.length - at;
  }

  #readEntry(view: DataView, at: number, table: Extent): void {
    const high = view.getUint32(at);
    const low = view.getUint32(at + 4);
    if (table === this.#header.l1Table) this.#readL1Entry(high, low);
    else if (table === this.#header.refcountTable) this.#readRefcountEntry(high, low);
    else if (!this.#header.facts.extendedL2) this.#readL2Entry(high, low, (low & 1) === 0);
    else if (!this.#half) this.#half = [high, low];
    else {
      const [halfHigh, halfLow] = this.#half;
      this.#half = undefined;
      this.#readL2Entry(halfHigh, halfLow, low !== 0); // `low` has a bit for each subcluster with data
    }
  }

  /** Bits 9 to 55 are the place of an L2 table, 0 for none; bit 63 is a hint, the rest is reserved. */
  #readL1Entry(high: number, low: number): void {
    if ((high & 0x7f000000) !== 0 || (low & 0x1ff) !== 0)
      throw damaged('an entry of its L1 table is not one');
    const start = this.#place((high & 0x00ffffff) * 2 ** 32 + low, 'an entry of its L1 table');
    if (start === 0) return;
    this.#require('an L2 table reaches', start + this.#header.facts.clusterSize);
    if (this.#l2Tables.length < MOST_L2_TABLES) this.#l2Tables.push(start);
  }

  #readRefcountEntry(high: number, low: number): void {
    const start = this.#place(high * 2 ** 32 + low, 'an entry of its refcount table');
    if (start !== 0) this.#require('a refcount block reaches', start + this.#header.facts.clusterSize);
  }

  /** @param hasData false where the cluster reads as zeros, whether it has a place or not */
  #readL2Entry(high: number, low: number, hasData: boolean): void {
    if ((high & 0x40000000) !== 0) {
      this.#readCompressedEntry(high, low);
      return;
    }
    if (!hasData) return;
    const start = this.#place((high & 0x00ffffff) * 2 ** 32 + (low - (low % 512)), 'an entry of an L2 table');
    // The last cluster of a file may be stored in part: the rest reads as zeros.
    if (start !== 0) this.#require('a cluster of data reaches', start + 1);
  }

  /** Place in the lower bits, then how many further 512-byte sectors the compressed bytes touch. */
  #readCompressedEntry(high: number, low: number): void {
    const placeBits = 62 - (Math.log2(this.#header.facts.clusterSize) - 8);
    const highBits = 2 ** (placeBits - 32);
    const high30 = high & 0x3fffffff;
    const start = (high30 % highBits) * 2 ** 32 + low;
    const sectors = Math.floor(high30 / highBits);
    // The last sector needn't be whole.
    this.#require('a compressed cluster reaches', start - (start % 512) + sectors * 512 + 1);
  }

  #place(start: number, what: string): number {
    if (start % this.#header.facts.clusterSize === 0) return start;
    throw damaged(`${what} points to byte ${start}, where no cluster begins`);
  }

  #require(what: string, end: number): void {
    if (end > this.#furthest.end) this.#furthest = { what, end };
  }
}
