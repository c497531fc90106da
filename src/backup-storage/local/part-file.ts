import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { isSystemError } from '../../kernel/errors.ts';

const FILE_MODE = 0o640;
/** What direct writes must be a multiple of, in the file and in memory: the largest sector in use. */
const SECTOR_BYTES = 4096;

/**
 * A file written at given positions, past the page cache where it can be. A download is larger than what is
 * read again soon, and filling the cache costs more CPU than digesting it (measured: 0.5 to 4 s a GiB, against
 * 0.1 s); it also keeps dirty pages, and with them the time of an fsync, small.
 */
export class PartFile {
  readonly #buffered: FileHandle;
  /** Undefined where the file system refuses direct writes. */
  #direct: FileHandle | undefined;
  readonly #refused: FileHandle[] = [];

  private constructor(buffered: FileHandle, direct: FileHandle | undefined) {
    this.#buffered = buffered;
    this.#direct = direct;
  }

  static async open(file: string, options: { truncate: boolean }): Promise<PartFile> {
    const { O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW, O_DIRECT } = constants;
    const flags = O_WRONLY | O_NOFOLLOW | (options.truncate ? O_CREAT | O_TRUNC : 0);
    const buffered = await open(file, flags, FILE_MODE);
    try {
      return new PartFile(buffered, await open(file, O_WRONLY | O_NOFOLLOW | O_DIRECT).catch(noneIfRefused));
    } catch (thrown) {
      await buffered.close();
      throw thrown;
    }
  }

  async size(): Promise<number> {
    return (await this.#buffered.stat()).size;
  }

  /** Writes all of the bytes at the position. */
  async write(bytes: Uint8Array, position: number): Promise<void> {
    const direct = directLength(bytes, position);
    let written = 0;
    if (this.#direct && direct > 0)
      written = await this.#writeDirect(this.#direct, bytes.subarray(0, direct), position);
    while (written < bytes.length) {
      const left = bytes.length - written;
      const { bytesWritten } = await this.#buffered.write(bytes, written, left, position + written);
      written += bytesWritten;
    }
  }

  async truncate(size: number): Promise<void> {
    await this.#buffered.truncate(size);
  }

  async sync(): Promise<void> {
    await this.#buffered.datasync();
  }

  async close(): Promise<void> {
    const handles = [this.#buffered, ...(this.#direct ? [this.#direct] : []), ...this.#refused];
    await Promise.all(handles.map((handle) => handle.close()));
  }

  /** Fulfilled with how many bytes it could write; the rest goes through the cache. */
  async #writeDirect(direct: FileHandle, bytes: Uint8Array, position: number): Promise<number> {
    try {
      return (await direct.write(bytes, 0, bytes.length, position)).bytesWritten;
    } catch (thrown) {
      if (!isSystemError(thrown) || thrown.code !== 'EINVAL') throw thrown;
      // Closed with the file, as other writes may be under way through it.
      if (this.#direct) this.#refused.push(this.#direct);
      this.#direct = undefined;
      return 0;
    }
  }
}

/** How many of the bytes, from the first on, can go directly. */
function directLength(bytes: Uint8Array, position: number): number {
  const aligned = position % SECTOR_BYTES === 0 && bytes.byteOffset % SECTOR_BYTES === 0;
  // Only shared memory is known to begin at a page.
  const paged = bytes.buffer instanceof SharedArrayBuffer;
  return aligned && paged ? bytes.length - (bytes.length % SECTOR_BYTES) : 0;
}

function noneIfRefused(thrown: unknown): undefined {
  if (isSystemError(thrown) && (thrown.code === 'EINVAL' || thrown.code === 'ENOTSUP')) return undefined;
  throw thrown;
}
