/** Inputs that failed once, kept to be tried at each `npm test`: corpus/TARGET/NAME.json. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const DIRECTORY = join(import.meta.dirname, 'corpus');

export function readCorpus(target: string): { name: string; input: unknown }[] {
  const directory = join(DIRECTORY, target);
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .filter((file) => file.endsWith('.json'))
    .sort()
    .map((file) => ({ name: file, input: JSON.parse(readFileSync(join(directory, file), 'utf8')) }));
}

/** @returns the file */
export function keep(target: string, input: unknown): string {
  const text = `${JSON.stringify(input, undefined, 1)}\n`;
  const name = createHash('sha256').update(text).digest('hex').slice(0, 12);
  mkdirSync(join(DIRECTORY, target), { recursive: true });
  const file = join(DIRECTORY, target, `${name}.json`);
  writeFileSync(file, text);
  return file;
}
