import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

export const projectDirectory = dirname(dirname(fileURLToPath(import.meta.url)));

/** Ends the process with a sentence for people instead of a stack trace. */
export function fail(sentence) {
  process.stderr.write(`ingot: ${sentence}\n`);
  process.exit(1);
}
