/** The heads of the records in a qcow2's snapshot table and bitmap directory (QEMU's docs/interop/qcow2.txt). */
import type { Head } from './head.ts';
import type { Extent } from './qcow2-extensions.ts';
import { damaged } from './refusal.ts';

export const SNAPSHOT_HEAD = 40;
export const BITMAP_HEAD = 24;

/** QEMU's own limits (block/qcow2.h): what is larger it won't open. */
const MAX_L1_TABLE = 32 * 1024 * 1024;
const MAX_SNAPSHOT_EXTRA = 1024;
const MAX_BITMAP_TABLE = 128 * 1024 * 1024;
const MAX_BITMAP_NAME = 1023;
const KNOWN_BITMAP_FLAGS = 7;

/** @returns the snapshot's L1 table, and how many bytes the record has behind its head */
export function readSnapshotHead(head: Head, clusterSize: number): { l1Table: Extent; further: number } {
  const entries = head.u32be(8);
  const extra = head.u32be(36);
  if (entries * 8 > MAX_L1_TABLE) {
    throw damaged(`the L1 table of a snapshot has ${entries} entries; ${MAX_L1_TABLE / 8} is the most`);
  }
  if (extra > MAX_SNAPSHOT_EXTRA) {
    throw damaged(`a snapshot has ${extra} bytes of extra data; ${MAX_SNAPSHOT_EXTRA} is the most`);
  }
  const start = head.u64be(0);
  const l1Table = { name: 'L1 table of a snapshot', start, end: start + entries * 8 };
  return { l1Table: aligned(l1Table, clusterSize), further: extra + head.u16be(12) + head.u16be(14) };
}

/** @returns the bitmap's table, and how many bytes the record has behind its head */
export function readBitmapHead(head: Head, clusterSize: number): { table: Extent; further: number } {
  const start = head.u64be(0);
  const bytes = head.u32be(8) * 8;
  const flags = head.u32be(12);
  const type = head.u8(16);
  const granularity = head.u8(17);
  const name = head.u16be(18);
  if (flags & ~KNOWN_BITMAP_FLAGS || type !== 1 || granularity < 9 || granularity > 31) {
    throw damaged(
      `a bitmap has the type ${type}, the flags ${flags >>> 0} and a granularity of 2^${granularity}`,
    );
  }
  if (name === 0 || name > MAX_BITMAP_NAME || bytes > MAX_BITMAP_TABLE) {
    throw damaged(`a bitmap has a name of ${name} bytes and a table of ${bytes} bytes`);
  }
  const table = aligned({ name: 'table of a bitmap', start, end: start + bytes }, clusterSize);
  return { table, further: head.u32be(20) + name };
}

/** @throws IngotError IMG.1002 for a table that no cluster can begin with */
export function aligned(table: Extent, clusterSize: number): Extent {
  if (table.end > Number.MAX_SAFE_INTEGER || table.start % clusterSize !== 0) {
    throw damaged(`its ${table.name} is at byte ${table.start}, where none can be`);
  }
  return table;
}
