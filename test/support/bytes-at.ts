import { closeSync, openSync, readSync } from 'node:fs';

/** A piece of a file, one character for each byte. */
export function bytesAt(path: string, position: number, length: number): string {
  const bytes = Buffer.alloc(length);
  const file = openSync(path, 'r');
  try {
    readSync(file, bytes, 0, length, position);
  } finally {
    closeSync(file);
  }
  return bytes.toString('latin1');
}
