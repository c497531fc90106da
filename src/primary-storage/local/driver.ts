/**
 * A primary storage in a directory that `initialiseLocalBackupStorage` has marked as one; the directory may be of a
 * local file system or of one that several hosts share. While it isn't that storage (its file system is not
 * mounted), nothing is written and nothing is said to be absent.
 */
import { constants } from 'node:fs';
import { chmod, open, rename, stat } from 'node:fs/promises';
import path from 'node:path';
import { localBackupStorage } from '../../backup-storage/local/driver.ts';
import { inDirectory, syncUpTo, unlinkIfThere } from '../../backup-storage/local/durable-directory.ts';
import { openLocalWriter } from '../../backup-storage/local/local-writer.ts';
import { checkMarker } from '../../backup-storage/local/marker.ts';
import { fileOf, partOf } from '../../backup-storage/local/object-path.ts';
import { DiskStream } from '../../disk/disk-stream.ts';
import { readLayerHeader } from '../../disk/layer-header.ts';
import { rebaseDisk, resizeDisk, shrinkDisk } from '../../disk/qemu-img.ts';
import type { Writer } from '../../transfer/sink.ts';
import type { Base, LongWork, PrimaryStorageDriver } from '../driver.ts';
import { asPrimaryError, ofPrimary } from './file-error.ts';
import { backingName, writeLayer } from './layer-file.ts';

/** Nobody writes to what others stand on. */
const FROZEN = 0o440;
const ACTIVE = 0o640;
const COPY_BYTES = 4 * 1024 * 1024;

export function localPrimaryStorage({
  root: directory,
  uuid,
}: {
  root: string;
  uuid: string;
}): PrimaryStorageDriver {
  const root = path.resolve(directory);
  const options = { root, uuid, kind: 'primary' as const };
  // Directories, capacity and listing are the same as a backup storage's.
  const files = localBackupStorage(options);
  const disk = (name: string) => ({ path: fileOf(root, name), format: 'qcow2' as const });
  const baseFile = (base: Base) => ({ file: fileOf(root, base.path), format: base.format });

  /** Checks that the storage is there, does it, and names the file in what goes wrong. */
  async function on<T>(name: string, act: (file: string) => Promise<T>): Promise<T> {
    const file = fileOf(root, name);
    try {
      await checkMarker(options);
      return await act(file);
    } catch (thrown) {
      throw asPrimaryError(thrown, file);
    }
  }

  return {
    ping: () => ofPrimary(root, files.ping()),
    capacity: () => ofPrimary(root, files.capacity()),

    cacheImage: (name, writeOptions = {}) =>
      on(name, async (file) =>
        readOnlyOnCommit(await openLocalWriter(root, file, writeOptions, () => files.ping()), file),
      ),
    linkImage: (name, link) =>
      on(name, async (file) => {
        const part = partOf(file);
        const linked = await inDirectory(root, path.dirname(file), async () => {
          await unlinkIfThere(part);
          return link(part);
        });
        if (!linked) return false;
        await chmod(part, FROZEN);
        await rename(part, file);
        // rename(2) leaves both names where they are of one file already.
        await unlinkIfThere(part);
        await syncUpTo(root, path.dirname(file));
        return true;
      }),
    read: (name) => files.read(name),
    fingerprint: (name) => on(name, fingerprintOf),
    written: (name) => on(name, async (file) => (await stat(file)).mtimeMs),

    clone: (base, name, size) =>
      on(name, (file) => writeLayer(root, { file, virtualSize: size, base: baseFile(base) })),
    blank: (name, size) => on(name, (file) => writeLayer(root, { file, virtualSize: size })),
    freeze: (name) => on(name, (file) => freeze(file)),
    thaw: (name) => on(name, (file) => chmod(file, ACTIVE)),
    merge: (name, base, work = {}) =>
      on(name, async (file) => {
        const backing = base && { name: backingName(file, fileOf(root, base.path)), format: base.format };
        const { backing: now } = await readLayerHeader(file);
        if (now?.name !== backing?.name) await rebaseDisk(file, backing, work);
        await sync(file);
      }),
    flatten: (name, layers, base, target, size, work = {}) =>
      on(target, async (file) => {
        const backing = base && { name: backingName(file, fileOf(root, base.path)), format: base.format };
        const above = { layers, ...(backing && { backing }) };
        const bytes = await DiskStream.open(disk(name), { virtualSize: size, above }, signalOf(work));
        try {
          await copyTo(
            await openLocalWriter(root, file, { expectedSize: bytes.size }, () => files.ping()),
            bytes,
            work,
          );
        } finally {
          bytes.close();
        }
      }),
    baseOf: (name) =>
      on(name, async (file) => {
        const { backing } = await readLayerHeader(file);
        return backing && path.relative(root, path.resolve(path.dirname(file), backing.name));
      }),
    resize: (name, size, { shrink = false } = {}) =>
      on(name, async (file) => {
        const { virtualSize } = await readLayerHeader(file);
        if (virtualSize < size) await resizeDisk(file, size);
        if (virtualSize > size && shrink) await shrinkDisk(file, size);
        await sync(file);
      }),
    export: (name, size, signal) =>
      on(name, () => DiskStream.open(disk(name), { virtualSize: size }, signal ? { signal } : {})),

    usage: (name) =>
      on(name, async (file) => {
        const found = await stat(file).catch(undefinedIfMissing);
        return found && found.blocks * 512;
      }),
    remove: (name) => ofPrimary(root, files.remove(name)),
    list: (prefix) => files.list(prefix),
    location: (name) => fileOf(root, name),
    close: () => files.close(),
  };
}

function signalOf({ signal }: LongWork): { signal?: AbortSignal } {
  return signal ? { signal } : {};
}

function readOnlyOnCommit(writer: Writer, file: string): Writer {
  return {
    get offset() {
      return writer.offset;
    },
    write: (chunk) => ofPrimary(file, writer.write(chunk)),
    flush: () => ofPrimary(file, writer.flush()),
    abort: (how) => ofPrimary(file, writer.abort(how)),
    async commit() {
      await ofPrimary(file, writer.commit());
      await ofPrimary(file, chmod(file, FROZEN));
    },
  };
}

/** Whatever a guest has written to it is on the disk, too, before others stand on it. */
async function freeze(file: string): Promise<void> {
  await sync(file);
  await chmod(file, FROZEN);
}

async function sync(file: string): Promise<void> {
  const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    await handle.datasync();
  } finally {
    await handle.close();
  }
}

async function fingerprintOf(file: string): Promise<string | undefined> {
  const found = await stat(file, { bigint: true }).catch(undefinedIfMissing);
  return found && `${found.ino}:${found.size}:${found.mtimeNs}:${found.ctimeNs}`;
}

function undefinedIfMissing(thrown: NodeJS.ErrnoException): undefined {
  if (thrown.code !== 'ENOENT') throw thrown;
}

async function copyTo(writer: Writer, bytes: DiskStream, work: LongWork): Promise<void> {
  try {
    const buffers = [new Uint8Array(COPY_BYTES), new Uint8Array(COPY_BYTES)];
    let writing: Promise<void> = Promise.resolve();
    for (let at = 0, turn = 0; at < bytes.size; at += COPY_BYTES, turn++) {
      work.signal?.throwIfAborted();
      const part = (buffers[turn % 2] as Uint8Array).subarray(0, bytes.size - at);
      await bytes.read(part, at, work.signal);
      await writing;
      writing = writer.write(part);
      writing.catch(() => {}); // heard of at the next turn
      work.onPercent?.((at / bytes.size) * 100);
    }
    await writing;
    await writer.commit();
  } catch (thrown) {
    await writer.abort();
    throw thrown;
  }
}
