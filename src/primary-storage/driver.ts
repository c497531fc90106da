/**
 * What every kind of primary storage owes its callers. The contract suite in test/contract runs against each
 * driver with the real thing behind it.
 *
 * Paths are relative to the storage's own root, made of our own names only, with `/` between their parts. A disk is
 * a layer of its own over what it stands on: an image in the cache, a layer that was frozen by a snapshot, or
 * nothing. Sizes are bytes. What makes a disk makes it whole and durable under its path, or not at all. Errors are
 * IngotErrors whose `retryable` says whether trying again can help.
 */
import type { LayerFormat } from '../disk/qemu-img.ts';
import type { Steps } from '../kernel/steps.ts';
import { WRITER_STEPS, type WriteOptions, type Writer } from '../transfer/sink.ts';

/** What a disk can stand on. It is never written to again. */
export interface Base {
  path: string;
  format: LayerFormat;
}

export interface LongWork {
  signal?: AbortSignal;
  onPercent?: (percent: number) => void;
}

/** A disk with all that it stands on, as the bytes of one qcow2 that stands alone; the same bytes each time. */
export interface DiskBytes {
  readonly size: number;
  /** Fills `target` with the bytes from `position` on; it must not reach behind the end. */
  read(target: Uint8Array, position: number, signal?: AbortSignal): Promise<void>;
  close(): void;
}

export interface StoredFile {
  path: string;
  size: number;
  /** True for what was begun and not ended; `path` is then that of what it would become. */
  partial: boolean;
}

export interface PrimaryStorageDriver {
  /** Fulfilled when the storage can be reached, is the one it was, and can be written; rejects saying why not. */
  ping(): Promise<void>;
  capacity(): Promise<{ total: number; available: number }>;

  /** Writes an image of the cache, from its first byte to its last; read-only once it is committed. */
  cacheImage(path: string, options?: WriteOptions): Promise<Writer>;
  /**
   * Has `link` make the image of the cache without moving bytes; it is given the absolute path of a file to make, and
   * says whether it could. Absent where the storage has no such paths.
   */
  linkImage?(path: string, link: (file: string) => Promise<boolean>): Promise<boolean>;
  /** Bytes of an image of the cache, or of a frozen layer. */
  read(path: string): AsyncIterable<Uint8Array>;
  /** Changes whenever somebody writes to the file; undefined when there is none. Costs next to nothing. */
  fingerprint(path: string): Promise<string | undefined>;
  /** When the file was last written, milliseconds since 1970. */
  written(path: string): Promise<number>;

  /**
   * A new disk over `base` that holds the same; `size` is at least the base's. Milliseconds, and next to no space. One
   * that is there already stays as it is, and is durable then: no path is used for a second disk, so the same job has
   * made it before a death, or after the backup that the database is of, and a guest may have written to it since.
   */
  clone(base: Base, path: string, size: number): Promise<void>;
  /** A new disk that reads as zeros; one that is there already stays, as with `clone`. */
  blank(path: string, size: number): Promise<void>;
  /** From now on others may stand on the disk, and nothing writes to it. */
  freeze(path: string): Promise<void>;
  /** Takes `freeze` back. */
  thaw(path: string): Promise<void>;
  /**
   * Puts the disk on `base`, which is among what it stands on (nothing, when absent): what is between goes into the
   * disk first. What it holds stays the same at every moment. Done already is success.
   */
  merge(path: string, base: Base | undefined, work?: LongWork): Promise<void>;
  /** A new layer over `base` with all that the topmost `layers` of the disk hold above it. */
  flatten(
    path: string,
    layers: number,
    base: Base | undefined,
    target: string,
    size: number,
    work?: LongWork,
  ): Promise<void>;
  /** What the disk stands on; undefined when it stands alone. */
  baseOf(path: string): Promise<string | undefined>;
  /** Makes the disk as large as that, if it is smaller; with `shrink`, also if it is larger. */
  resize(path: string, size: number, options?: { shrink?: boolean }): Promise<void>;
  export(path: string, size: number, signal?: AbortSignal): Promise<DiskBytes>;

  /** Bytes of the storage that the file takes, without what it stands on; undefined when there is none. */
  usage(path: string): Promise<number | undefined>;
  /** Removes the file and what an unfinished making of it left; nothing there is success. */
  remove(path: string): Promise<void>;
  /** Every file under the prefix, unfinished ones too. */
  list(prefix: string): AsyncIterable<StoredFile>;
  /** Where the file is, as a hypervisor on this machine would open it. */
  location(path: string): string;
  close(): Promise<void>;
}

/** What a driver changes (kernel/steps.ts). */
export const PRIMARY_STORAGE_STEPS = {
  cacheImage: { gives: WRITER_STEPS },
  linkImage: {},
  clone: {},
  blank: {},
  freeze: {},
  thaw: {},
  merge: {},
  flatten: {},
  resize: {},
  remove: {},
} as const satisfies Steps<PrimaryStorageDriver>;
