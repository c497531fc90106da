/**
 * Endless qcow2 whose tables name ever new tables far behind, as a source can send that says no size. Run by itself, it
 * shows one to an inspector, and prints what that takes.
 */
import { DiskInspector } from '../../src/disk/inspector.ts';
import { u64 } from '../hostile/forge.ts';

const CLUSTER = 512;
const FAR = 2 ** 37;
const L1_BYTES = 32 << 20;
const SNAPSHOTS_AT = 8 * CLUSTER;
const RECORD = 64;
const PIECE = 1 << 20;

/** Each says where the n-th of the L2 tables is that the L1 tables of 8 snapshots name. */
const L2_TABLES: Record<string, (n: number) => number> = {
  'L2 tables one after the other': (n) => FAR + n * CLUSTER,
  'L2 tables from the last to the first': (n) => 2 * FAR - n * CLUSTER,
  'L2 tables far from each other': (n) => FAR + n * 8192 * CLUSTER,
  'L2 tables in disorder': (n) => FAR + ((n * 7_368_787) % 2 ** 26) * CLUSTER,
};
const SNAPSHOTS = 'snapshots';

export const KINDS = [...Object.keys(L2_TABLES), SNAPSHOTS];

export interface Taken {
  /** Bytes of memory more than before, at most. */
  memory: number;
  /** Milliseconds of CPU time of the longest step. */
  longest: number;
  refusal: string;
}

function* streamOf(kind: string): Generator<Buffer> {
  const place = L2_TABLES[kind];
  if (!place) {
    const bytes = header(65536, (n) => ({ start: FAR + n * 2 ** 22, entries: 1 }));
    for (let at = 0; at < bytes.length; at += PIECE) yield bytes.subarray(at, at + PIECE);
    return;
  }
  const count = 8;
  const first = header(count, (n) => ({ start: 65536 + n * L1_BYTES, entries: L1_BYTES / 8 }));
  yield first.subarray(0, 65536);
  const piece = Buffer.alloc(PIECE);
  for (let n = 0; n < (count * L1_BYTES) / 8; ) {
    for (let at = 0; at < PIECE; at += 8) {
      const start = place(n++);
      piece.writeUInt32BE(Math.floor(start / 2 ** 32), at);
      piece.writeUInt32BE(start >>> 0, at + 4);
    }
    yield piece;
  }
}

/** A qcow2 up to the end of its snapshot table. */
function header(count: number, l1Table: (n: number) => { start: number; entries: number }): Buffer {
  const bytes = Buffer.alloc(Math.max(65536, SNAPSHOTS_AT + count * RECORD));
  bytes.write('QFI\xfb', 0, 'latin1');
  bytes.writeUInt32BE(3, 4);
  bytes.writeUInt32BE(Math.log2(CLUSTER), 20);
  u64(bytes, 16384, 24);
  bytes.writeUInt32BE(1, 36);
  u64(bytes, 2 * CLUSTER, 40);
  u64(bytes, CLUSTER, 48);
  bytes.writeUInt32BE(1, 56);
  bytes.writeUInt32BE(count, 60);
  u64(bytes, SNAPSHOTS_AT, 64);
  bytes.writeUInt32BE(4, 96);
  bytes.writeUInt32BE(104, 100);
  for (let n = 0; n < count; n++) {
    const record = SNAPSHOTS_AT + n * RECORD;
    const { start, entries } = l1Table(n);
    u64(bytes, start, record);
    bytes.writeUInt32BE(entries, record + 8);
    bytes.writeUInt16BE(1, record + 12);
    bytes.writeUInt16BE(4, record + 14);
    bytes.writeUInt32BE(16, record + 36);
  }
  return bytes;
}

function show(kind: string): Taken {
  const before = process.memoryUsage().rss;
  const inspector = new DiskInspector();
  let longest = 0;
  try {
    for (const piece of streamOf(kind)) {
      const begun = process.threadCpuUsage();
      try {
        inspector.write(piece);
      } finally {
        const { user, system } = process.threadCpuUsage(begun);
        longest = Math.max(longest, (user + system) / 1000);
      }
    }
    inspector.end();
    return { memory: process.resourceUsage().maxRSS * 1024 - before, longest, refusal: '' };
  } catch (error) {
    return { memory: process.resourceUsage().maxRSS * 1024 - before, longest, refusal: String(error) };
  }
}

if (import.meta.main) process.stdout.write(JSON.stringify(show(process.argv[2] ?? SNAPSHOTS)));
