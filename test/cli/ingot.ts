/** The command line in a process of its own, with a state and a data directory of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { after } from 'node:test';
import { until } from '../support/service.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';

const main = join(import.meta.dirname, '..', '..', 'src', 'main.ts');

export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface Running {
  child: ChildProcess;
  stdout: () => string;
  stderr: () => string;
  ended: Promise<Ended>;
  /** Waits until the pattern stands in what was written so far. */
  says(pattern: RegExp): Promise<RegExpExecArray>;
}

export class Ingot {
  readonly state = temporaryDirectory();
  readonly data: string;
  readonly environment: NodeJS.ProcessEnv;

  constructor({ data = temporaryDirectory(), server }: { data?: string; server?: string } = {}) {
    this.data = data;
    const { NODE_TEST_CONTEXT: _, INGOT_SERVER: __, INGOT_LISTEN: ___, ...inherited } = process.env;
    this.environment = {
      ...inherited,
      XDG_STATE_HOME: this.state,
      INGOT_DATA: data,
      ...(server !== undefined && { INGOT_SERVER: server }),
    };
  }

  /** Runs it to its end. */
  run(words: readonly string[], input?: string): Promise<Ended> {
    return this.start(words, input).ended;
  }

  start(words: readonly string[], input?: string): Running {
    return this.#spawn(process.execPath, [main, ...words], input ?? '');
  }

  /** At a terminal of its own, whose keyboard is the child's stdin and whose screen is its stdout. */
  atTerminal(words: readonly string[]): Running {
    const line = [process.execPath, main, ...words].map((word) => `'${word}'`).join(' ');
    return this.#spawn('script', ['--quiet', '--return', '--command', `stty cols 100; ${line}`, '/dev/null']);
  }

  #spawn(program: string, line: string[], input?: string): Running {
    const child = spawn(program, line, { env: this.environment, stdio: ['pipe', 'pipe', 'pipe'] });
    after(() => child.kill('SIGKILL'));
    const text = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (piece: string) => {
        text[name] += piece;
      });
    }
    // It may end without reading.
    child.stdin.on('error', () => {});
    if (input !== undefined) child.stdin.end(input);
    const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, ...text }));
    return {
      child,
      stdout: () => text.stdout,
      stderr: () => text.stderr,
      ended,
      says: (pattern) =>
        until(String(pattern), () => pattern.exec(text.stdout + text.stderr) ?? undefined).catch((error) => {
          throw new Error(`'${line.join(' ')}' said ${JSON.stringify(text)}`, { cause: error });
        }),
    };
  }
}
