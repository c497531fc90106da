import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { isSystemError } from '../kernel/errors.ts';

/** The metadata of some TiB in clusters of 64 KiB. */
const MOST_BYTES = 2 ** 30;
/** Of what is free where it lies, as the service's own database may lie there too. */
const MOST_OF_FREE = 1 / 4;

/**
 * The metadata of a qcow2 at their places in a file that is holes elsewhere: all that qemu-img check reads, of an
 * image whose bytes are on no file system of this machine.
 */
export class Skeleton {
  readonly #directory: string;
  readonly #file: number;
  readonly #mostBytes: number;
  #written = 0;
  #complete = true;

  /** @param scratch a directory that is emptied at the next start, where this process is killed */
  constructor(scratch: string) {
    this.#directory = mkdtempSync(join(scratch, 'skeleton-'));
    const { bavail, bsize } = statfsSync(this.#directory);
    this.#mostBytes = Math.min(MOST_BYTES, bavail * bsize * MOST_OF_FREE);
    this.#file = openSync(this.#path, 'w', 0o600);
  }

  get #path(): string {
    return join(this.#directory, 'image');
  }

  /** Forgets what was written: the image begins anew. */
  clear(): void {
    ftruncateSync(this.#file, 0);
    this.#written = 0;
    this.#complete = true;
  }

  /** Small and rare beside the data, so that nothing is won by not waiting for it. */
  write(bytes: Uint8Array, position: number): void {
    this.#written += bytes.length;
    if (this.#written > this.#mostBytes) this.#complete = false;
    if (!this.#complete) return;
    try {
      for (let at = 0; at < bytes.length; ) {
        at += writeSync(this.#file, bytes, at, bytes.length - at, position + at);
      }
    } catch (error) {
      // No room for an opinion: the image is judged without it.
      if (!isSystemError(error)) throw error;
      this.#complete = false;
    }
  }

  /** The file, as long as the image; undefined where it could not hold all that was written. */
  finish(size: number): string | undefined {
    if (!this.#complete) return undefined;
    ftruncateSync(this.#file, size);
    return this.#path;
  }

  remove(): void {
    closeSync(this.#file);
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
