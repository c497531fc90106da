import { constants } from 'node:fs';
import { access, copyFile, link, open, readdir, stat, statfs } from 'node:fs/promises';
import path from 'node:path';
import { isSystemError } from '../../kernel/errors.ts';
import type {
  BackupStorageDriver,
  CreateOptions,
  ObjectReader,
  StoreObject,
  StoreWriter,
} from '../driver.ts';
import { removeEmptyUpTo, syncDirectory, unlinkIfThere } from './durable-directory.ts';
import { asFileError } from './file-error.ts';
import { openLocalWriter } from './local-writer.ts';
import {
  checkMarker,
  initialiseLocalBackupStorage,
  type LocalStorageOptions,
  retireLocalBackupStorage,
} from './marker.ts';
import { fileOf, OWN_PREFIX, PART_SUFFIX, partOf } from './object-path.ts';

const READ_BYTES = 256 * 1024;

/**
 * A backup storage in a directory that `initialiseLocalBackupStorage` has made one. While the directory isn't
 * that storage (its file system is not mounted), nothing is written and nothing is said to be absent.
 */
export function localBackupStorage({
  root: directory,
  uuid,
  kind = 'backup',
}: LocalStorageOptions): BackupStorageDriver {
  // Without a slash at its end, as the walks up to it compare names.
  const root = path.resolve(directory);
  const options = { root, uuid, kind };
  return {
    initialise: () => initialiseLocalBackupStorage(options),
    retire: () => retireLocalBackupStorage(options),
    async ping() {
      await checkMarker(options);
      await access(root, constants.R_OK | constants.W_OK | constants.X_OK).catch((thrown) => {
        throw asFileError(thrown, root);
      });
    },
    async capacity() {
      const { bsize, blocks, bavail } = await statfs(root).catch((thrown) => {
        throw asFileError(thrown, root);
      });
      return { total: bsize * blocks, available: bsize * bavail };
    },
    async create(objectPath: string, createOptions: CreateOptions = {}): Promise<StoreWriter> {
      await checkMarker(options);
      return openLocalWriter(root, fileOf(root, objectPath), createOptions, () => checkMarker(options));
    },
    read: (objectPath, range) => readFile(fileOf(root, objectPath), range),
    readPartial: (objectPath, range) => readFile(partOf(fileOf(root, objectPath)), range),
    openForReading: (objectPath, { partial = false } = {}) => {
      const file = fileOf(root, objectPath);
      return openReader(partial ? partOf(file) : file);
    },
    localFile: (objectPath, { partial = false } = {}) => {
      const file = fileOf(root, objectPath);
      return partial ? partOf(file) : file;
    },
    async size(objectPath) {
      const size = await sizeOf(fileOf(root, objectPath));
      if (size === undefined) await checkMarker(options);
      return size;
    },
    async remove(objectPath) {
      const file = fileOf(root, objectPath);
      await checkMarker(options);
      await remove(root, file);
    },
    async link(objectPath, target) {
      const file = fileOf(root, objectPath);
      await checkMarker(options);
      return linkOrShare(file, target);
    },
    async *list(prefix) {
      await checkMarker(options);
      yield* list(root, prefix);
    },
    location: (objectPath) => fileOf(root, objectPath),
    async close() {},
  };
}

async function* readFile(
  file: string,
  { start = 0, end = Number.POSITIVE_INFINITY }: { start?: number; end?: number } = {},
): AsyncGenerator<Uint8Array> {
  try {
    const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      for (let position = start; position < end; ) {
        const buffer = Buffer.allocUnsafeSlow(Math.min(READ_BYTES, end - position));
        const { bytesRead } = await handle.read(buffer, 0, buffer.length, position);
        if (bytesRead === 0) return;
        yield buffer.subarray(0, bytesRead);
        position += bytesRead;
      }
    } finally {
      await handle.close();
    }
  } catch (thrown) {
    throw asFileError(thrown, file);
  }
}

async function openReader(file: string): Promise<ObjectReader> {
  const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW).catch((thrown) => {
    throw asFileError(thrown, file);
  });
  return {
    async read(target, position) {
      let filled = 0;
      while (filled < target.length) {
        const { bytesRead } = await handle
          .read(target, filled, target.length - filled, position + filled)
          .catch((thrown) => {
            throw asFileError(thrown, file);
          });
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      return filled;
    },
    close: () => handle.close(),
  };
}

async function sizeOf(file: string): Promise<number | undefined> {
  try {
    return (await stat(file)).size;
  } catch (thrown) {
    if (isMissing(thrown)) return undefined;
    throw asFileError(thrown, file);
  }
}

async function remove(root: string, file: string): Promise<void> {
  try {
    const gone = [await unlinkIfThere(file), await unlinkIfThere(partOf(file))];
    if (!gone.includes(true)) return;
    // Who removes the last file beside this one meanwhile removes the directory too, and sees to what is above it.
    await syncDirectory(path.dirname(file)).catch((thrown) => {
      if (!isMissing(thrown)) throw thrown;
    });
    await removeEmptyUpTo(root, path.dirname(file));
  } catch (thrown) {
    throw asFileError(thrown, file);
  }
}

/** Why a second name or shared blocks can't be had here: another file system, or one that knows no such thing. */
const NOT_HERE = [
  'EXDEV',
  'EPERM',
  'EMLINK',
  'ENOTSUP',
  'EOPNOTSUPP',
  'ENOTTY',
  'ENOSYS',
  'EINVAL',
  'EACCES',
];

async function linkOrShare(file: string, target: string): Promise<boolean> {
  const { COPYFILE_EXCL, COPYFILE_FICLONE_FORCE } = constants;
  for (const attempt of [
    () => link(file, target),
    () => copyFile(file, target, COPYFILE_EXCL | COPYFILE_FICLONE_FORCE),
  ]) {
    try {
      await attempt();
      return true;
    } catch (thrown) {
      if (!isSystemError(thrown) || !NOT_HERE.includes(thrown.code)) throw asFileError(thrown, file);
    }
  }
  return false;
}

/** Walks the tree in the order of names; what comes or goes meanwhile may or may not be seen. */
async function* list(root: string, prefix: string): AsyncGenerator<StoreObject> {
  for await (const name of walk(root, '', prefix)) {
    const partial = name.endsWith(PART_SUFFIX);
    const objectPath = partial ? name.slice(0, -PART_SUFFIX.length) : name;
    const size = await sizeOf(path.join(root, name));
    if (size !== undefined && objectPath.startsWith(prefix)) yield { path: objectPath, size, partial };
  }
}

async function* walk(root: string, directory: string, prefix: string): AsyncGenerator<string> {
  const entries = await readdir(path.join(root, directory), { withFileTypes: true }).catch((thrown) => {
    if (directory !== '' && isMissing(thrown)) return [];
    throw asFileError(thrown, path.join(root, directory));
  });
  entries.sort((one, other) => (one.name < other.name ? -1 : 1));
  for (const entry of entries) {
    const name = directory + entry.name;
    if (directory === '' && (name.startsWith(OWN_PREFIX) || name === 'lost+found')) continue;
    if (entry.isFile()) yield name;
    else if (entry.isDirectory() && mayHold(`${name}/`, prefix)) yield* walk(root, `${name}/`, prefix);
  }
}

/** Whether paths that begin with the directory can begin with the prefix. */
function mayHold(directory: string, prefix: string): boolean {
  return directory.startsWith(prefix) || prefix.startsWith(directory);
}

function isMissing(thrown: unknown): boolean {
  return isSystemError(thrown) && thrown.code === 'ENOENT';
}
