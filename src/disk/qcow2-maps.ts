import { PageBudget } from './cluster-set.ts';
import type { Head } from './head.ts';
import { NumberHeap } from './number-heap.ts';
import type { Qcow2Header } from './qcow2.ts';
import { DiskBytes, leastPacked } from './qcow2-bytes.ts';
import { ClusterClaims } from './qcow2-claims.ts';
import {
  BITMAP_HEAD,
  readBitmapHead,
  readSnapshotExtra,
  readSnapshotHead,
  SNAPSHOT_HEAD,
} from './qcow2-directories.ts';
import type { Extent } from './qcow2-extensions.ts';
import { L2Tables } from './qcow2-l2-tables.ts';
import { cutShort, damaged } from './refusal.ts';
import { EntryReader, RecordReader, type TableReader } from './table-readers.ts';

/** A table that is to be read, or is being read. */
interface Table {
  name: string;
  start: number;
  /** Of one whose records say themselves how long they are: as far as is known. */
  end: number;
  reader: TableReader;
}

/** A table that waits; its reader is made when its turn comes. */
interface Waiting {
  name: string;
  end: number;
  reader: () => TableReader;
}

/** Bytes of metadata, and where in the file they are. */
export type OnMetadata = (bytes: Uint8Array, position: number) => void;

export interface Qcow2MapsOptions {
  /** Infinite while it isn't known. */
  fileSize: number;
  /** Of the disk, and of it when a snapshot was taken; bytes. */
  maxVirtualSize: number;
  /** Given the tables, and the refcount blocks, which are read for it alone. */
  onMetadata?: OnMetadata | undefined;
}

/** Of what is only passed on. */
const UNREAD: TableReader = { take: () => {} };

/**
 * 64 MiB for one image: enough for some 20 TiB of data in clusters of 64 KiB (35 GiB in clusters of 512 bytes), with
 * the metadata beside them and all their L2 tables waiting to be read.
 */
const MEMORY = 64 * 1024 * 1024;
/** What one of the tables that wait takes that are not L2 tables (measured). */
const WAITING_BYTES = 256;

/** What stands in the lower bits of a scheduled table's place, which are zeros: clusters have 512 bytes at least. */
const OTHER = 0;
const L2_TABLE = 1;
const REFCOUNT_BLOCK = 2;
const CODES = 512;

/**
 * Reads the maps of a qcow2 as they pass, each entry once, and remembers how far they reach and which cluster is
 * used for what. Whatever a map points to must be in the file, and nothing may lie where something else does; so
 * a file that was cut short, and one whose maps lead into each other, are found out without keeping the maps.
 *
 * Tables lie behind those that tell where they are, where they weren't moved: an image that has grown has its
 * L1 table behind its L2 tables. Those are named by `unread` once all has passed, to be read again.
 */
export class Qcow2Maps {
  readonly #header: Qcow2Header;
  readonly #budget = new PageBudget(MEMORY);
  readonly #claims: ClusterClaims;
  readonly #l2Tables = new L2Tables(this.#budget);
  /** Places of the tables that are still to pass, and of those that had passed when they were heard of. */
  readonly #upcoming = new NumberHeap(this.#budget);
  readonly #passed = new NumberHeap(this.#budget);
  /** All but the L2 tables, of which there are too many for an object each. */
  readonly #others = new Map<number, Waiting>();
  #current: Table | undefined;
  /** The next byte of the table that is being read. */
  #at = 0;
  /** What is before it has passed. */
  #cursor = 0;
  #fileSize: number;
  #furthest = { what: '', end: 0 };
  /** Of the disk, and of all that it can be reverted to. */
  readonly #diskBytes: DiskBytes;
  readonly #leastPacked: number;
  /** What the file has for them, as far as it was known when an L2 table was opened; less when more metadata are known. */
  #room = 0;
  readonly #maxVirtualSize: number;
  readonly #onMetadata: OnMetadata | undefined;

  constructor(header: Qcow2Header, options: Qcow2MapsOptions) {
    this.#header = header;
    this.#fileSize = options.fileSize;
    this.#maxVirtualSize = options.maxVirtualSize;
    this.#onMetadata = options.onMetadata;
    this.#claims = new ClusterClaims(header.facts.clusterSize, this.#budget);
    this.#diskBytes = new DiskBytes(this.#budget, { hasSnapshots: header.facts.snapshots > 0 });
    this.#leastPacked = leastPacked(header.facts.clusterSize, header.facts.compression);
    this.#claims.metadata('header', 0, header.facts.clusterSize);
    const { l1Table, refcountTable, snapshotTable, bitmapDirectory } = header;
    this.#add(l1Table, () => this.#l1Reader(true));
    this.#add(refcountTable, () => new EntryReader((high, low) => this.#readRefcountEntry(high, low)));
    if (snapshotTable) this.#addSnapshots(snapshotTable);
    if (bitmapDirectory) this.#addBitmaps(bitmapDirectory);
  }

  /** The next bytes of the file; `position` is that of the first of them. */
  read(chunk: Uint8Array, position: number): void {
    const end = position + chunk.length;
    for (;;) {
      if (!this.#current) {
        const least = this.#upcoming.least;
        if (least === undefined || least >= end) break;
        this.#open(this.#upcoming);
      }
      this.#feed(chunk, position);
      if (this.#current) break;
    }
    this.#cursor = end;
  }

  /**
   * Refuses a file that ends before what its header and its maps point to.
   * @param fileSize from now on known
   */
  check(fileSize: number): void {
    this.#fileSize = fileSize;
    const { what, end } = this.#furthest;
    if (end > fileSize) throw cutShort('qcow2', what, end, fileSize);
    this.#checkBytes();
  }

  /** After the last byte has passed: a part of the file that must be given to `readAgain`, until there is none. */
  unread(): Extent | undefined {
    this.#cursor = Number.POSITIVE_INFINITY;
    if (!this.#current && this.#passed.length > 0) this.#open(this.#passed);
    const table = this.#current;
    // Only now all of the metadata are known.
    if (!table) this.#checkBytes();
    return table && { name: table.name, start: this.#at, end: table.end };
  }

  /** Bytes from the start of what `unread` has named, all of them or fewer. */
  readAgain(bytes: Uint8Array): void {
    this.#feed(bytes, this.#at);
  }

  /** Whether the maps, all of which were read, say that the byte is in a cluster of data. */
  isData(position: number): boolean {
    return this.#claims.isData(position);
  }

  /** Gives the open table those of the bytes that are its own. */
  #feed(bytes: Uint8Array, position: number): void {
    const table = this.#current;
    const end = position + bytes.length;
    while (table && this.#at < Math.min(end, table.end)) {
      const stop = Math.min(end, table.end);
      const part = bytes.subarray(this.#at - position, stop - position);
      this.#onMetadata?.(part, this.#at);
      this.#at = stop;
      this.#cursor = Math.max(this.#cursor, stop);
      // May find the table to be longer.
      table.reader.take(part);
    }
    if (table && this.#at === table.end) this.#current = undefined;
  }

  #open(heap: NumberHeap): void {
    const scheduled = heap.pop() as number;
    const code = scheduled % CODES;
    const start = scheduled - code;
    this.#at = start;
    if (code === OTHER) this.#current = this.#other(start);
    else if (code === REFCOUNT_BLOCK) this.#current = this.#refcountBlock(start);
    else this.#current = this.#l2Table(start);
  }

  #add(table: Extent, reader: () => TableReader): void {
    this.#require(`its ${table.name} reaches`, table.end);
    this.#claims.metadata(table.name, table.start, table.end);
    if (table.end === table.start) return;
    this.#budget.takeBytes(WAITING_BYTES);
    this.#others.set(table.start, { name: table.name, end: table.end, reader });
    this.#schedule(table.start, OTHER);
  }

  #schedule(start: number, code: number): void {
    (start >= this.#cursor ? this.#upcoming : this.#passed).push(start + code);
  }

  #other(start: number): Table {
    const { name, end, reader } = this.#others.get(start) as Waiting;
    this.#others.delete(start);
    return { name, start, end, reader: reader() };
  }

  #l2Table(start: number): Table {
    const { own, index } = this.#l2Tables.open(start / this.#header.facts.clusterSize);
    this.#diskBytes.open(index);
    this.#checkBytes();
    return {
      name: 'L2 table',
      start,
      end: start + this.#header.facts.clusterSize,
      reader: this.#header.facts.extendedL2 ? this.#extendedReader(own) : this.#plainReader(own),
    };
  }

  #refcountBlock(start: number): Table {
    const end = start + this.#header.facts.clusterSize;
    return { name: 'refcount block', start, end, reader: UNREAD };
  }

  #plainReader(own: boolean): TableReader {
    return new EntryReader((high, low) => this.#readL2Entry(high, low, own));
  }

  /** Each entry is followed by two bits for each of its subclusters: whether it reads as zeros, whether it has data. */
  #extendedReader(own: boolean): TableReader {
    let isEntry = false;
    let entryHigh = 0;
    let entryLow = 0;
    return new EntryReader((high, low) => {
      isEntry = !isEntry;
      if (isEntry) {
        this.#readL2Entry(high, low, own);
        entryHigh = high;
        entryLow = low;
        return;
      }
      if ((high & low) !== 0) throw damaged('subclusters of it have data and read as zeros at once');
      if ((entryHigh & 0x40000000) !== 0 && (high | low) !== 0) {
        throw damaged('a compressed cluster of it has subclusters');
      }
      const hasPlace = (entryHigh & 0x00ffffff) !== 0 || entryLow !== 0;
      if (low !== 0 && !hasPlace) throw damaged('subclusters of it have data, but no place');
    });
  }

  #l1Reader(own: boolean): TableReader {
    let index = 0;
    return new EntryReader((high, low) => this.#readL1Entry(high, low, index++, own));
  }

  /** Bits 9 to 55 are the place of an L2 table, 0 for none; bit 63 is a hint, the rest is reserved. */
  #readL1Entry(high: number, low: number, index: number, own: boolean): void {
    if ((high & 0x7f000000) !== 0 || (low & 0x1ff) !== 0)
      throw damaged('an entry of its L1 table is not one');
    const start = this.#place((high & 0x00ffffff) * 2 ** 32 + low, 'an entry of its L1 table');
    // The hint without a place: some take that for a table in the header.
    if (start === 0 && high !== 0) throw damaged('an entry of its L1 table is not one');
    if (start === 0) return;
    const { clusterSize } = this.#header.facts;
    this.#require('an L2 table reaches', start + clusterSize);
    const naming = this.#l2Tables.name(start / clusterSize, start, index, own);
    if (naming === 'new') this.#claims.metadata('L2 table', start, start + clusterSize);
    if (naming !== 'known') this.#schedule(start, L2_TABLE);
  }

  #readRefcountEntry(high: number, low: number): void {
    const start = this.#place(high * 2 ** 32 + low, 'an entry of its refcount table');
    if (start === 0) return;
    const end = start + this.#header.facts.clusterSize;
    this.#require('a refcount block reaches', end);
    this.#claims.metadata('refcount block', start, end);
    if (this.#onMetadata) this.#schedule(start, REFCOUNT_BLOCK);
  }

  /**
   * Bit 62 says that it is compressed; else bits 9 to 55 are the place, and bit 0 says that it reads as zeros
   * though it may have one; bit 63 is a hint, the rest is reserved.
   */
  #readL2Entry(high: number, low: number, own: boolean): void {
    if ((high & 0x40000000) !== 0) {
      this.#readCompressedEntry(high, low);
      return;
    }
    const { version, extendedL2 } = this.#header.facts;
    const reserved = version === 2 || extendedL2 ? 0x1ff : 0x1fe;
    if ((high & 0x3f000000) !== 0 || (low & reserved) !== 0) {
      throw damaged('an entry of an L2 table is not one');
    }
    const start = this.#place((high & 0x00ffffff) * 2 ** 32 + (low - (low % 512)), 'an entry of an L2 table');
    if (start === 0) return;
    // The last cluster of a file may be stored in part: the rest reads as zeros.
    this.#require('a cluster of data reaches', start + 1);
    this.#claims.data(start, own);
    this.#addBytes(this.#header.facts.clusterSize);
  }

  /** Place in the lower bits, then how many further 512-byte sectors the compressed bytes touch. */
  #readCompressedEntry(high: number, low: number): void {
    const placeBits = 62 - (Math.log2(this.#header.facts.clusterSize) - 8);
    const highBits = 2 ** (placeBits - 32);
    const high30 = high & 0x3fffffff;
    const start = (high30 % highBits) * 2 ** 32 + low;
    const sectors = Math.floor(high30 / highBits);
    // The last sector needn't be whole.
    const end = start - (start % 512) + sectors * 512 + 1;
    this.#require('a compressed cluster reaches', end);
    this.#claims.packed(start, Math.max(end, start + 1));
    this.#addBytes(Math.max(this.#leastPacked, end - start));
  }

  /** However small, each cluster has bytes of its own: a file has no room for the same ones many times. */
  #addBytes(bytes: number): void {
    if (this.#diskBytes.add(bytes) > this.#room) this.#checkBytes();
  }

  #checkBytes(): void {
    const { clusterSize } = this.#header.facts;
    const { total } = this.#diskBytes;
    this.#room = Math.ceil(this.#fileSize / clusterSize) * clusterSize - this.#claims.metadataBytes;
    if (total <= this.#room) return;
    throw damaged(
      `the clusters of its disk or of a snapshot have ${total} bytes at least, but the file only room for ${this.#room}: they lie over each other`,
    );
  }

  /** The records of the snapshot table tell where the L1 tables of the snapshots are. */
  #addSnapshots(extent: Extent): void {
    let left = this.#header.facts.snapshots;
    let recordAt = extent.start;
    let claimed = extent.end;
    const snapshotL1 = () => this.#l1Reader(false);
    const onHead = (head: Head, lengthWith: (further: number) => number) => {
      const table = this.#current as Table;
      const { l1Table, further, wanted } = readSnapshotHead(head, this.#header.facts.clusterSize);
      left--;
      // Its other records have a head at least each; the last may end the file, without being filled up.
      table.end =
        recordAt + (left > 0 ? lengthWith(further) + left * SNAPSHOT_HEAD : SNAPSHOT_HEAD + further);
      recordAt += lengthWith(further);
      this.#require('its snapshot table reaches', table.end);
      const known = Math.ceil(claimed / this.#header.facts.clusterSize) * this.#header.facts.clusterSize;
      if (table.end > known) this.#claims.metadata('snapshot table', known, table.end);
      claimed = Math.max(claimed, table.end);
      if (l1Table.end > l1Table.start) this.#add(l1Table, snapshotL1);
      return { further, wanted };
    };
    const onExtra = (extra: Head) => {
      const { stateSize } = readSnapshotExtra(extra, this.#maxVirtualSize);
      this.#require('the state of a machine in a snapshot reaches', stateSize);
    };
    this.#add(extent, () => new RecordReader(SNAPSHOT_HEAD, onHead, onExtra));
  }

  /** The records of the bitmap directory tell where the bitmaps' tables are. */
  #addBitmaps(extent: Extent): void {
    let left = this.#header.facts.bitmaps;
    let recordAt = extent.start;
    const tableReader = () => new EntryReader((high, low) => this.#readBitmapEntry(high, low));
    const onHead = (head: Head, lengthWith: (further: number) => number) => {
      const { table, ...behind } = readBitmapHead(head, this.#header.facts);
      recordAt += lengthWith(behind.further);
      left--;
      if (recordAt > extent.end || (left === 0) !== (recordAt === extent.end)) {
        throw damaged(`its bitmap directory does not hold ${this.#header.facts.bitmaps} bitmaps`);
      }
      this.#add(table, tableReader);
      return behind;
    };
    this.#add(extent, () => new RecordReader(BITMAP_HEAD, onHead));
  }

  /** Bits 9 to 55 are the place of a cluster of the bitmap; without one, bit 0 says whether all of it is set. */
  #readBitmapEntry(high: number, low: number): void {
    const start = this.#place((high & 0x00ffffff) * 2 ** 32 + (low - (low % 512)), 'an entry of a bitmap');
    if ((high & 0xff000000) !== 0 || (low & (start === 0 ? 0x1fe : 0x1ff)) !== 0) {
      throw damaged('an entry of a bitmap is not one');
    }
    if (start === 0) return;
    // The last cluster of a file may be stored in part.
    this.#require('a bitmap reaches', start + 1);
    this.#claims.metadata('bitmap', start, start + this.#header.facts.clusterSize);
  }

  #place(start: number, what: string): number {
    if (start % this.#header.facts.clusterSize === 0) return start;
    throw damaged(`${what} points to byte ${start}, where no cluster begins`);
  }

  #require(what: string, end: number): void {
    if (end > this.#fileSize) throw cutShort('qcow2', what, end, this.#fileSize);
    if (end > this.#furthest.end) this.#furthest = { what, end };
  }
}
