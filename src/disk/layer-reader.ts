import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { DiskExtents } from './disk-extents.ts';
import { DiskReader } from './disk-reader.ts';
import type { DiskFile } from './qemu-img.ts';

/**
 * Reads a disk that nothing writes to, each stretch straight out of the file of its chain that holds it. Only what
 * is packed goes through QEMU: through its socket, a GiB costs a second of CPU more (measured).
 */
export class LayerReader {
  readonly #extents: DiskExtents;
  readonly #disk: DiskFile;
  /** Absolute paths: the disk's own file, its backing file, … */
  readonly #chain: readonly string[];
  readonly #files = new Map<number, Promise<FileHandle>>();
  #qemu: Promise<DiskReader> | undefined;

  constructor(disk: DiskFile, chain: readonly string[], extents: DiskExtents) {
    this.#disk = disk;
    this.#chain = chain;
    this.#extents = extents;
  }

  /** Fills `target` with the disk's bytes from `offset` on; what lies behind the disk's end reads as zeros. */
  async read(target: Uint8Array, offset: number, signal?: AbortSignal): Promise<void> {
    const end = offset + target.length;
    const parts: Promise<void>[] = [];
    let at = offset;
    for (const extent of this.#extents.between(offset, end)) {
      const from = Math.max(extent.start, offset);
      const to = Math.min(extent.end, end);
      const part = target.subarray(from - offset, to - offset);
      if (extent.in === 'zeros') part.fill(0);
      else if (extent.in === 'packed') parts.push(this.#unpack(part, from, signal));
      else parts.push(this.#readFile(part, extent.file, extent.offset + (from - extent.start)));
      at = to;
    }
    if (at < end) target.fill(0, at - offset);
    await Promise.all(parts);
  }

  async close(): Promise<void> {
    const files = await Promise.allSettled(this.#files.values());
    for (const file of files) if (file.status === 'fulfilled') await file.value.close();
    this.#files.clear();
    const qemu = await this.#qemu?.catch(() => undefined);
    qemu?.close();
  }

  async #readFile(target: Uint8Array, index: number, offset: number): Promise<void> {
    let file = this.#files.get(index);
    if (!file) {
      file = open(this.#chain[index] ?? '', constants.O_RDONLY | constants.O_NOFOLLOW);
      this.#files.set(index, file);
    }
    const handle = await file;
    for (let filled = 0; filled < target.length; ) {
      const { bytesRead } = await handle.read(target, filled, target.length - filled, offset + filled);
      // The last cluster of a file may be stored in part: the rest reads as zeros.
      if (bytesRead === 0) {
        target.fill(0, filled);
        return;
      }
      filled += bytesRead;
    }
  }

  async #unpack(target: Uint8Array, offset: number, signal?: AbortSignal): Promise<void> {
    this.#qemu ??= DiskReader.open(this.#disk, signal);
    await (await this.#qemu).read(target, offset);
  }
}
