import { CLUSTER_BYTES, type ClusterRun } from './cluster-runs.ts';

/**
 * A qcow2 (version 3, docs/interop/qcow2.txt of QEMU) as it will be, known to the last byte before any data was
 * read: so it can be written, and sent, from its first byte to its last.
 *
 *   header · refcount table · refcount blocks · L1 table · L2 tables · data, in the disk's order
 *
 * The same disk always gives the same bytes, so that a sending can be taken up again at any of them.
 */
export class Qcow2Plan {
  /** Bytes of the whole file. */
  readonly size: number;
  /** Where the data begins. */
  readonly dataStart: number;
  readonly #options: Qcow2PlanOptions;
  readonly #runs: readonly ClusterRun[];
  /** For each run: how many clusters of data come before it. */
  readonly #dataBefore: Float64Array;
  /** The entries of the L1 table that have an L2 table, in order. */
  readonly #tables: number[];
  readonly #l1Entries: number;
  /** First cluster of each part of the file. */
  readonly #at: {
    refcountTable: number;
    refcountBlocks: number;
    l1: number;
    l2: number;
    data: number;
    end: number;
  };

  constructor(options: Qcow2PlanOptions) {
    this.#options = options;
    this.#runs = options.runs;
    this.#dataBefore = new Float64Array(options.runs.length);
    let data = 0;
    for (const [index, run] of options.runs.entries()) {
      this.#dataBefore[index] = data;
      if (run.data) data += run.count;
    }
    this.#tables = tablesOf(options.runs);
    this.#l1Entries = Math.ceil(options.virtualSize / (ENTRIES * CLUSTER_BYTES));
    const l1 = Math.ceil((this.#l1Entries * 8) / CLUSTER_BYTES);
    const others = 1 + l1 + this.#tables.length + data;
    let blocks = 0;
    let table = 0;
    // The reference counts count their own clusters too.
    for (let before = -1; before !== blocks + table; ) {
      before = blocks + table;
      blocks = Math.ceil((others + before) / COUNTS);
      table = Math.ceil((blocks * 8) / CLUSTER_BYTES);
    }
    const l1At = 1 + table + blocks;
    const l2At = l1At + l1;
    const dataAt = l2At + this.#tables.length;
    this.#at = {
      refcountTable: 1,
      refcountBlocks: 1 + table,
      l1: l1At,
      l2: l2At,
      data: dataAt,
      end: dataAt + data,
    };
    this.dataStart = dataAt * CLUSTER_BYTES;
    this.size = (dataAt + data) * CLUSTER_BYTES;
  }

  /** Writes the bytes before the data into `target`, which is filled with zeros; `position` is that of its first byte. */
  writeHead(target: Uint8Array, position: number): void {
    const end = Math.min(position + target.length, this.dataStart);
    for (let at = position; at < end; ) {
      const cluster = Math.floor(at / CLUSTER_BYTES);
      const bytes = this.#headCluster(cluster);
      const from = at - cluster * CLUSTER_BYTES;
      const length = Math.min(CLUSTER_BYTES - from, end - at);
      target.set(bytes.subarray(from, from + length), at - position);
      at += length;
    }
  }

  /** Where on the disk the byte at `position` of the file is, and how many bytes follow it there without a gap. */
  dataAt(position: number): { diskOffset: number; length: number } {
    const cluster = Math.floor(position / CLUSTER_BYTES) - this.#at.data;
    const index = this.#runWithData(cluster);
    const run = this.#runs[index] as ClusterRun;
    const into = (cluster - (this.#dataBefore[index] as number)) * CLUSTER_BYTES + (position % CLUSTER_BYTES);
    return { diskOffset: run.start * CLUSTER_BYTES + into, length: run.count * CLUSTER_BYTES - into };
  }

  #headCluster(cluster: number): Uint8Array {
    const at = this.#at;
    if (cluster === 0) return this.#header();
    if (cluster < at.refcountBlocks) return this.#refcountTable(cluster - at.refcountTable);
    if (cluster < at.l1) return this.#refcountBlock(cluster - at.refcountBlocks);
    if (cluster < at.l2) return this.#l1Table(cluster - at.l1);
    return this.#l2Table(this.#tables[cluster - at.l2] as number);
  }

  #header(): Uint8Array {
    const bytes = Buffer.alloc(CLUSTER_BYTES);
    const { backing, virtualSize } = this.#options;
    const at = this.#at;
    bytes.write('QFI\xfb', 0, 'latin1');
    bytes.writeUInt32BE(3, 4);
    bytes.writeUInt32BE(Math.log2(CLUSTER_BYTES), 20);
    writeU64(bytes, virtualSize, 24);
    bytes.writeUInt32BE(this.#l1Entries, 36);
    writeU64(bytes, at.l1 * CLUSTER_BYTES, 40);
    writeU64(bytes, at.refcountTable * CLUSTER_BYTES, 48);
    bytes.writeUInt32BE(at.refcountBlocks - at.refcountTable, 56);
    bytes.writeUInt32BE(REFCOUNT_ORDER, 96);
    bytes.writeUInt32BE(HEADER_LENGTH, 100);
    if (backing) {
      const format = Buffer.from(backing.format);
      bytes.writeUInt32BE(BACKING_FORMAT, HEADER_LENGTH);
      bytes.writeUInt32BE(format.length, HEADER_LENGTH + 4);
      format.copy(bytes, HEADER_LENGTH + 8);
      // An extension is padded to 8 bytes, and one of zeros ends the list.
      const name = Buffer.from(backing.name);
      const nameAt = HEADER_LENGTH + 8 + Math.ceil(format.length / 8) * 8 + 8;
      if (name.length > LONGEST_NAME) throw new RangeError(`a backing file's name has ${name.length} bytes`);
      writeU64(bytes, nameAt, 8);
      bytes.writeUInt32BE(name.length, 16);
      name.copy(bytes, nameAt);
    }
    return bytes;
  }

  #refcountTable(index: number): Uint8Array {
    const bytes = Buffer.alloc(CLUSTER_BYTES);
    const blocks = this.#at.l1 - this.#at.refcountBlocks;
    for (let i = 0; i < ENTRIES && index * ENTRIES + i < blocks; i++) {
      writeU64(bytes, (this.#at.refcountBlocks + index * ENTRIES + i) * CLUSTER_BYTES, i * 8);
    }
    return bytes;
  }

  /** Every cluster of the file is used once. */
  #refcountBlock(index: number): Uint8Array {
    const bytes = Buffer.alloc(CLUSTER_BYTES);
    const count = Math.min(COUNTS, this.#at.end - index * COUNTS);
    for (let i = 0; i < count; i++) bytes[i * 2 + 1] = 1;
    return bytes;
  }

  #l1Table(index: number): Uint8Array {
    const bytes = Buffer.alloc(CLUSTER_BYTES);
    for (const [ordinal, entry] of this.#tables.entries()) {
      const at = entry - index * ENTRIES;
      if (at >= 0 && at < ENTRIES) writeOwned(bytes, (this.#at.l2 + ordinal) * CLUSTER_BYTES, at * 8);
    }
    return bytes;
  }

  /** The L2 table of an entry of the L1 table: where the data of its 512 MiB of disk is. */
  #l2Table(entry: number): Uint8Array {
    const bytes = Buffer.alloc(CLUSTER_BYTES);
    const first = entry * ENTRIES;
    for (let index = this.#runFrom(first); index < this.#runs.length; index++) {
      const run = this.#runs[index] as ClusterRun;
      if (run.start >= first + ENTRIES) break;
      const from = Math.max(run.start, first);
      const to = Math.min(run.start + run.count, first + ENTRIES);
      const place = this.#at.data + (this.#dataBefore[index] as number) - run.start;
      for (let cluster = from; cluster < to; cluster++) {
        const at = (cluster - first) * 8;
        if (run.data) writeOwned(bytes, (place + cluster) * CLUSTER_BYTES, at);
        else bytes[at + 7] = READS_AS_ZEROS;
      }
    }
    return bytes;
  }

  /** Index of the first run that ends behind the cluster. */
  #runFrom(cluster: number): number {
    return firstIndex(this.#runs.length, (index) => {
      const run = this.#runs[index] as ClusterRun;
      return run.start + run.count > cluster;
    });
  }

  /** Index of the run that holds the disk's n-th cluster of data. */
  #runWithData(n: number): number {
    let index = firstIndex(this.#runs.length, (each) => (this.#dataBefore[each] as number) > n) - 1;
    while (!this.#runs[index]?.data) index--;
    return index;
  }
}

export interface Qcow2PlanOptions {
  /** Bytes of the disk. */
  virtualSize: number;
  runs: readonly ClusterRun[];
  /** What the disk stands on, where it doesn't stand alone; named relative to the file. */
  backing?: { name: string; format: 'qcow2' | 'raw' };
}

/** Entries in a table of one cluster. */
const ENTRIES = CLUSTER_BYTES / 8;
/** Reference counts have 16 bits; so many are in a block. */
const REFCOUNT_ORDER = 4;
const COUNTS = CLUSTER_BYTES / 2;
const HEADER_LENGTH = 104;
const BACKING_FORMAT = 0xe2792aca;
/** QEMU's limit. */
const LONGEST_NAME = 1023;
const READS_AS_ZEROS = 1;

function tablesOf(runs: readonly ClusterRun[]): number[] {
  const tables: number[] = [];
  for (const { start, count } of runs) {
    const last = Math.floor((start + count - 1) / ENTRIES);
    for (let entry = Math.floor(start / ENTRIES); entry <= last; entry++) {
      if (tables.at(-1) !== entry) tables.push(entry);
    }
  }
  return tables;
}

function firstIndex(length: number, holds: (index: number) => boolean): number {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

function writeU64(bytes: Buffer, value: number, at: number): void {
  bytes.writeUInt32BE(Math.floor(value / 2 ** 32), at);
  bytes.writeUInt32BE(value % 2 ** 32, at + 4);
}

/** An entry of an L1 or L2 table whose cluster has a reference count of one (bit 63). */
function writeOwned(bytes: Buffer, place: number, at: number): void {
  writeU64(bytes, place, at);
  bytes[at] = (bytes[at] as number) | 0x80;
}
