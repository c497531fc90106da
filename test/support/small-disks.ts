/** Small real disks. Each is made once per process and is not to be changed: copy it, or put an overlay over it. */
import { join } from 'node:path';
import { runProgram } from './program.ts';
import { temporaryDirectory } from './temp-directory.ts';

export interface SmallDisk {
  path: string;
  /** Virtual size in bytes. */
  size: number;
}

/** Virtual size of the small disks, bytes. */
const SIZE = 8 << 20;

const once = new Map<string, Promise<SmallDisk>>();

function makeOnce(name: string, make: (path: string) => Promise<unknown>): Promise<SmallDisk> {
  let disk = once.get(name);
  if (!disk) {
    const path = join(temporaryDirectory(), name);
    disk = make(path).then(() => ({ path, size: SIZE }));
    once.set(name, disk);
  }
  return disk;
}

/** qcow2 of 8 MiB: data in its second MiB, explicit zeroes in its third, nothing elsewhere. */
export function smallQcow2(): Promise<SmallDisk> {
  return makeOnce('small.qcow2', async (path) => {
    await runProgram('qemu-img', ['create', '-q', '-f', 'qcow2', path, String(SIZE)]);
    await runProgram('qemu-io', ['-f', 'qcow2', '-c', 'write -P 0xa5 1M 1M', '-c', 'write -z 2M 1M', path]);
  });
}

/** Raw disk of 8 MiB with an MBR: one Linux partition from 1 MiB on, holding an ext4 file system. */
export function smallMbrDisk(): Promise<SmallDisk> {
  return makeOnce('small-mbr.raw', (path) => partition(path, 'dos', 'type=83'));
}

/** Raw disk of 8 MiB with a GPT: one Linux partition from 1 MiB on, holding an ext4 file system. */
export function smallGptDisk(): Promise<SmallDisk> {
  return makeOnce('small-gpt.raw', (path) => partition(path, 'gpt', 'type=linux'));
}

/** Raw disk of 8 MiB that is an ext4 file system without partitions. */
export function smallExt4Disk(): Promise<SmallDisk> {
  return makeOnce('small-ext4.raw', (path) =>
    runProgram('mke2fs', ['-q', '-t', 'ext4', path, `${SIZE >> 10}k`]),
  );
}

async function partition(path: string, label: 'dos' | 'gpt', type: string): Promise<void> {
  await runProgram('truncate', ['-s', String(SIZE), path]);
  const table = `label: ${label}\nstart=2048, size=12288, ${type}\n`;
  await runProgram('sfdisk', ['--quiet', path], { input: table });
  await runProgram('mke2fs', ['-q', '-t', 'ext4', '-E', `offset=${1 << 20}`, path, '6144k']);
}
