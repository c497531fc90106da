/** What the calls of a shell answered: `more [N]` and `save N FILE`. */
import { writeFile } from 'node:fs/promises';
import { sortedJson } from './answer.ts';
import { usageError } from './exit-codes.ts';

const MOST_RESULTS = 100;

export class Results {
  readonly #results: { line: string; answer: unknown }[] = [];

  add(line: string, answer: unknown): void {
    this.#results.unshift({ line, answer });
    this.#results.length = Math.min(this.#results.length, MOST_RESULTS);
  }

  /** The list, the newest as 1; or the answer numbered so, as JSON. */
  more(words: readonly string[]): string {
    if (words.length > 0) return sortedJson(this.#find(words[0]).answer);
    if (this.#results.length === 0) return 'no call has answered yet';
    return this.#results.map(({ line }, i) => `${String(i + 1).padStart(3)}  ${line}`).join('\n');
  }

  /** Writes an answer into a file; the sentence that says so. */
  async save(words: readonly string[]): Promise<string> {
    const { line, answer } = this.#find(words[0]);
    const file = words[1] ?? `${line.split(/\s/, 1)[0]}-${words[0]}.json`;
    await writeFile(file, `${sortedJson(answer)}\n`);
    return `saved in ${file}`;
  }

  #find(number: string | undefined) {
    const result = this.#results[Number(number) - 1];
    if (!result) throw usageError(`there is no result '${number ?? ''}'`, "'more' lists them.");
    return result;
  }
}
