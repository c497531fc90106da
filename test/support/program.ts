/**
 * Programs that tests run beside themselves. Those that stay die with the process that started them, whatever
 * kills it (setpriv(1) --pdeathsig).
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

interface RunOptions {
  /** Name of the user to run it as, which only root can ask for. */
  user?: string | undefined;
}

export interface Daemon {
  readonly pid: number;
  /** What it has written to standard output and standard error so far. */
  output(): string;
  /** Fulfilled as soon as `ready` says so, asked every 10 ms; rejects with the program's words when it ends before. */
  waitUntil(ready: () => boolean | Promise<boolean>): Promise<void>;
  /** Sends the signal and waits for the end. */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

/** Debian keeps PostgreSQL's programs out of PATH, and a user's PATH has no sbin. */
const SEARCHED = [
  ...(process.env.PATH ?? '').split(delimiter),
  '/usr/sbin',
  '/sbin',
  '/usr/lib/postgresql/15/bin',
];

/** Absolute path of an installed program. */
export function findProgram(name: string): string {
  const found = SEARCHED.map((directory) => join(directory, name)).find((path) => existsSync(path));
  if (!found) throw new Error(`${name} is not installed: run 'node scripts/packages.mjs test'`);
  return found;
}

/** Runs a program to its end and returns its standard output. Rejects with its standard error when it fails. */
export async function runProgram(
  name: string,
  args: readonly string[],
  { input = '', ...options }: RunOptions & { input?: string } = {},
): Promise<string> {
  const line = [...prefix(options), findProgram(name), ...args];
  const running = promisify(execFile)(findProgram('setpriv'), line, { maxBuffer: 64 << 20 });
  running.child.stdin?.on('error', () => {}); // it need not read its input
  running.child.stdin?.end(input);
  return (await running).stdout;
}

/**
 * Starts a program that stays until it is stopped. It gets a session of its own, so that Ctrl-C in a terminal
 * reaches only the one that is to stop it.
 */
export function startDaemon(name: string, args: readonly string[], options: RunOptions = {}): Daemon {
  const line = ['--pdeathsig=TERM', ...prefix(options), findProgram(name), ...args];
  const child = spawn(findProgram('setpriv'), line, { detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  const ended = once(child, 'close').then(() => {});
  ended.catch(() => {}); // whoever waits for it hears of it
  const hasEnded = () => child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
  return {
    pid: child.pid ?? 0,
    output: () => output,
    async waitUntil(ready) {
      while (!(await ready())) {
        if (hasEnded()) {
          await ended;
          throw new Error(`${name} ended before it was ready: ${output.trim()}`);
        }
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    },
    async stop(signal = 'SIGTERM') {
      if (!hasEnded()) child.kill(signal);
      await ended;
    },
  };
}

/**
 * Starts something on a TCP port of 127.0.0.1 that was free a moment ago; with another one when `start` rejects,
 * as somebody may have taken it since.
 */
export async function withFreePort<T>(start: (port: number) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    server.close();
    await once(server, 'close');
    if (address === null || typeof address === 'string') throw new Error('the system gave no port');
    try {
      return await start(address.port);
    } catch (error) {
      if (attempt === 3) throw error;
    }
  }
}

/** Arguments of setpriv(1) up to the program's own. */
function prefix({ user }: RunOptions): string[] {
  return [...(user ? [`--reuid=${user}`, `--regid=${user}`, '--init-groups'] : []), '--'];
}
