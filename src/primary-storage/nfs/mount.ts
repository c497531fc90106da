import { mkdir, readFile, rmdir } from 'node:fs/promises';
import { runProgram } from '../../disk/program.ts';
import { IngotError } from '../../kernel/errors.ts';

/** How long mounting may take: a server that is not there is waited for by the kernel. Milliseconds. */
const SILENCE = 12_000;

/** Mounts the export at the directory, which is made; there already is success. Needs root. */
export async function mountNfs(url: string, directory: string): Promise<void> {
  if (await mountedAt(directory)) return;
  if (process.getuid?.() !== 0) {
    throw new IngotError('PS.1003', `${url} is not mounted at ${directory}, and only root may mount it`, {
      elaboration: `Mount it yourself (mount -t nfs ${url} ${directory}), or run the service as root.`,
      retryable: true,
    });
  }
  await mkdir(directory, { recursive: true, mode: 0o750 });
  // Hard: a write must not be lost because the server was away for a moment.
  await runProgram('mount.nfs', [url, directory, '-o', 'hard,noatime'], { silence: SILENCE });
}

/** Takes the mount away, and the directory with it. Not mounted is success. */
export async function unmountNfs(directory: string): Promise<void> {
  if (await mountedAt(directory)) await runProgram('umount', [directory], { silence: SILENCE });
  await rmdir(directory).catch(() => {});
}

async function mountedAt(directory: string): Promise<boolean> {
  const mounts = await readFile('/proc/self/mounts', 'utf8');
  // Spaces and the like stand as octal escapes there.
  const escaped = directory.replace(
    /[ \t\n\\]/g,
    (letter) => `\\${letter.charCodeAt(0).toString(8).padStart(3, '0')}`,
  );
  return mounts.split('\n').some((line) => line.split(' ')[1] === escaped);
}
