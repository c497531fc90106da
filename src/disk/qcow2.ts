import { formatSize } from '../kernel/format.ts';
import type { Qcow2Facts } from './facts.ts';
import type { Head } from './head.ts';
import { aligned, SNAPSHOT_HEAD } from './qcow2-directories.ts';
import { type Extent, type Qcow2Extensions, readExtensions } from './qcow2-extensions.ts';
import { cutShort, damaged, quotable, refusal } from './refusal.ts';
import { refuseSecondFormat } from './second-format.ts';

/**
 * The header of a qcow2 image, judged by QEMU's docs/interop/qcow2.txt: everything it claims must be
 * possible, and everything the image needs must be in this one file. Its maps are judged as they pass
 * (qcow2-maps.ts).
 */
export interface Qcow2Header {
  facts: Omit<Qcow2Facts, 'format' | 'fileSize'>;
  l1Table: Extent;
  refcountTable: Extent;
  /** Its least extent: each record says itself how long it is. Absent without snapshots. */
  snapshotTable?: Extent;
  bitmapDirectory?: Extent;
}

const QCOW2_MAGIC = 'QFI\xfb';
/** The header and its extensions must end here; real ones take a few hundred bytes. */
export const QCOW2_HEAD = 64 * 1024;

const HEADER_LENGTH_2 = 72;
const HEADER_LENGTH_3 = 104;
/** QEMU's own limits (block/qcow2.h): what is larger it won't open. */
const MAX_L1_TABLE = 32 * 1024 * 1024;
const MAX_REFCOUNT_TABLE = 8 * 1024 * 1024;
const MAX_SNAPSHOTS = 65536;

const INCOMPATIBLE = { dirty: 1, corrupt: 2, externalData: 4, compressionType: 8, extendedL2: 16 } as const;
const KNOWN_INCOMPATIBLE = 31;
const AUTOCLEAR_BITMAPS = 1;
const AUTOCLEAR_RAW_DATA = 2;

/** True for qcow2 of any version that we know; version 1 is another format, and refused elsewhere. */
export function isQcow2(head: Head): boolean {
  return head.holds(QCOW2_MAGIC) && head.u32be(4) !== 1;
}

export function readQcow2(head: Head, maxVirtualSize: number): Qcow2Header {
  const version = head.u32be(4);
  if (version !== 2 && version !== 3) {
    throw damaged(`its version is ${version}; 2 and 3 are known`);
  }
  const minimum = version === 2 ? HEADER_LENGTH_2 : HEADER_LENGTH_3;
  if (head.length < minimum) throw cutShort('qcow2', 'its header reaches', minimum, head.length);

  const clusterBits = head.u32be(20);
  if (clusterBits < 9 || clusterBits > 21) {
    throw damaged(`its clusters are 2^${clusterBits} bytes; 2^9 to 2^21 are possible`);
  }
  const clusterSize = 2 ** clusterBits;
  const features = version === 3 ? readFeatures(head, clusterBits) : NO_FEATURES;
  const headerLength = version === 3 ? readHeaderLength(head, clusterSize) : HEADER_LENGTH_2;
  const compression = readCompression(head, features.compressionType, headerLength);
  refuseBackingFile(head);
  const extensionsEnd = Math.min(clusterSize, QCOW2_HEAD);
  const extensions = readExtensions(head, headerLength, extensionsEnd, { bitmaps: features.bitmaps });
  refuseDependants(head, features.externalData, extensions);

  const virtualSize = readVirtualSize(head, maxVirtualSize);
  const l1Table = readL1Table(head, clusterSize, virtualSize, features.extendedL2);
  const refcountTable = readRefcountTable(head, clusterSize);
  const snapshots = head.u32be(60);
  const snapshotTable = readSnapshotTable(head, snapshots, clusterSize);
  const bitmapDirectory = extensions.bitmapDirectory && aligned(extensions.bitmapDirectory, clusterSize);
  const tables = {
    l1Table,
    refcountTable,
    ...(snapshots > 0 && { snapshotTable }),
    ...(bitmapDirectory && { bitmapDirectory }),
  };
  refuseOverlaps([{ name: 'header', start: 0, end: clusterSize }, ...Object.values(tables)]);
  refuseSecondFormat(head, clusterSize);

  const { extendedL2, lazyRefcounts } = features;
  const { bitmaps } = extensions;
  return {
    facts: { virtualSize, version, clusterSize, compression, extendedL2, lazyRefcounts, snapshots, bitmaps },
    ...tables,
  };
}

const NO_FEATURES = {
  externalData: false,
  compressionType: false,
  extendedL2: false,
  lazyRefcounts: false,
  bitmaps: false,
};

function readFeatures(head: Head, clusterBits: number): typeof NO_FEATURES {
  const low = head.u32be(76);
  const unknown = head.u32be(72) !== 0 || (low & ~KNOWN_INCOMPATIBLE) !== 0;
  if (unknown) {
    throw refusal(
      'qcow2',
      `The image is a qcow2 with incompatible features that are not known (bits ${head.u64be(72).toString(16)} hexadecimal). Rewrite it with the qemu-img that made it: qemu-img convert -O qcow2 SOURCE TARGET.qcow2`,
    );
  }
  if (low & INCOMPATIBLE.corrupt) {
    throw refusal(
      'qcow2-corrupt',
      'The image is a qcow2 that QEMU has marked as corrupt. Repair it first: qemu-img check -r all FILE',
    );
  }
  if (low & INCOMPATIBLE.dirty) {
    throw refusal(
      'qcow2-dirty',
      'The image is a qcow2 that was not closed cleanly (marked dirty: its reference counts may be wrong), or is still in use. Close what uses it, or repair it first: qemu-img check -r all FILE',
    );
  }
  if (low & INCOMPATIBLE.extendedL2 && clusterBits < 14) {
    throw damaged(`it has subclusters, but clusters of only ${2 ** clusterBits} bytes; 16384 is the least`);
  }
  if (head.u32be(96) > 6) {
    throw damaged(`its reference counts have 2^${head.u32be(96)} bits; 2^6 is the most`);
  }
  if (head.u32be(92) & AUTOCLEAR_RAW_DATA && !(low & INCOMPATIBLE.externalData)) {
    throw damaged('it says of an external data file that it is raw, but has none');
  }
  return {
    externalData: (low & INCOMPATIBLE.externalData) !== 0,
    compressionType: (low & INCOMPATIBLE.compressionType) !== 0,
    extendedL2: (low & INCOMPATIBLE.extendedL2) !== 0,
    lazyRefcounts: (head.u32be(84) & 1) !== 0,
    bitmaps: (head.u32be(92) & AUTOCLEAR_BITMAPS) !== 0,
  };
}

function readHeaderLength(head: Head, clusterSize: number): number {
  const length = head.u32be(100);
  if (length < HEADER_LENGTH_3 || length % 8 !== 0 || length > Math.min(clusterSize, QCOW2_HEAD)) {
    throw damaged(`its header has ${length} bytes`);
  }
  return length;
}

function readCompression(head: Head, flagged: boolean, headerLength: number): 'zlib' | 'zstd' {
  const type = headerLength > HEADER_LENGTH_3 ? head.u8(HEADER_LENGTH_3) : 0;
  if (type > 1) {
    throw refusal(
      'qcow2',
      `The image is a qcow2 whose compression (type ${type}) is not known. Rewrite it: qemu-img convert -O qcow2 SOURCE TARGET.qcow2`,
    );
  }
  if (flagged !== (type !== 0)) throw damaged('its header contradicts itself about the compression type');
  return type === 1 ? 'zstd' : 'zlib';
}

/** What is not in this file can't be checked, copied or trusted. Its name may stand where extensions would. */
function refuseBackingFile(head: Head): void {
  const backingOffset = head.u64be(8);
  if (backingOffset === 0) return;
  const length = Math.min(1023, head.u32be(16));
  const name = quotable(Buffer.from(head.slice(backingOffset, length)).toString(), 200);
  throw refusal(
    'qcow2-backing-file',
    `The image is not standalone: its backing file is ${name ? `"${name}"` : 'named outside of its header'}. Merge the two where both are: qemu-img convert -O qcow2 SOURCE TARGET.qcow2`,
  );
}

/** The same holds for a data file and a key. */
function refuseDependants(head: Head, externalData: boolean, extensions: Qcow2Extensions): void {
  if (externalData || extensions.dataFile !== undefined) {
    const name = quotable(extensions.dataFile ?? '', 200);
    throw refusal(
      'qcow2-data-file',
      `The image is not standalone: its data are in another file${name && `, "${name}"`}. Put both into one where both are: qemu-img convert -O qcow2 SOURCE TARGET.qcow2`,
    );
  }
  if (head.u32be(32) !== 0 || extensions.encrypted) {
    const method = ['', ' (AES)', ' (LUKS)'][head.u32be(32)] ?? '';
    throw refusal(
      'qcow2-encrypted',
      `The image is an encrypted qcow2${method}. Decrypt it first: qemu-img convert -O qcow2 with its secret (--object secret,… --image-opts)`,
    );
  }
}

function readVirtualSize(head: Head, maxVirtualSize: number): number {
  const size = head.u64be(24);
  if (size === 0 || size % 512 !== 0) {
    throw damaged(
      `its virtual size is ${size} bytes; a disk has a whole number of 512-byte sectors, at least one`,
    );
  }
  if (size > maxVirtualSize) {
    throw refusal(
      'qcow2',
      `The image asks for a disk of ${size} bytes (${formatSize(size)}); the largest that is allowed has ${maxVirtualSize} bytes (${formatSize(maxVirtualSize)})`,
    );
  }
  return size;
}

/** Each L1 entry stands for one L2 table of a cluster, whose entries stand for a cluster each. */
function readL1Table(head: Head, clusterSize: number, virtualSize: number, extendedL2: boolean): Extent {
  const entries = head.u32be(36);
  const start = head.u64be(40);
  const bytesPerEntry = (clusterSize / (extendedL2 ? 16 : 8)) * clusterSize;
  const needed = Math.ceil(virtualSize / bytesPerEntry);
  if (entries < needed) {
    throw damaged(`its L1 table has ${entries} entries, but a disk of ${virtualSize} bytes needs ${needed}`);
  }
  if (entries * 8 > MAX_L1_TABLE) {
    throw damaged(`its L1 table has ${entries} entries; ${MAX_L1_TABLE / 8} is the most`);
  }
  return aligned({ name: 'L1 table', start, end: start + entries * 8 }, clusterSize);
}

function readRefcountTable(head: Head, clusterSize: number): Extent {
  const size = head.u32be(56) * clusterSize;
  const start = head.u64be(48);
  if (size === 0 || size > MAX_REFCOUNT_TABLE) {
    throw damaged(
      `its refcount table has ${size} bytes; 1 cluster to ${MAX_REFCOUNT_TABLE} bytes are possible`,
    );
  }
  return aligned({ name: 'refcount table', start, end: start + size }, clusterSize);
}

/** Its place is judged without snapshots too, as QEMU does. */
function readSnapshotTable(head: Head, snapshots: number, clusterSize: number): Extent {
  if (snapshots > MAX_SNAPSHOTS) throw damaged(`it has ${snapshots} snapshots; ${MAX_SNAPSHOTS} is the most`);
  const start = head.u64be(64);
  return aligned({ name: 'snapshot table', start, end: start + snapshots * SNAPSHOT_HEAD }, clusterSize);
}

function refuseOverlaps(extents: Extent[]): void {
  const sorted = extents.toSorted((one, other) => one.start - other.start);
  for (const [index, extent] of sorted.entries()) {
    const next = sorted[index + 1];
    if (next && next.start < extent.end) {
      throw damaged(`its ${extent.name} and its ${next.name} are at the same place (byte ${next.start})`);
    }
  }
}
