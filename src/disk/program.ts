/** The field's own programs (qemu-img, qemu-nbd), run so that none outlives us, hangs for ever or fails without a word. */
import { type ChildProcess, spawn } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { IngotError } from '../kernel/errors.ts';

export interface Limits {
  /** Milliseconds without a word from it after which it counts as hanging and is killed. */
  silence: number;
  signal?: AbortSignal;
}

/** The Debian package that brings a program, and what the same is called elsewhere. */
const PACKAGES: Record<string, string> = {
  'qemu-img': 'qemu-utils',
  'qemu-nbd': 'qemu-utils',
  'mount.nfs': 'nfs-common',
  'qemu-system-x86_64': 'qemu-system-x86',
};

/** What of a program's words is kept to tell what went wrong. */
const KEPT_WORDS = 4096;

/**
 * Starts a program. It is killed when this process dies, however that comes (setpriv(1), where there is one):
 * what an orphan would go on writing, the next start would write at the same time.
 */
export async function startProgram(name: string, arguments_: readonly string[]): Promise<ChildProcess> {
  const program = await requireProgram(name);
  const setpriv = await programPath('setpriv');
  const line = [program, ...arguments_];
  if (setpriv) line.unshift(setpriv, '--pdeathsig=KILL', '--');
  return spawn(line[0] as string, line.slice(1), {
    env: { PATH: process.env.PATH, LC_ALL: 'C', TMPDIR: process.env.TMPDIR },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/**
 * Runs a program to its end. Each piece of its standard output goes to `onOutput`.
 * @throws IngotError SYS.1006 when it is not installed, SYS.1001 when it hangs, SYS.1016 when it fails
 */
export async function runProgram(
  name: string,
  arguments_: readonly string[],
  limits: Limits,
  onOutput: (text: string) => void = () => {},
): Promise<void> {
  limits.signal?.throwIfAborted();
  const child = await startProgram(name, arguments_);
  let words = '';
  let hangs = false;
  const timer = setTimeout(() => {
    hangs = true;
    child.kill('SIGKILL');
  }, limits.silence);
  const kill = () => child.kill('SIGKILL');
  limits.signal?.addEventListener('abort', kill, { once: true });
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    timer.refresh();
    onOutput(text);
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    timer.refresh();
    words = (words + text).slice(-KEPT_WORDS);
  });
  try {
    const { code, signal } = await ended(child);
    limits.signal?.throwIfAborted();
    if (hangs) throw hanging(name, arguments_, limits.silence);
    if (code !== 0) throw failed(name, arguments_, code, signal, words);
  } finally {
    clearTimeout(timer);
    limits.signal?.removeEventListener('abort', kill);
  }
}

export async function isInstalled(name: string): Promise<boolean> {
  return (await programPath(name)) !== undefined;
}

function ended(child: ChildProcess): Promise<{ code: number | null; signal: string | null }> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
}

/** @throws IngotError SYS.1006 naming the package where it is not installed */
export async function requireProgram(name: string): Promise<string> {
  const path = await programPath(name);
  if (path === undefined) throw missing(name);
  return path;
}

/** Where the program is; undefined when it is not installed. */
export async function programPath(name: string): Promise<string | undefined> {
  // A service's PATH may lack the administrator's programs.
  for (const directory of `${process.env.PATH ?? ''}${delimiter}/usr/sbin${delimiter}/sbin`.split(
    delimiter,
  )) {
    if (directory === '') continue;
    const path = join(directory, name);
    if (
      await access(path, constants.X_OK).then(
        () => true,
        () => false,
      )
    ) {
      return path;
    }
  }
  return undefined;
}

function missing(name: string): IngotError {
  const from = PACKAGES[name];
  return new IngotError(
    'SYS.1006',
    `${name} is needed for this and is not installed on the service's machine`,
    {
      retryable: true,
      opaque: { program: name },
      ...(from && {
        elaboration: `Install it: apt install ${from} (other systems: the package that holds ${name}).`,
      }),
    },
  );
}

function hanging(name: string, arguments_: readonly string[], milliseconds: number): IngotError {
  return new IngotError(
    'SYS.1001',
    `${name} ${arguments_[0] ?? ''} did nothing for ${Math.round(milliseconds / 1000)} s and was killed; does the storage still answer?`,
    { retryable: true, opaque: { program: name } },
  );
}

function failed(
  name: string,
  arguments_: readonly string[],
  code: number | null,
  signal: string | null,
  words: string,
): IngotError {
  const said = words.trim().replace(/\s+/g, ' ');
  const how = signal ? `was killed by ${signal}` : `failed with code ${code}`;
  return new IngotError('SYS.1016', `${name} ${arguments_[0] ?? ''} ${how}${said ? `: ${said}` : ''}`, {
    retryable: signal !== null || /No space left|Failed to get/.test(said),
    opaque: { program: name, code, signal, words: said },
  });
}
