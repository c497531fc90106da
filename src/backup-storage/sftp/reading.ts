/** Reading a server's file with many requests under way, in order and in bounded memory. */
import type { ObjectReader } from '../driver.ts';
import type { SftpConnection } from './connection.ts';
import type { ConnectionLease } from './connections.ts';
import type { RemoteFiles } from './remote-files.ts';
import { asSftpError } from './sftp-error.ts';

/** What a server of OpenSSH's gives for one request at most, less its head (facts: 261,120). */
export const REQUEST_BYTES = 255 * 1024;
/** Requests under way; their answers are what is held in memory. */
const AHEAD = 16;

export async function* readFile(
  files: RemoteFiles,
  path: string,
  { start = 0, end = Number.POSITIVE_INFINITY }: { start?: number; end?: number } = {},
): AsyncGenerator<Uint8Array> {
  const reader = await openReader(files, path);
  try {
    const last = Math.min(end, reader.size);
    const ahead: { asked: number; piece: Promise<Uint8Array> }[] = [];
    for (let position = start; position < last || ahead.length > 0; ) {
      while (position < last && ahead.length < AHEAD) {
        const asked = Math.min(REQUEST_BYTES, last - position);
        const buffer = Buffer.allocUnsafeSlow(asked);
        const piece = reader.read(buffer, position).then((length) => buffer.subarray(0, length));
        piece.catch(() => {}); // heard of in its turn
        ahead.push({ asked, piece });
        position += asked;
      }
      const next = ahead.shift();
      if (!next) return;
      const piece = await next.piece;
      if (piece.length > 0) yield piece;
      // Shorter than it was said to be.
      if (piece.length < next.asked) return;
    }
  } finally {
    await reader.close();
  }
}

export async function openReader(files: RemoteFiles, path: string): Promise<ObjectReader & { size: number }> {
  let lease: ConnectionLease | undefined;
  const at = files.at(path);
  try {
    lease = await files.connections.lease();
    const { connection, release } = lease;
    const handle = await connection.request<Buffer>((sftp, done) => sftp.open(path, 'r', done));
    const { size } = await connection.request<{ size: number }>((sftp, done) => sftp.fstat(handle, done));
    return {
      size,
      async read(target, position) {
        try {
          return await fill(connection, handle, target, position);
        } catch (thrown) {
          throw asSftpError(thrown, at);
        }
      },
      async close() {
        // Of one that was lost, nothing is open any longer.
        await connection.request<void>((sftp, done) => sftp.close(handle, done)).catch(() => {});
        release();
      },
    };
  } catch (thrown) {
    lease?.release();
    throw asSftpError(thrown, at);
  }
}

/** Fulfilled with how many bytes from the position on it has put into the target: fewer only at the file's end. */
async function fill(
  connection: SftpConnection,
  handle: Buffer,
  target: Uint8Array,
  position: number,
): Promise<number> {
  const memory = Buffer.from(target.buffer, target.byteOffset, target.length);
  const starts: number[] = [];
  for (let at = 0; at < memory.length; at += REQUEST_BYTES) starts.push(at);
  const lengths = await Promise.all(
    starts.map(async (at) => {
      const piece = memory.subarray(at, Math.min(memory.length, at + REQUEST_BYTES));
      for (let filled = 0; ; ) {
        if (filled === piece.length) return filled;
        const got = await connection.request<number>((sftp, done) =>
          sftp.read(handle, piece, filled, piece.length - filled, position + at + filled, done),
        );
        if (got === 0) return filled;
        filled += got;
      }
    }),
  );
  let filled = 0;
  for (const [index, length] of lengths.entries()) {
    if (filled < (starts[index] ?? 0)) break;
    filled += length;
  }
  return filled;
}
