/** Asking who sits in front of the terminal. */
import { Ending, EXIT } from './exit-codes.ts';

const CTRL_C = '\u0003';
const CTRL_D = '\u0004';

/** Reads single key presses; `take` returns true when it has what it wants. */
async function readKeys(
  process: NodeJS.Process,
  question: string,
  take: (key: string) => boolean,
  signal?: AbortSignal,
): Promise<void> {
  const { stdin } = process;
  stdin.setRawMode(true);
  stdin.resume();
  // Only now: who reads it may press a key at once.
  process.stderr.write(question);
  try {
    await new Promise<void>((done) => {
      const finish = () => {
        stdin.off('data', onData);
        signal?.removeEventListener('abort', finish);
        done();
      };
      const onData = (chunk: Buffer) => {
        for (const key of chunk.toString('utf8')) if (take(key)) return finish();
      };
      stdin.on('data', onData);
      stdin.on('end', finish);
      signal?.addEventListener('abort', finish);
      if (signal?.aborted) finish();
    });
  } finally {
    stdin.setRawMode(false);
    stdin.pause();
  }
}

/** One of `keys`; `otherwise` for Ctrl-C and Ctrl-D; undefined once `signal` is aborted. */
export async function askKey<K extends string>(
  process: NodeJS.Process,
  question: string,
  keys: readonly K[],
  otherwise: K,
  signal: AbortSignal,
): Promise<K | undefined> {
  let answer: K | undefined;
  await readKeys(
    process,
    question,
    (key) => {
      answer = key === CTRL_C || key === CTRL_D ? otherwise : keys.find((each) => each === key.toLowerCase());
      return answer !== undefined;
    },
    signal,
  );
  process.stderr.write(`${answer ?? ''}\n`);
  return answer;
}

/** A line that is not shown while it is typed. Ending(interrupted) for Ctrl-C. */
export async function askHidden(process: NodeJS.Process, question: string): Promise<string> {
  const typed: string[] = [];
  let interrupted = false;
  await readKeys(process, question, (key) => {
    if (key === CTRL_C) interrupted = true;
    else if (key === '\u007f' || key === '\b') typed.pop();
    else if (key === '\u0015') typed.length = 0;
    else if (key !== '\r' && key !== '\n' && key !== CTRL_D) typed.push(key);
    return interrupted || key === '\r' || key === '\n' || key === CTRL_D;
  });
  process.stderr.write('\n');
  if (interrupted) throw new Ending(EXIT.interrupted, 'interrupted');
  return typed.join('');
}
