/** Bootable images that really exist. Not to be changed: copy them, or put an overlay over them. */
import { join } from 'node:path';
import { runProgram } from './program.ts';

const project = join(import.meta.dirname, '..', '..');

export interface GuestImages {
  /** Disk with an MBR, a FAT and an ext4 partition. */
  raw: string;
  /** The same disk. */
  qcow2: string;
  /** Hybrid ISO of the same guest. */
  iso: string;
  /** One that stays up, and says INGOT-TICK and a number each second. */
  stays: string;
  /** One without virtio drivers. */
  legacy: string;
}

/** Paths of the guest that really boots (scripts/make-guest-image.sh), made when it isn't in .cache yet. */
export async function guestImages(): Promise<GuestImages> {
  const directory = join(project, '.cache', 'guest');
  await runProgram('bash', [join(project, 'scripts', 'make-guest-image.sh'), directory]);
  const path = (ending: string) => join(directory, `ingot-guest${ending}`);
  return {
    raw: path('.raw'),
    qcow2: path('.qcow2'),
    iso: path('.iso'),
    stays: path('-stays.qcow2'),
    legacy: path('-legacy.qcow2'),
  };
}

export interface DebianImages {
  /** Hybrid: ISO 9660 and an MBR. */
  grubIso: string;
  /** Raw: a boot sector and what it loads, no partitions. */
  grubFloppy: string;
  memtestIso: string;
  ipxeIso: string;
}

/** Paths of bootable images that others made, out of Debian's packages (scripts/debian-files.mjs). */
export async function debianImages(): Promise<DebianImages> {
  const script = join(project, 'scripts', 'debian-files.mjs');
  return JSON.parse(await runProgram('node', [script, 'images'])) as DebianImages;
}
