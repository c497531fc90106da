/** Lines typed at a terminal. Between them the terminal is as any program finds it, so that Ctrl-C is a signal. */
import { createInterface } from 'node:readline';
import type { Completion } from './completion.ts';

export interface LineReaderOptions {
  process: NodeJS.Process;
  complete: (line: string) => Completion;
  /** Oldest first. */
  history: () => readonly string[];
}

export class LineReader {
  readonly #options: LineReaderOptions;
  /** Lines that were pasted together with the one before. */
  #waiting: string[] = [];
  /** What was typed or pasted behind the last whole line. */
  #begun = '';

  constructor(options: LineReaderOptions) {
    this.#options = options;
  }

  /** The next line; an empty one after Ctrl-C, undefined at the end of input or once `signal` is aborted. */
  async read(prompt: string, signal: AbortSignal): Promise<string | undefined> {
    const pasted = this.#waiting.shift();
    if (pasted !== undefined) return pasted;
    const { process, history } = this.#options;
    const lines = createInterface({
      input: process.stdin,
      output: process.stdout,
      terminal: true,
      prompt,
      history: history().toReversed(),
      historySize: 1000,
      completer: (line: string) => this.#tab(line, () => lines.prompt(true)),
    });
    const end = () => lines.close();
    let ended = false;
    signal.addEventListener('abort', end);
    try {
      return await new Promise<string | undefined>((resolve) => {
        const got: string[] = [];
        lines.on('line', (line) => {
          got.push(line);
          // The rest of what was pasted comes before the next turn.
          if (got.length > 1) return;
          setImmediate(() => {
            this.#waiting = got.slice(1);
            this.#begun = lines.line;
            resolve(got[0]);
          });
        });
        lines.on('SIGINT', () => {
          process.stdout.write('^C\n');
          resolve('');
        });
        lines.on('close', () => {
          if (ended || got.length > 0) return;
          process.stdout.write('\n');
          resolve(undefined);
        });
        lines.prompt();
        if (this.#begun !== '') lines.write(this.#begun);
        this.#begun = '';
        if (signal.aborted) lines.close();
      });
    } finally {
      ended = true;
      signal.removeEventListener('abort', end);
      lines.close();
    }
  }

  /** readline inserts what all candidates begin with, which must go on from what was typed. */
  #tab(line: string, redraw: () => void): [string[], string] {
    const { typed, candidates } = this.#options.complete(line);
    const common = commonBeginning(candidates);
    if (candidates.length < 2 || common.startsWith(typed)) return [candidates, typed];
    const { stdout } = this.#options.process;
    stdout.write(`\r\n${inColumns(candidates, stdout.columns || 80)}\r\n`);
    redraw();
    return [[], ''];
  }
}

function commonBeginning([first = '', ...others]: readonly string[]): string {
  let length = first.length;
  for (const other of others) {
    while (!other.startsWith(first.slice(0, length))) length--;
  }
  return first.slice(0, length);
}

/** Short texts side by side. */
export function inColumns(texts: readonly string[], width: number): string {
  const wide = Math.max(...texts.map((text) => text.length)) + 2;
  const count = Math.max(1, Math.floor(width / wide));
  const rows: string[] = [];
  for (let i = 0; i < texts.length; i += count) {
    rows.push(
      texts
        .slice(i, i + count)
        .map((text) => text.padEnd(wide))
        .join('')
        .trimEnd(),
    );
  }
  return rows.join('\r\n');
}
