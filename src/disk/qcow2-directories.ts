/** The heads of the records in a qcow2's snapshot table and bitmap directory (QEMU's docs/interop/qcow2.txt). */
import type { Head } from './head.ts';
import type { Extent } from './qcow2-extensions.ts';
import { damaged } from './refusal.ts';
import type { Further } from './table-readers.ts';

export const SNAPSHOT_HEAD = 40;
export const BITMAP_HEAD = 24;

/** QEMU's own limits (block/qcow2.h): what is larger it won't open. */
const MAX_L1_TABLE = 32 * 1024 * 1024;
const MAX_SNAPSHOT_EXTRA = 1024;
const MAX_BITMAP = 512 * 1024 * 1024;
const MAX_BITMAP_NAME = 1023;
const KNOWN_BITMAP_FLAGS = 7;
const BITMAP_IN_USE = 1;
/** Of a snapshot's extra data, what we read. */
const SNAPSHOT_EXTRA = 16;

export interface SnapshotHead extends Further {
  l1Table: Extent;
}

/** The L1 table, and what follows the head: the extra data are wanted, as far as they are known. */
export function readSnapshotHead(head: Head, clusterSize: number): SnapshotHead {
  const entries = head.u32be(8);
  const extra = head.u32be(36);
  if (entries * 8 > MAX_L1_TABLE) {
    throw damaged(`the L1 table of a snapshot has ${entries} entries; ${MAX_L1_TABLE / 8} is the most`);
  }
  if (extra > MAX_SNAPSHOT_EXTRA) {
    throw damaged(`a snapshot has ${extra} bytes of extra data; ${MAX_SNAPSHOT_EXTRA} is the most`);
  }
  const start = head.u64be(0);
  return {
    l1Table: aligned({ name: 'L1 table of a snapshot', start, end: start + entries * 8 }, clusterSize),
    further: extra + head.u16be(12) + head.u16be(14),
    wanted: Math.min(extra, SNAPSHOT_EXTRA),
  };
}

/**
 * @param extra the extra data of a snapshot, which old ones lack: bytes of a machine's state, bytes of the disk
 * @returns bytes of the machine's state: written whole, they are in the file
 */
export function readSnapshotExtra(extra: Head, maxVirtualSize: number): { stateSize: number } {
  const diskSize = extra.u64be(8);
  if (extra.length === SNAPSHOT_EXTRA && (diskSize > maxVirtualSize || diskSize % 512 !== 0)) {
    throw damaged(
      `a snapshot is of a disk of ${diskSize} bytes; whole sectors and ${maxVirtualSize} bytes at most are allowed`,
    );
  }
  return { stateSize: extra.u64be(0) };
}

export interface BitmapHead extends Further {
  table: Extent;
}

/** The bitmap's table, which is as long as the disk needs, and how many bytes the record has behind its head. */
export function readBitmapHead(
  head: Head,
  { clusterSize, virtualSize }: { clusterSize: number; virtualSize: number },
): BitmapHead {
  const start = head.u64be(0);
  const entries = head.u32be(8);
  const flags = head.u32be(12);
  const type = head.u8(16);
  const granularity = head.u8(17);
  const name = head.u16be(18);
  if (flags & ~KNOWN_BITMAP_FLAGS || type !== 1 || granularity < 9 || granularity > 31) {
    throw damaged(
      `a bitmap has the type ${type}, the flags ${flags >>> 0} and a granularity of 2^${granularity}`,
    );
  }
  if (name === 0 || name > MAX_BITMAP_NAME || entries === 0 || entries * clusterSize > MAX_BITMAP) {
    throw damaged(`a bitmap has a name of ${name} bytes and a table of ${entries * 8} bytes`);
  }
  const needed = Math.ceil(Math.ceil(virtualSize / 2 ** granularity) / 8 / clusterSize);
  // One that was not closed may be of the disk before it was resized: QEMU doesn't load its bits.
  if (!(flags & BITMAP_IN_USE) && entries !== needed) {
    throw damaged(`the table of a bitmap has ${entries} entries, but the disk needs ${needed}`);
  }
  const table = aligned({ name: 'table of a bitmap', start, end: start + entries * 8 }, clusterSize);
  return { table, further: head.u32be(20) + name, wanted: 0 };
}

/** @throws IngotError IMG.1002 for a table that no cluster can begin with */
export function aligned(table: Extent, clusterSize: number): Extent {
  if (table.end > Number.MAX_SAFE_INTEGER || table.start % clusterSize !== 0) {
    throw damaged(`its ${table.name} is at byte ${table.start}, where none can be`);
  }
  return table;
}
