/** The shell's history: a 0600 file with the last lines, without passwords. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Message } from '../kernel/message.ts';
import { stateDirectory, writePrivately } from './session-file.ts';

const MOST_LINES = 1000;

export class History {
  readonly #path: string;
  readonly #messages: readonly Message[];
  #lines: string[] = [];

  constructor(environment: NodeJS.ProcessEnv, messages: readonly Message[]) {
    this.#path = join(stateDirectory(environment), 'history');
    this.#messages = messages;
  }

  /** Oldest first. */
  get lines(): readonly string[] {
    return this.#lines;
  }

  async load(): Promise<void> {
    const text = await readFile(this.#path, 'utf8').catch(() => '');
    this.#lines = text
      .split('\n')
      .filter((line) => line !== '')
      .slice(-MOST_LINES);
  }

  /** Keeps the line, but for one that repeats the last. */
  async add(line: string): Promise<void> {
    const kept = withoutSecrets(this.#messages, line.trim());
    if (kept === '') return;
    // Another shell may have added lines of its own meanwhile.
    await this.load();
    if (this.#lines.at(-1) === kept) return;
    this.#lines = [...this.#lines, kept].slice(-MOST_LINES);
    await writePrivately(this.#path, `${this.#lines.join('\n')}\n`);
  }
}

/** The line without the values of secret parameters and without passwords in URLs. */
export function withoutSecrets(messages: readonly Message[], line: string): string {
  const name = /^\S+/.exec(line)?.[0];
  const message = messages.find((each) => each.name === name);
  const secrets = Object.entries(message?.parameters ?? {}).flatMap(([key, field]) =>
    field.secret ? [key] : [],
  );
  let result = line;
  for (const key of secrets) {
    // The value with all its quoted parts; an unclosed quote goes to the line's end.
    result = result.replace(
      new RegExp(`(\\s['"]?${key}=)(?:'[^']*(?:'|$)|"(?:\\\\.|[^"\\\\])*(?:"|$)|\\\\.|[^\\s'"\\\\])*`, 'g'),
      '$1',
    );
  }
  return result.replace(/(\w:\/\/[^\s/:@'"]*):[^\s/@'"]*@/g, '$1:@');
}
