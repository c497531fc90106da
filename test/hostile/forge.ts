/** Writes qcow2 images byte by byte (QEMU's docs/interop/qcow2.txt), sound ones to begin with. */
import { deflateRawSync } from 'node:zlib';

export interface ForgeOptions {
  version?: 2 | 3;
  clusterBits?: number;
  /** Bytes of the disk. */
  virtualSize?: number;
  extendedL2?: boolean;
  /** One internal snapshot, of the disk while it was empty. */
  snapshot?: boolean;
  /**
   * The snapshot is of the disk as it is: they share the L2 table, which lies behind the snapshot's L1 table and in front
   * of the disk's.
   */
  snapshotShares?: boolean;
  /** One dirty bitmap with a cluster of bits. */
  bitmap?: boolean;
  /** The disk's second cluster is stored compressed. */
  compressed?: boolean;
  /** The L1 table lies behind all else, as in an image that has grown. */
  l1Last?: boolean;
  /** The disk's first clusters lie right behind the header. */
  dataFirst?: boolean;
  /** How many clusters behind the header belong to nothing. */
  free?: number;
  /** Header extensions in front of those that the other options bring: type, content. */
  extensions?: readonly (readonly [type: number, content: Buffer])[];
}

/** Places of the parts, bytes; of one that isn't there 0. */
export interface Places {
  refcountTable: number;
  refcountBlock: number;
  l1: number;
  l2: number;
  /** The disk's first clusters. */
  data: number;
  packed: number;
  snapshotTable: number;
  snapshotL1: number;
  bitmapDirectory: number;
  bitmapTable: number;
  bitmapData: number;
}

export interface Forged {
  bytes: Buffer;
  at: Places;
  clusterSize: number;
}

const BITMAPS = 0x23852875;
const OWNED = 1n << 63n;
const DATA_CLUSTERS = 2;
const GRANULARITY = 16;

export function forge(options: ForgeOptions = {}): Forged {
  const { version = 3, clusterBits = 16, virtualSize = 8 << 20, free = 0 } = options;
  const clusterSize = 2 ** clusterBits;
  let clusters = 1 + free;
  const place = (wanted = true, count = 1) => {
    const start = clusters * clusterSize;
    if (wanted) clusters += count;
    return wanted ? start : 0;
  };
  const earlyData = place(options.dataFirst === true, DATA_CLUSTERS);
  const refcountTable = place();
  const refcountBlock = place();
  const shares = options.snapshotShares === true;
  const l1Last = options.l1Last === true || shares;
  const early = place(!l1Last);
  const earlySnapshotTable = place(shares);
  const earlySnapshotL1 = place(shares);
  const at: Places = {
    refcountTable,
    refcountBlock,
    l1: early,
    l2: place(),
    data: earlyData || place(true, DATA_CLUSTERS),
    packed: 0,
    snapshotTable: 0,
    snapshotL1: 0,
    bitmapDirectory: 0,
    bitmapTable: 0,
    bitmapData: 0,
  };
  at.packed = place(options.compressed === true);
  const hasLateSnapshot = options.snapshot === true && !shares;
  at.snapshotTable = place(hasLateSnapshot) + earlySnapshotTable;
  at.snapshotL1 = place(hasLateSnapshot) + earlySnapshotL1;
  at.bitmapDirectory = place(options.bitmap === true);
  at.bitmapTable = place(options.bitmap === true);
  at.bitmapData = place(options.bitmap === true);
  if (l1Last) at.l1 = place();

  const bytes = Buffer.alloc(clusters * clusterSize);
  const entryBytes = options.extendedL2 ? 16 : 8;
  const l1Entries = Math.ceil(virtualSize / ((clusterSize / entryBytes) * clusterSize));
  writeHeader(bytes, options, { version, clusterBits, virtualSize, l1Entries, at });
  u64(bytes, at.refcountBlock, at.refcountTable);
  for (let cluster = 0; cluster < clusters; cluster++) {
    const used = cluster === 0 || cluster > free;
    bytes.writeUInt16BE(used ? 1 : 0, at.refcountBlock + cluster * 2);
  }
  bytes.writeBigUInt64BE(BigInt(at.l2) | OWNED, at.l1);
  for (let index = 0; index < DATA_CLUSTERS; index++) {
    bytes.fill(0x41 + index, at.data + index * clusterSize, at.data + (index + 1) * clusterSize);
    writeL2Entry(bytes, at.l2 + index * entryBytes, BigInt(at.data + index * clusterSize) | OWNED, options);
  }
  if (options.compressed) writeCompressed(bytes, at, clusterBits, entryBytes);
  if (options.snapshot || shares) writeSnapshot(bytes, at, l1Entries, virtualSize);
  if (shares) share(bytes, at, clusterSize, entryBytes);
  if (options.bitmap) writeBitmap(bytes, at);
  return { bytes, at, clusterSize };
}

interface Shape {
  version: number;
  clusterBits: number;
  virtualSize: number;
  l1Entries: number;
  at: Places;
}

function writeHeader(bytes: Buffer, options: ForgeOptions, shape: Shape): void {
  const { version, clusterBits, virtualSize, l1Entries, at } = shape;
  bytes.write('QFI\xfb', 0, 'latin1');
  bytes.writeUInt32BE(version, 4);
  bytes.writeUInt32BE(clusterBits, 20);
  u64(bytes, virtualSize, 24);
  bytes.writeUInt32BE(l1Entries, 36);
  u64(bytes, at.l1, 40);
  u64(bytes, at.refcountTable, 48);
  bytes.writeUInt32BE(1, 56);
  bytes.writeUInt32BE(options.snapshot || options.snapshotShares ? 1 : 0, 60);
  u64(bytes, at.snapshotTable, 64);
  if (version === 3) {
    bytes.writeUInt32BE(options.extendedL2 ? 16 : 0, 76);
    bytes.writeUInt32BE(options.bitmap ? 1 : 0, 92);
    bytes.writeUInt32BE(4, 96);
    bytes.writeUInt32BE(104, 100);
  }
  const extensions = [...(options.extensions ?? [])];
  if (options.bitmap) {
    const content = Buffer.alloc(24);
    content.writeUInt32BE(1, 0);
    u64(content, 32, 8);
    u64(content, at.bitmapDirectory, 16);
    extensions.push([BITMAPS, content]);
  }
  writeExtensions(bytes, version === 3 ? 104 : 72, extensions);
}

function writeExtensions(bytes: Buffer, start: number, extensions: NonNullable<ForgeOptions['extensions']>) {
  let at = start;
  for (const [type, content] of extensions) {
    bytes.writeUInt32BE(type >>> 0, at);
    bytes.writeUInt32BE(content.length, at + 4);
    content.copy(bytes, at + 8);
    at += 8 + Math.ceil(content.length / 8) * 8;
  }
}

function writeL2Entry(bytes: Buffer, at: number, entry: bigint, { extendedL2 }: ForgeOptions): void {
  bytes.writeBigUInt64BE(entry, at);
  if (extendedL2) bytes.writeBigUInt64BE(0xffffffffn, at + 8);
}

function writeCompressed(bytes: Buffer, at: Places, clusterBits: number, entryBytes: number): void {
  const packed = deflateRawSync(Buffer.alloc(2 ** clusterBits, 'compressed '), { windowBits: 12 });
  packed.copy(bytes, at.packed);
  const sectors = Math.floor((packed.length - 1) / 512);
  bytes.writeBigUInt64BE(
    compressedEntry(at.packed, sectors, clusterBits),
    at.l2 + DATA_CLUSTERS * entryBytes,
  );
}

/** An L2 entry for compressed bytes at `place` that go on in so many further sectors. */
export function compressedEntry(place: number, sectors: number, clusterBits: number): bigint {
  return (1n << 62n) | (BigInt(sectors) << BigInt(62 - (clusterBits - 8))) | BigInt(place);
}

function writeSnapshot(bytes: Buffer, at: Places, l1Entries: number, virtualSize: number): void {
  const record = at.snapshotTable;
  u64(bytes, at.snapshotL1, record);
  bytes.writeUInt32BE(l1Entries, record + 8);
  bytes.writeUInt16BE(1, record + 12);
  bytes.writeUInt16BE(4, record + 14);
  bytes.writeUInt32BE(16, record + 36);
  u64(bytes, virtualSize, record + 48);
  bytes.write('1snap', record + 56);
}

/** Counts twice what two have, and takes the hint away that one alone has it. */
function share(bytes: Buffer, at: Places, clusterSize: number, entryBytes: number): void {
  u64(bytes, at.l2, at.l1);
  u64(bytes, at.l2, at.snapshotL1);
  const data = Array.from({ length: DATA_CLUSTERS }, (_, index) => at.data + index * clusterSize);
  for (const [index, place] of data.entries()) u64(bytes, place, at.l2 + index * entryBytes);
  for (const place of [at.l2, ...data, ...(at.packed ? [at.packed] : [])]) {
    bytes.writeUInt16BE(2, at.refcountBlock + (place / clusterSize) * 2);
  }
}

function writeBitmap(bytes: Buffer, at: Places): void {
  const record = at.bitmapDirectory;
  u64(bytes, at.bitmapTable, record);
  bytes.writeUInt32BE(1, record + 8);
  bytes.writeUInt8(1, record + 16);
  bytes.writeUInt8(GRANULARITY, record + 17);
  bytes.writeUInt16BE(4, record + 18);
  bytes.write('dirt', record + 24);
  u64(bytes, at.bitmapData, at.bitmapTable);
}

export function u64(bytes: Buffer, value: number | bigint, at: number): void {
  bytes.writeBigUInt64BE(BigInt.asUintN(64, BigInt(value)), at);
}
