import { runProgram } from '../../disk/program.ts';

/** Such as `7.2.22`. */
export async function versionOf(program: string): Promise<string> {
  let words = '';
  await runProgram(program, ['--version'], { silence: 10_000 }, (text) => {
    words += text;
  });
  return /version (\S+)/.exec(words)?.[1] ?? 'unknown';
}
