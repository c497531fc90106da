/**
 * What every kind of backup storage owes its callers. The contract suite in test/contract runs against
 * each driver with the real thing behind it.
 *
 * Paths are relative to the storage's own root, made of our own names only (never of a user's), with `/`
 * between their parts. Sizes and offsets are bytes. Errors are IngotErrors whose `retryable` says whether
 * trying again can help.
 */

import type { Steps } from '../kernel/steps.ts';
import { type CommitOptions, WRITER_STEPS, type WriteOptions, type Writer } from '../transfer/sink.ts';

export interface StoreCapacity {
  /** Size of the file system or the bucket's quota. */
  total: number;
  /** What could be written now. */
  available: number;
}

/** What transfers write to is what stores offer; the contract stands there. */
export type StoreWriter = Writer;
export type CreateOptions = WriteOptions;
export type { CommitOptions };

export interface StoreObject {
  path: string;
  size: number;
  /** True for what an unfinished `create` left behind; `path` is then that of the object it would become. */
  partial: boolean;
}

/** Reads one object at any place. */
export interface ObjectReader {
  /** Fulfilled with how many bytes it has put into `target`: fewer than its length only at the object's end. */
  read(target: Uint8Array, position: number): Promise<number>;
  close(): Promise<void>;
}

export interface BackupStorageDriver {
  /**
   * Makes the place this storage, and marks it so that nothing else is taken for it; what is missing of it is made.
   * Done twice for the same storage is success. SYS.1007 where the place is another storage's or holds something else.
   */
  initialise(): Promise<void>;
  /** Makes the place a plain one again, if it is this storage's; what else lies in it stays. */
  retire(): Promise<void>;
  /** Fulfilled when the storage can be reached, is the one it was, and can be written; rejects saying why not. */
  ping(): Promise<void>;
  capacity(): Promise<StoreCapacity>;
  create(path: string, options?: CreateOptions): Promise<StoreWriter>;
  /** The object's bytes [start, end), the whole of it by default. Rejects when there is none. */
  read(path: string, range?: { start?: number; end?: number }): AsyncIterable<Uint8Array>;
  /** What an unfinished `create` has written so far, for checking it before continuing. */
  readPartial(path: string, range?: { start?: number; end?: number }): AsyncIterable<Uint8Array>;
  /** Size of the object, undefined when there is none. */
  size(path: string): Promise<number | undefined>;
  /** Removes the object and what an unfinished `create` left; nothing there is success. */
  remove(path: string): Promise<void>;
  /**
   * Opens the object, or what an unfinished `create` has written of it, to be read into the caller's own memory;
   * where the store can do that more cheaply than by `read`.
   */
  openForReading?(path: string, options?: { partial?: boolean }): Promise<ObjectReader>;
  /**
   * The file of this machine that holds the object, or what an unfinished `create` has written of it, for programs
   * that want a name; absent where there is no such file.
   */
  localFile?(path: string, options?: { partial?: boolean }): string;
  /**
   * Makes the file `target` (absolute, not there yet) the same as the object without moving its bytes: the same
   * file under a second name, or one that shares its blocks. False where that can't be; absent where it never can.
   */
  link?(path: string, target: string): Promise<boolean>;
  /** Every object under the prefix, unfinished ones too. */
  list(prefix: string): AsyncIterable<StoreObject>;
  /** Where the object is, as a person would look for it: a file's absolute path, a URL. */
  location(path: string): string;
  close(): Promise<void>;
}

/** What a driver changes (kernel/steps.ts). */
export const BACKUP_STORAGE_STEPS = {
  create: { gives: WRITER_STEPS },
  link: {},
  remove: {},
} as const satisfies Steps<BackupStorageDriver>;
