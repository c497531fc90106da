/**
 * Files that are two things at once. Who reads a qcow2 as one, and who reads the same file as a raw disk or a disc,
 * would see two different disks: one is checked, the other started.
 */
import { readSuperblock, readVolumeBootSector } from './file-systems.ts';
import { Head } from './head.ts';
import { readPartitionTable } from './partition-table.ts';
import { refusal } from './refusal.ts';

/** Where the first volume descriptor of a disc has its name. */
const DISC_AT = 32769;
const DISC_NAMES = ['CD001', 'BEA01', 'NSR02', 'NSR03'];
const FOOTER = 512;

/** Refuses a qcow2 whose first cluster, which is its header and nothing else, is a disk or a disc as well. */
export function refuseSecondFormat(head: Head, clusterSize: number): void {
  const header = new Head(head.slice(0, clusterSize));
  const table = readPartitionTable(header);
  if (table) refuse(table.kind === 'gpt' ? 'a raw disk with a GPT' : 'a raw disk with an MBR');
  if (isDisc(header)) refuse('an ISO 9660 or UDF disc');
  const volume = readVolumeBootSector(header) ?? readSuperblock(header);
  if (volume) refuse(`a raw disk with ${volume.kind}`);
}

/** Whether it could be read as a disc. */
export function isDisc(head: Head): boolean {
  return DISC_NAMES.some((name) => head.holds(name, DISC_AT));
}

/**
 * Refuses a qcow2 that is something else too by bytes that belong to none of its clusters.
 * @param disc whether it could be read as a disc
 * @param tail ends where the file ends
 */
export function refuseAppended(
  use: { disc: boolean; tail: Head; fileSize: number },
  isUsed: (position: number) => boolean,
): void {
  if (use.disc && !isUsed(DISC_AT)) refuse('an ISO 9660 or UDF disc');
  const footerAt = use.tail.length - FOOTER;
  if (isUsed(use.fileSize - FOOTER)) return;
  if (use.tail.holds('conectix', footerAt)) refuse('a Hyper-V disk (VHD, fixed)');
  if (use.tail.holds('koly', footerAt)) refuse('a macOS disk (DMG)');
}

function refuse(what: string): never {
  throw refusal(
    'polyglot',
    `The image is a qcow2 and, read otherwise, ${what}: what a guest would see depends on who looks. Write it anew: qemu-img convert -f qcow2 -O qcow2 SOURCE TARGET.qcow2`,
  );
}
