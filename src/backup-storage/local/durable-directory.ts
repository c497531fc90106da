import { mkdir, open, rmdir, unlink } from 'node:fs/promises';
import path from 'node:path';
import { isSystemError } from '../../kernel/errors.ts';

const DIRECTORY_MODE = 0o750;

/** What was made, renamed or removed in the directory survives the death of the machine when fulfilled. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** As `syncDirectory`, for the directory and those above it up to the root. */
export async function syncUpTo(root: string, directory: string): Promise<void> {
  for (let each = directory; ; each = path.dirname(each)) {
    await syncDirectory(each);
    if (each === root) return;
  }
}

/**
 * Makes the directory of a file and does something in it, again if another removal took the directory away
 * in between because it was empty.
 */
export async function inDirectory<T>(root: string, directory: string, act: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    // Never the root itself: a mount point that is gone must not be filled with our directories.
    await mkdirBelow(root, directory);
    try {
      return await act();
    } catch (thrown) {
      if (attempt === 5 || !isSystemError(thrown) || thrown.code !== 'ENOENT') throw thrown;
    }
  }
}

async function mkdirBelow(root: string, directory: string): Promise<void> {
  if (directory === root) return;
  try {
    await mkdir(directory, { mode: DIRECTORY_MODE });
  } catch (thrown) {
    if (isSystemError(thrown) && thrown.code === 'EEXIST') return;
    if (!isSystemError(thrown) || thrown.code !== 'ENOENT' || path.dirname(directory) === root) throw thrown;
    await mkdirBelow(root, path.dirname(directory));
    await mkdirBelow(root, directory);
  }
}

/** Removes the directory and those above it, as long as they are empty, but not the root. */
export async function removeEmptyUpTo(root: string, directory: string): Promise<void> {
  let each = directory;
  try {
    for (; each !== root; each = path.dirname(each)) await rmdir(each);
  } catch (thrown) {
    if (!isSystemError(thrown) || !['ENOTEMPTY', 'EEXIST', 'ENOENT'].includes(thrown.code)) throw thrown;
    if (thrown.code === 'ENOENT') return;
  }
  await syncDirectory(each);
}

/** Removes a file; fulfilled with whether there was one. */
export async function unlinkIfThere(file: string): Promise<boolean> {
  try {
    await unlink(file);
    return true;
  } catch (thrown) {
    if (isSystemError(thrown) && thrown.code === 'ENOENT') return false;
    throw thrown;
  }
}
