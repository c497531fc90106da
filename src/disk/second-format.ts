/**
 * Files that are two things at once. Who reads a qcow2 as one, and who reads the same file as a raw disk or a disc,
 * would see two different disks: one is checked, the other started.
 */
import { readSuperblock, readVolumeBootSector } from './file-systems.ts';
import { Head } from './head.ts';
import { readPartitionTable } from './partition-table.ts';
import { refusal } from './refusal.ts';
import { findForeign, findTrailers } from './signatures.ts';

/** The volume descriptors of a disc; readers pass over those that they don't know, and go on. */
const DESCRIPTORS = { start: 32768, end: 98304, size: 2048 };
const DISC_NAMES = ['CD001', 'BEA01', 'NSR02', 'NSR03'];

/** Refuses a qcow2 whose first cluster, which is its header and nothing else, is something else as well. */
export function refuseSecondFormat(head: Head, clusterSize: number): void {
  refuseRaw(new Head(head.slice(0, clusterSize)));
}

/**
 * Refuses a qcow2 that is something else too by bytes that are no guest's. What is in a cluster of data is what a
 * guest has written, and may be anything at all: where in the file the cluster came to lie is chance.
 * @param head the first bytes of the file
 * @param tail its last `TRAILERS` bytes, or all there are
 */
export function refuseBesideData(
  image: { head: Uint8Array; tail: Head; fileSize: number; clusterSize: number },
  isData: (position: number) => boolean,
): void {
  const { head, tail, fileSize, clusterSize } = image;
  const others = Uint8Array.from(head);
  for (let at = 0; at < head.length; at += clusterSize) {
    if (isData(at)) others.fill(0, at, at + clusterSize);
  }
  refuseRaw(new Head(others));
  const trailer = findTrailers(tail, fileSize).find(({ at }) => !isData(at));
  if (trailer) refuseTwo('qcow2', trailer.name);
}

/**
 * Refuses a disc that is a disk with a file system too. The system area at its start is free for that, and a
 * partition table in it is what makes a hybrid; but who makes a disc puts no superblock there.
 */
export function refuseVolumeInDisc(head: Head): void {
  const volume = readVolumeBootSector(head) ?? readSuperblock(head);
  if (volume) refuseTwo('disc', `a raw disk with ${volume.kind}`);
}

function refuseRaw(head: Head): void {
  const foreign = findForeign(head);
  if (foreign) refuseTwo('qcow2', foreign.name);
  const table = readPartitionTable(head);
  if (table) refuseTwo('qcow2', table.kind === 'gpt' ? 'a raw disk with a GPT' : 'a raw disk with an MBR');
  if (isDisc(head)) refuseTwo('qcow2', 'an ISO 9660 or UDF disc');
  const volume = readVolumeBootSector(head) ?? readSuperblock(head);
  if (volume) refuseTwo('qcow2', `a raw disk with ${volume.kind}`);
}

function isDisc(head: Head): boolean {
  for (let at = DESCRIPTORS.start; at < DESCRIPTORS.end; at += DESCRIPTORS.size) {
    if (DISC_NAMES.some((name) => head.holds(name, at + 1))) return true;
  }
  return false;
}

const REMEDY = {
  qcow2: 'Write it anew: qemu-img convert -f qcow2 -O qcow2 SOURCE TARGET.qcow2',
  disc: 'Make the disc anew, into an empty file',
};

function refuseTwo(what: keyof typeof REMEDY, other: string): never {
  throw refusal(
    'polyglot',
    `The image is a ${what} and, read otherwise, ${other}: what a guest would see depends on who looks. ${REMEDY[what]}`,
  );
}
