import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Range } from './range-header.ts';

/** A file as the range server shall serve it. */
export interface ServedFile {
  /** The bytes, or the path of a file that holds them. */
  content: Uint8Array | string;
  /** With its quotes; null for none. By default a strong one that changes with the content. */
  etag?: string | null;
  /** Null for none. */
  lastModified?: Date | null;
  contentType?: string;
  /** False: ranges are neither offered nor heeded. */
  acceptRanges?: boolean;
}

export interface LoadedFile {
  /** Bytes. */
  size: number;
  etag: string | undefined;
  /** As an HTTP date. */
  lastModified: string | undefined;
  contentType: string;
  acceptRanges: boolean;
  read(range: Range): AsyncIterable<Uint8Array>;
}

const DEFAULT_DATE = new Date('2025-01-01T00:00:00Z');

export async function loadFile(served: ServedFile | Uint8Array): Promise<LoadedFile> {
  const file: ServedFile = served instanceof Uint8Array ? { content: served } : served;
  const { size, etag, modified, read } = await open(file.content);
  const date = file.lastModified === undefined ? modified : file.lastModified;
  return {
    size,
    etag: file.etag === undefined ? etag : (file.etag ?? undefined),
    lastModified: date?.toUTCString(),
    contentType: file.contentType ?? 'application/octet-stream',
    acceptRanges: file.acceptRanges ?? true,
    read,
  };
}

async function open(content: Uint8Array | string) {
  if (typeof content === 'string') {
    const { size, mtime, mtimeMs } = await stat(content);
    return {
      size,
      etag: `"${size.toString(16)}-${mtimeMs.toString(16)}"`,
      modified: mtime,
      async *read({ start, end }: Range): AsyncGenerator<Uint8Array> {
        if (end > start) yield* createReadStream(content, { start, end: end - 1, highWaterMark: 1 << 20 });
      },
    };
  }
  return {
    size: content.length,
    etag: `"${createHash('sha256').update(content).digest('hex').slice(0, 32)}"`,
    modified: DEFAULT_DATE,
    async *read({ start, end }: Range): AsyncGenerator<Uint8Array> {
      for (let at = start; at < end; at += 1 << 20) yield content.subarray(at, Math.min(end, at + (1 << 20)));
    },
  };
}
