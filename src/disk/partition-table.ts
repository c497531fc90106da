import { crc32 } from 'node:zlib';
import type { Head } from './head.ts';

/** `end` is the byte that the file must reach for every partition to be whole. */
export type PartitionTable =
  | { kind: 'mbr'; end: number }
  | { kind: 'gpt'; end: number; sectorSize: 512 | 4096 };

/** Tools round the last partition up to a whole cylinder of 255 heads and 63 sectors, disk or no disk. */
const CYLINDER = 255 * 63 * 512;

/** The GPT, else the MBR with a plausible partition, else undefined. */
export function readPartitionTable(head: Head): PartitionTable | undefined {
  return readGpt(head, 512) ?? readGpt(head, 4096) ?? readMbr(head);
}

/** UEFI specification, 5.3.2: the header is in the second sector, whatever size sectors have. */
function readGpt(head: Head, sectorSize: 512 | 4096): PartitionTable | undefined {
  const at = sectorSize;
  const headerSize = head.u32le(at + 12);
  if (!head.holds('EFI PART', at) || headerSize < 92 || headerSize > sectorSize) return undefined;
  return { kind: 'gpt', sectorSize, end: isIntact(head, at, headerSize) ? gptEnd(head, at, sectorSize) : 0 };
}

function isIntact(head: Head, at: number, headerSize: number): boolean {
  const header = new Uint8Array(headerSize);
  header.set(head.slice(at, headerSize));
  header.fill(0, 16, 20); // the checksum is made with its own field as zeros
  return crc32(header) === head.u32le(at + 16);
}

/** The last byte of the last partition; 0 where the entries are damaged or lie outside the window. */
function gptEnd(head: Head, at: number, sectorSize: number): number {
  const entries = head.u64le(at + 72) * sectorSize;
  const count = head.u32le(at + 80);
  const entrySize = head.u32le(at + 84);
  if (entrySize < 128 || count * entrySize > head.length - entries) return 0;
  if (crc32(head.slice(entries, count * entrySize)) !== head.u32le(at + 88)) return 0;
  let end = 0;
  for (let index = 0; index < count; index++) {
    const entry = entries + index * entrySize;
    const used = head.slice(entry, 16).some((byte) => byte !== 0);
    if (used) end = Math.max(end, (head.u64le(entry + 40) + 1) * sectorSize);
  }
  return end;
}

function readMbr(head: Head): PartitionTable | undefined {
  if (head.u16le(510) !== 0xaa55) return undefined;
  let partitions = 0;
  let end = 0;
  for (let entry = 446; entry < 510; entry += 16) {
    const bootFlag = head.u8(entry);
    if (bootFlag !== 0 && bootFlag !== 0x80) return undefined; // boot code, not a table
    const type = head.u8(entry + 4);
    const start = head.u32le(entry + 8);
    const sectors = head.u32le(entry + 12);
    if (type === 0 || sectors === 0) continue;
    partitions++;
    // A protective entry (EE) covers "all there is", often simply 2^32 - 1 sectors.
    if (type !== 0xee) end = Math.max(end, (start + sectors) * 512 - CYLINDER);
  }
  return partitions === 0 ? undefined : { kind: 'mbr', end };
}
