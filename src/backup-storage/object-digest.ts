/** The digest of what a store gives back, read with as little work as the store allows. */
import { createHash } from 'node:crypto';
import type { BackupStorageDriver } from './driver.ts';

const READ_BYTES = 1024 * 1024;

interface Options {
  /** What an unfinished `create` has written, and not the object. */
  partial?: boolean;
  /** Only so many bytes. */
  end?: number;
  signal?: AbortSignal;
}

/** SHA-256 in hex. */
export async function objectDigest(
  driver: BackupStorageDriver,
  path: string,
  { partial = false, end = Number.POSITIVE_INFINITY, signal }: Options = {},
): Promise<string> {
  const hash = createHash('sha256');
  if (!driver.openForReading) {
    for await (const chunk of partial ? driver.readPartial(path, { end }) : driver.read(path, { end })) {
      signal?.throwIfAborted();
      hash.update(chunk);
    }
    return hash.digest('hex');
  }
  const reader = await driver.openForReading(path, { partial });
  try {
    // One is read while the other is digested.
    const buffers = [Buffer.allocUnsafeSlow(READ_BYTES), Buffer.allocUnsafeSlow(READ_BYTES)] as const;
    const read = (turn: 0 | 1, position: number) =>
      reader.read(buffers[turn].subarray(0, Math.max(0, Math.min(READ_BYTES, end - position))), position);
    let next = read(0, 0);
    for (let position = 0, turn: 0 | 1 = 0; ; turn = turn === 0 ? 1 : 0) {
      const length = await next;
      signal?.throwIfAborted();
      if (length === 0) return hash.digest('hex');
      position += length;
      next = read(turn === 0 ? 1 : 0, position);
      next.catch(() => {}); // heard of at the next turn
      hash.update(buffers[turn].subarray(0, length));
    }
  } finally {
    await reader.close();
  }
}
