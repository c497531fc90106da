import { formatSize } from '../kernel/format.ts';
import type { RawContents } from './facts.ts';
import { readSuperblock, readVolumeBootSector } from './file-systems.ts';
import type { Head } from './head.ts';
import { readPartitionTable } from './partition-table.ts';
import { refusal } from './refusal.ts';

/** What is known of a raw disk from its first bytes. */
export interface RawDisk {
  contents: RawContents;
  sectorSize?: 512 | 4096;
  /** The byte that the file must reach for what is in it to be whole; 0 where nothing says. */
  end: number;
}

const SECTOR = 512;

/**
 * A boot sector of FAT or NTFS has the signature of an MBR too, so these are asked before the MBR. A GPT is
 * beyond doubt and comes first; a superblock can be what an earlier use left behind, and comes last.
 */
export function readRaw(head: Head): RawDisk {
  const table = readPartitionTable(head);
  if (table?.kind === 'gpt') return { contents: 'gpt', end: table.end, sectorSize: table.sectorSize };
  const volume = readVolumeBootSector(head) ?? (table ? undefined : readSuperblock(head));
  if (volume) return { contents: volume.kind, end: volume.end };
  return table ? { contents: 'mbr', end: table.end } : { contents: 'unknown', end: 0 };
}

/**
 * A raw disk is as large as its file, and a disk has whole sectors. QEMU would pad the last one silently;
 * but what copies disks (dd, qemu-img) never leaves a part of one: such a file was cut short on its way, was
 * changed by a text-mode transfer, or is no disk. Better said now than found out in a guest.
 */
export function checkRawSize(fileSize: number): void {
  if (fileSize === 0) throw refusal('empty', 'The image is empty: it has 0 bytes. Check the address');
  if (fileSize < SECTOR) {
    throw refusal(
      'unknown',
      `The image has only ${fileSize} bytes; the smallest disk has one sector of ${SECTOR}. Check the address`,
    );
  }
  if (fileSize % SECTOR !== 0) {
    throw refusal(
      'unknown',
      `The image has ${fileSize} bytes (${formatSize(fileSize)}), which is not a whole number of ${SECTOR}-byte sectors: it was cut short or changed on its way, or is no disk. If it is one all the same, fill its last sector up first: truncate -s %${SECTOR} FILE`,
    );
  }
}
