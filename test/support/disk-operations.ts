/** What Node does with files through their handles, as steps at which a disk can fail. */
import { readlinkSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';

const OPERATIONS = ['read', 'write', 'truncate', 'sync', 'datasync'] as const;

/**
 * From now on `before` is told of each operation on a file below the directory, and may throw in its place. What
 * SQLite does with its own files is not seen.
 */
export async function watchDisk(directory: string, before: (operation: string) => void): Promise<void> {
  const handle = await open('/dev/null');
  const prototype: FileHandle = Object.getPrototypeOf(handle);
  await handle.close();
  for (const name of OPERATIONS) {
    // biome-ignore lint/suspicious/noExplicitAny: each has parameters of its own, which are handed on
    const original = prototype[name] as (...parameters: any[]) => Promise<any>;
    Object.assign(prototype, {
      async [name](this: FileHandle, ...parameters: unknown[]) {
        const file = this.fd < 0 ? '' : readlinkSync(`/proc/self/fd/${this.fd}`);
        if (file.startsWith(directory)) before(`${name} ${file.slice(directory.length)}`);
        return original.apply(this, parameters);
      },
    });
  }
}

/** What a disk with a broken sector makes of an operation. */
export function inputOutputError(operation: string): Error {
  const [syscall = ''] = operation.split(' ');
  return Object.assign(new Error(`EIO: i/o error, ${syscall}`), { code: 'EIO', errno: -5, syscall });
}
