/**
 * What a guest says on its serial port. QEMU appends to one file; when that is large it becomes the older half, and
 * QEMU, which appends, goes on in an empty one.
 */
import { copyFile, open, readFile, rename, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ConsoleText } from '../hypervisor.ts';
import { FILES } from './command-line.ts';

/** Bytes of each half. */
const MOST = 4 * 2 ** 20;
const OLDER = `${FILES.serial}.1`;
/** How many bytes came before the older half. */
const BEFORE = `${FILES.serial}.before`;

export async function keepBounded(directory: string): Promise<void> {
  const current = join(directory, FILES.serial);
  if ((await sizeOf(current)) <= MOST) return;
  const older = join(directory, OLDER);
  const gone = (await before(directory)) + (await sizeOf(older));
  await copyFile(current, `${older}.part`);
  await writeFile(join(directory, BEFORE), String(gone));
  await rename(`${older}.part`, older);
  // What the guest says between the copy and this is lost: a few lines of many thousands.
  await truncate(current, 0);
}

export async function readSerial(
  directory: string,
  from: number,
  most: number,
): Promise<ConsoleText | undefined> {
  const current = join(directory, FILES.serial);
  const older = join(directory, OLDER);
  const [start, olderSize, size] = await Promise.all([
    before(directory),
    sizeOf(older),
    stat(current).then(
      (found) => found.size,
      () => undefined,
    ),
  ]);
  if (size === undefined) return undefined;
  const end = start + olderSize + size;
  // Negative: so many bytes before the end.
  const first = Math.min(end, Math.max(start, from < 0 ? end + from : from));
  const last = Math.min(end, first + most);
  const bytes = Buffer.concat([
    await readPart(older, first - start, last - start),
    await readPart(current, first - start - olderSize, last - start - olderSize),
  ]);
  return { text: bytes.toString('utf8'), from: first, next: last };
}

async function readPart(path: string, from: number, to: number): Promise<Buffer> {
  const start = Math.max(0, from);
  if (to <= start) return Buffer.alloc(0);
  const handle = await open(path).catch(() => undefined);
  if (!handle) return Buffer.alloc(0);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(to - start), 0, to - start, start);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

const sizeOf = (path: string) =>
  stat(path).then(
    ({ size }) => size,
    () => 0,
  );

const before = async (directory: string) =>
  Number(await readFile(join(directory, BEFORE), 'utf8').catch(() => '0'));
