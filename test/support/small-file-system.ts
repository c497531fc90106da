import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { runProgram } from './program.ts';

const mounted: string[] = [];

after(async () => {
  for (const path of mounted.splice(0)) {
    await runProgram('umount', ['--lazy', path]);
    rmdirSync(path);
  }
});

/** Why `smallFileSystem` gives undefined, for `t.skip`. */
export const NO_SMALL_FILE_SYSTEM =
  'only root, with the right to mount, can make a file system of a given size';

/**
 * Directory that is a file system of its own (tmpfs) of the given size in bytes, to be really filled. Unmounted
 * when the tests of the file have run. Undefined where this process may not mount.
 */
export async function smallFileSystem(size: number): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const path = mkdtempSync(join(tmpdir(), 'ingot-small-'));
  try {
    await runProgram('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=0700`, 'ingot-test', path]);
  } catch {
    rmdirSync(path);
    return undefined; // root of a container without CAP_SYS_ADMIN
  }
  mounted.push(path);
  return path;
}
