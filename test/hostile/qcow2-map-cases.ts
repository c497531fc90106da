import type { HostileCase } from './case.ts';
import { compressedEntry, type ForgeOptions, forge, type Places, u64 } from './forge.ts';

type Change = (bytes: Buffer, at: Places) => void;

const CLUSTER = 65536;
const OWNED = 2n ** 63n;

function map(name: string, reason: RegExp, change: Change, options: ForgeOptions = {}): HostileCase {
  return {
    group: 'qcow2 maps',
    name,
    reason,
    bytes: () => {
      const { bytes, at } = forge(options);
      change(bytes, at);
      return bytes;
    },
  };
}

/** Cut at `length`, which may count from the place of a part. */
function cut(name: string, reason: RegExp, length: (at: Places) => number): HostileCase {
  return {
    group: 'cut short',
    name: `qcow2 cut ${name}`,
    reason,
    bytes: () => {
      const { bytes, at } = forge({ snapshot: true, bitmap: true });
      return bytes.subarray(0, length(at));
    },
  };
}

const SHARED = /where (?:other metadata|metadata|data|compressed data) are|at the same place/;

export const qcow2MapCases: readonly HostileCase[] = [
  map('L1 entry behind the end', /L2 table reaches/, (b, at) => u64(b, 2n ** 50n, at.l1)),
  map('L1 entry off its cluster', /where no cluster begins/, (b, at) => u64(b, at.l2 + 512, at.l1)),
  map('L1 entry with reserved bits', /entry of its L1 table is not one/, (b, at) => u64(b, at.l2 + 1, at.l1)),
  map('L1 entry with a hint and no place', /entry of its L1 table is not one/, (b, at) =>
    u64(b, OWNED, at.l1),
  ),
  map('L1 entry that is the L1 table', SHARED, (b, at) => u64(b, at.l1, at.l1)),
  map('L1 entry that is the refcount table', SHARED, (b, at) => u64(b, at.refcountTable, at.l1)),
  map('L1 entry that is a refcount block', SHARED, (b, at) => u64(b, at.refcountBlock, at.l1)),
  map('L1 entry that is data', SHARED, (b, at) => u64(b, at.data, at.l1 + 8), { virtualSize: 2 ** 30 }),
  map(
    'two L1 entries with one L2 table',
    /two of its L2 tables/,
    (b, at) => u64(b, BigInt(at.l2) | OWNED, at.l1 + 8),
    { virtualSize: 2 ** 30 },
  ),
  map('L2 entry behind the end', /cluster of data reaches/, (b, at) => u64(b, 2n ** 50n, at.l2 + 80)),
  map('L2 entry off its cluster', /where no cluster begins/, (b, at) => u64(b, at.data + 512, at.l2)),
  map('L2 entry with reserved bits', /entry of an L2 table is not one/, (b, at) =>
    u64(b, 2n ** 60n + BigInt(at.data), at.l2),
  ),
  map('L2 entry that is its own table', SHARED, (b, at) => u64(b, at.l2, at.l2 + 80)),
  map('L2 entry that is the L1 table', SHARED, (b, at) => u64(b, at.l1, at.l2 + 80)),
  map('L2 entry that is the refcount table', SHARED, (b, at) => u64(b, at.refcountTable, at.l2 + 80)),
  map('L2 entry that is a refcount block', SHARED, (b, at) => u64(b, at.refcountBlock, at.l2 + 80)),
  map('L2 entry that is the snapshot table', SHARED, (b, at) => u64(b, at.snapshotTable, at.l2 + 80), {
    snapshot: true,
  }),
  map('L2 entry that is the bitmap directory', SHARED, (b, at) => u64(b, at.bitmapDirectory, at.l2 + 80), {
    bitmap: true,
  }),
  map('two L2 entries with one cluster', /two clusters of data are at/, (b, at) =>
    u64(b, at.data, at.l2 + 80),
  ),
  map('zero cluster behind the end', /cluster of data reaches/, (b, at) =>
    u64(b, 2n ** 50n + 1n, at.l2 + 80),
  ),
  map('zero cluster that is metadata', SHARED, (b, at) => u64(b, at.l1 + 1, at.l2 + 80)),
  map('zero cluster in version 2', /entry of an L2 table is not one/, (b, at) => u64(b, 1, at.l2 + 80), {
    version: 2,
  }),
  map(
    'subcluster entry behind the end',
    /cluster of data reaches/,
    (b, at) => u64(b, 2n ** 50n, at.l2 + 160),
    { extendedL2: true },
  ),
  map('subcluster entry that is metadata', SHARED, (b, at) => u64(b, at.l2, at.l2 + 160), {
    extendedL2: true,
  }),
  map(
    'subcluster entry with the bit of zeros',
    /entry of an L2 table is not one/,
    (b, at) => u64(b, 1, at.l2 + 160),
    { extendedL2: true },
  ),

  map(
    'subclusters that have data and read as zeros',
    /have data and read as zeros at once/,
    (b, at) => u64(b, -1n, at.l2 + 8),
    { extendedL2: true },
  ),
  map(
    'subclusters with data and no cluster',
    /have data, but no place/,
    (b, at) => u64(b, 0xffffffffn, at.l2 + 168),
    { extendedL2: true },
  ),
  map(
    'compressed cluster with subclusters',
    /compressed cluster of it has subclusters/,
    (b, at) => u64(b, 0xffn, at.l2 + 2 * 16 + 8),
    { extendedL2: true, compressed: true },
  ),
  map('compressed cluster behind the end', /compressed cluster reaches/, (b, at) =>
    u64(b, compressedEntry(2 ** 40, 3, 16), at.l2 + 80),
  ),
  map(
    'compressed cluster over the end',
    /compressed cluster reaches/,
    (b, at) => u64(b, compressedEntry(at.packed + CLUSTER - 512, 9, 16), at.l2 + 80),
    { compressed: true },
  ),
  map('compressed cluster in the header', /compressed cluster reaches from byte 0 into metadata/, (b, at) =>
    u64(b, compressedEntry(0, 1, 16), at.l2 + 80),
  ),
  map('compressed cluster in the L2 table', /compressed cluster reaches .* into metadata/, (b, at) =>
    u64(b, compressedEntry(at.l2 + 77, 1, 16), at.l2 + 80),
  ),
  map(
    'compressed cluster that runs into metadata',
    /compressed cluster reaches .* into metadata/,
    (b, at) => u64(b, compressedEntry(at.packed + CLUSTER - 100, 1, 16), at.l2 + 80),
    { compressed: true, snapshot: true },
  ),
  map('compressed cluster in plain data', /compressed (?:cluster|data)/, (b, at) =>
    u64(b, compressedEntry(at.data + 512, 1, 16), at.l2 + 80),
  ),
  map(
    'plain cluster in compressed data',
    /where compressed data are/,
    (b, at) => u64(b, at.packed, at.l2 + 80),
    { compressed: true },
  ),
  map(
    'bomb: the same compressed bytes 8000 times',
    /lie over each other/,
    (b, at) => {
      for (let entry = 10; entry < 8010; entry++)
        u64(b, compressedEntry(at.packed, 7, 16), at.l2 + entry * 8);
    },
    { compressed: true },
  ),
  map(
    'bomb: 8190 compressed clusters of some 100 bytes, all the same',
    /lie over each other/,
    (b, at) => {
      u64(b, compressedEntry(at.packed, 0, 16), at.l2 + 16);
      for (let entry = 3; entry < 8192; entry++) b.copy(b, at.l2 + entry * 8, at.l2 + 16, at.l2 + 24);
    },
    { compressed: true, virtualSize: 2 ** 29 },
  ),
  map(
    'two L2 entries with one cluster, in a table that a snapshot shares',
    /two clusters of data are at|lie over each other/,
    (b, at) => u64(b, at.data, at.l2 + 80),
    { snapshotShares: true },
  ),
  map(
    'bomb: one cluster 8192 times, in a table that a snapshot shares',
    /two clusters of data are at|lie over each other/,
    (b, at) => {
      for (let entry = 0; entry < 8192; entry++) u64(b, at.data, at.l2 + entry * 8);
    },
    { snapshotShares: true, virtualSize: 2 ** 29 },
  ),
  map(
    'bomb: the same compressed bytes 8190 times, in a table that a snapshot shares',
    /lie over each other/,
    (b, at) => {
      for (let entry = 2; entry < 8192; entry++) u64(b, compressedEntry(at.packed, 0, 16), at.l2 + entry * 8);
    },
    { snapshotShares: true, compressed: true, virtualSize: 2 ** 29 },
  ),
  map(
    'bomb: one cluster 8192 times, in a snapshot alone',
    /lie over each other/,
    (b, at) => {
      u64(b, 0, at.l1);
      for (let entry = 0; entry < 8192; entry++) u64(b, at.data, at.l2 + entry * 8);
    },
    { snapshotShares: true, virtualSize: 2 ** 29 },
  ),
  map(
    'bomb: the same compressed bytes 8190 times, in a snapshot alone',
    /lie over each other/,
    (b, at) => {
      u64(b, 0, at.l1);
      for (let entry = 2; entry < 8192; entry++) u64(b, compressedEntry(at.packed, 0, 16), at.l2 + entry * 8);
    },
    { snapshotShares: true, compressed: true, virtualSize: 2 ** 29 },
  ),
  map(
    "L2 table that is at one place of the disk's L1 table and at another of a snapshot's",
    /two of its L2 tables/,
    (b, at) => {
      u64(b, 0, at.l1);
      u64(b, at.l2, at.l1 + 8);
    },
    { snapshotShares: true, virtualSize: 2 ** 30 },
  ),
  map(
    'two entries of the L1 table of a snapshot with one L2 table',
    /two of its L2 tables/,
    (b, at) => u64(b, at.l2, at.snapshotL1 + 8),
    { snapshotShares: true, virtualSize: 2 ** 30 },
  ),

  map('refcount block behind the end', /refcount block reaches/, (b, at) =>
    u64(b, 2n ** 50n, at.refcountTable),
  ),
  map('refcount block off its cluster', /where no cluster begins/, (b, at) =>
    u64(b, at.refcountBlock + 512, at.refcountTable),
  ),
  map('refcount block that is the refcount table', SHARED, (b, at) =>
    u64(b, at.refcountTable, at.refcountTable),
  ),
  map('refcount block that is the L1 table', SHARED, (b, at) => u64(b, at.l1, at.refcountTable)),
  map('refcount block that is data', SHARED, (b, at) => u64(b, at.data, at.refcountTable + 8)),
  map('two refcount blocks at one place', SHARED, (b, at) => u64(b, at.refcountBlock, at.refcountTable + 8)),

  map(
    'L1 table of a snapshot behind the end',
    /L1 table of a snapshot reaches/,
    (b, at) => u64(b, 2 ** 40, at.snapshotTable),
    { snapshot: true },
  ),
  map(
    'L1 table of a snapshot off its cluster',
    /L1 table of a snapshot is at byte/,
    (b, at) => u64(b, at.snapshotL1 + 8, at.snapshotTable),
    { snapshot: true },
  ),
  map('L1 table of a snapshot in the header', SHARED, (b, at) => u64(b, 0, at.snapshotTable), {
    snapshot: true,
  }),
  map(
    'L1 table of a snapshot in its own record',
    SHARED,
    (b, at) => u64(b, at.snapshotTable, at.snapshotTable),
    { snapshot: true },
  ),
  map("L1 table of a snapshot that is the disk's", SHARED, (b, at) => u64(b, at.l1, at.snapshotTable), {
    snapshot: true,
  }),
  map(
    'L1 table of a snapshot with 2^32 entries',
    /L1 table of a snapshot has/,
    (b, at) => b.writeUInt32BE(0xffffffff, at.snapshotTable + 8),
    { snapshot: true },
  ),
  map(
    'snapshot with 4 GiB of extra data',
    /extra data/,
    (b, at) => b.writeUInt32BE(0xffffffff, at.snapshotTable + 36),
    { snapshot: true },
  ),
  map(
    'snapshot of a disk of 4 EiB',
    /a snapshot is of a disk of 46116860184273\d+ bytes/,
    (b, at) => u64(b, 2n ** 62n, at.snapshotTable + 48),
    { snapshot: true },
  ),
  map(
    'snapshot of half a sector',
    /a snapshot is of a disk of 256 bytes/,
    (b, at) => u64(b, 256, at.snapshotTable + 48),
    { snapshot: true },
  ),
  map(
    "snapshot with a machine's state of 4 EiB",
    /state of a machine in a snapshot reaches/,
    (b, at) => u64(b, 2n ** 62n, at.snapshotTable + 40),
    { snapshot: true },
  ),
  map(
    "snapshot with a machine's state larger than the file",
    /state of a machine in a snapshot reaches/,
    (b, at) => u64(b, 2n ** 20n, at.snapshotTable + 40),
    { snapshot: true },
  ),
  map(
    'snapshot record over the end of the file',
    /snapshot table reaches/,
    (b, at) => {
      u64(b, at.snapshotL1, 64);
      b.copy(b, at.snapshotL1, at.snapshotTable, at.snapshotTable + 64);
      u64(b, 0, at.snapshotL1);
      b.writeUInt32BE(0, at.snapshotL1 + 8);
      b.writeUInt16BE(65535, at.snapshotL1 + 12);
      b.writeUInt16BE(65535, at.snapshotL1 + 14);
    },
    { snapshot: true },
  ),
  map(
    'snapshot record over the L1 table of the snapshot',
    SHARED,
    (b, at) => {
      b.writeUInt16BE(65535, at.snapshotTable + 12);
    },
    { snapshot: true },
  ),
  map(
    'L2 table of a snapshot behind the end',
    /L2 table reaches/,
    (b, at) => u64(b, 2n ** 50n, at.snapshotL1),
    { snapshot: true },
  ),
  map('L2 table of a snapshot that is the L1 table', SHARED, (b, at) => u64(b, at.l1, at.snapshotL1), {
    snapshot: true,
  }),
  map('L2 table of a snapshot that is data', SHARED, (b, at) => u64(b, at.data, at.snapshotL1), {
    snapshot: true,
  }),

  map(
    'table of a bitmap behind the end',
    /table of a bitmap reaches/,
    (b, at) => u64(b, 2 ** 40, at.bitmapDirectory),
    { bitmap: true },
  ),
  map('table of a bitmap that is the L1 table', SHARED, (b, at) => u64(b, at.l1, at.bitmapDirectory), {
    bitmap: true,
  }),
  map(
    'table of a bitmap of 32 GiB',
    /a bitmap has a name of 4 bytes and a table of/,
    (b, at) => b.writeUInt32BE(0xffffffff, at.bitmapDirectory + 8),
    { bitmap: true },
  ),
  map(
    'table of a bitmap without entries',
    /a bitmap has a name of 4 bytes and a table of 0 bytes/,
    (b, at) => b.writeUInt32BE(0, at.bitmapDirectory + 8),
    { bitmap: true },
  ),
  map(
    'table of a bitmap that is longer than the disk needs',
    /has 2 entries, but the disk needs 1/,
    (b, at) => b.writeUInt32BE(2, at.bitmapDirectory + 8),
    { bitmap: true },
  ),
  map(
    'table of a bitmap that is too short for the disk',
    /has 1 entries, but the disk needs 32/,
    (b, at) => b.writeUInt8(9, at.bitmapDirectory + 17),
    { bitmap: true, virtualSize: 2 ** 33 },
  ),
  map(
    'bitmap of a type that is not known',
    /a bitmap has the type 9/,
    (b, at) => b.writeUInt8(9, at.bitmapDirectory + 16),
    { bitmap: true },
  ),
  map(
    'bitmap with flags that are not known',
    /a bitmap has the type 1, the flags 8/,
    (b, at) => b.writeUInt32BE(8, at.bitmapDirectory + 12),
    { bitmap: true },
  ),
  map(
    'bitmap record longer than the directory',
    /does not hold 1 bitmaps/,
    (b, at) => b.writeUInt32BE(2 ** 30, at.bitmapDirectory + 20),
    { bitmap: true },
  ),
  map('bitmap behind the end', /a bitmap reaches/, (b, at) => u64(b, 2n ** 50n, at.bitmapTable), {
    bitmap: true,
  }),
  map('bitmap that is metadata', SHARED, (b, at) => u64(b, at.l1, at.bitmapTable), { bitmap: true }),
  map(
    'bitmap that is a cluster of the disk, counted twice',
    SHARED,
    (b, at) => {
      u64(b, at.data, at.bitmapTable);
      u64(b, at.data, at.l2);
      b.writeUInt16BE(2, at.refcountBlock + (at.data / CLUSTER) * 2);
      b.writeUInt16BE(0, at.refcountBlock + (at.bitmapData / CLUSTER) * 2);
    },
    { bitmap: true },
  ),
  map(
    'bitmap that is a cluster of a snapshot',
    SHARED,
    (b, at) => {
      u64(b, at.l2, at.snapshotL1);
      u64(b, 0, at.l1);
      u64(b, at.data, at.bitmapTable);
    },
    { snapshot: true, bitmap: true },
  ),
  map(
    'bitmap entry with reserved bits',
    /entry of a bitmap is not one/,
    (b, at) => u64(b, at.bitmapData + 2, at.bitmapTable),
    { bitmap: true },
  ),

  map(
    'L1 table behind its L2 table, entry behind the end',
    /cluster of data reaches/,
    (b, at) => u64(b, 2n ** 50n, at.l2 + 80),
    { l1Last: true },
  ),
  map(
    'L1 table behind its L2 table, entry that is its own table',
    SHARED,
    (b, at) => u64(b, at.l2, at.l2 + 80),
    { l1Last: true },
  ),
  map(
    'L1 table behind its L2 table, two entries with one cluster',
    /two clusters of data/,
    (b, at) => u64(b, at.data, at.l2 + 80),
    { l1Last: true },
  ),
  map(
    'L1 table behind its L2 table, entry that is the L1 table',
    SHARED,
    (b, at) => u64(b, at.l1, at.l2 + 80),
    { l1Last: true },
  ),

  cut('in its header', /cut short/, () => 50),
  cut('behind its magic', /cut short/, () => 8),
  cut('behind its header', /cut short/, () => 104),
  cut('in its refcount table', /cut short/, (at) => at.refcountTable + 100),
  cut('in its L1 table', /cut short/, (at) => at.l1 + 4),
  cut('in its L2 table', /cut short/, (at) => at.l2 + 4096),
  cut('in its data', /cut short/, (at) => at.data + 1),
  cut('in its snapshot table', /cut short/, (at) => at.snapshotTable + 10),
  cut('in its bitmap directory', /cut short/, (at) => at.bitmapDirectory + 10),
  cut('in the table of a bitmap', /cut short/, (at) => at.bitmapTable + 4),
];
