/** A QEMU of a machine as a process of this host: started so that it outlives us, and found again. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FILES } from './command-line.ts';

/** Starts it in a session of its own, with the machine's directory as its own. */
export function startDetached(program: string, line: readonly string[], directory: string): ChildProcess {
  const words = openSync(join(directory, FILES.words), 'w', 0o640);
  try {
    const child = spawn(program, line, {
      cwd: directory,
      detached: true,
      env: { PATH: process.env.PATH, LC_ALL: 'C', HOME: directory },
      stdio: ['ignore', words, words],
    });
    child.unref();
    return child;
  } finally {
    closeSync(words);
  }
}

/** The machine's process, as it has written itself. A number that another process has by now is not taken for it. */
export async function writtenProcess(directory: string, uuid: string): Promise<number | undefined> {
  const written = Number(await readFile(join(directory, FILES.pid), 'utf8').catch(() => ''));
  return written > 0 && (await isMachine(written, uuid)) ? written : undefined;
}

/** The same, also of one that has only just begun and not written it yet; looks through all processes. */
async function findProcess(directory: string, uuid: string): Promise<number | undefined> {
  const written = await writtenProcess(directory, uuid);
  if (written !== undefined) return written;
  for (const name of await readdir('/proc').catch(() => [])) {
    const pid = Number(name);
    if (pid > 0 && pid !== process.pid && (await isMachine(pid, uuid))) return pid;
  }
  return undefined;
}

async function isMachine(pid: number, uuid: string): Promise<boolean> {
  const line = await readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => '');
  return line.includes(`\0-name\0guest=${uuid},`);
}

/** Ends it at once. Rejects where it doesn't end. */
export async function kill(directory: string, uuid: string): Promise<void> {
  for (let tries = 0; ; tries++) {
    const pid = await findProcess(directory, uuid);
    if (pid === undefined) return;
    if (tries === 0) signal(pid, 'SIGTERM');
    // What it still holds for the disks is written on SIGTERM; one that hangs gets a minute of patience, no more.
    if (tries === 100) signal(pid, 'SIGKILL');
    if (tries === 700) throw new Error(`process ${pid} does not end`);
    await new Promise((resolve) => setTimeout(resolve, tries < 20 ? 10 : 50));
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended by itself.
  }
}
