import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Writes a small file so that after a death it is there whole or not at all. */
export async function writeFileDurably(path: string, content: string, mode: number): Promise<void> {
  const beside = `${path}.new`;
  await rm(beside, { force: true });
  const file = await open(beside, 'wx', mode);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(beside, path);
  const directory = await open(dirname(path), 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
