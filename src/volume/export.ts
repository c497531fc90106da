/** ExportVolume: where a volume's file is, or a copy of it that stands alone. */
import { access, open, realpath, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { isInside } from '../backup-storage/local/directory.ts';
import { syncDirectory } from '../backup-storage/local/durable-directory.ts';
import { asFileError } from '../backup-storage/local/file-error.ts';
import type { SqlTransaction } from '../database/database.ts';
import { convertDisk } from '../disk/qemu-img.ts';
import { letGo } from '../job/holds.ts';
import type { JobOperation } from '../job/operation.ts';
import { IngotError, isSystemError } from '../kernel/errors.ts';
import type { PrimaryStorages } from '../primary-storage/primary-storages.ts';
import { requireNoGuest } from '../vm/use.ts';
import type { ExportVolume } from './messages.ts';
import { takeVolume } from './volumes.ts';

interface Checkpoint {
  storageUuid: string;
  path: string;
  size: number;
  /** Where the copy goes; absent when only the place is asked for. */
  target?: string;
  /** Which file the copy is, known before it is at its place. */
  made?: string;
}

export function exportVolume(parts: {
  primaryStorages: PrimaryStorages;
  reserved: readonly string[];
}): JobOperation<typeof ExportVolume, Checkpoint> {
  return {
    async admit({ id, parameters: { uuid, path: wanted } }, tx) {
      const volume = await takeVolume(tx, uuid, { job: id, mode: 'read' });
      if (wanted) await requireNoGuest(tx, volume, 'be copied');
      const target = wanted && (await usableTarget(tx, wanted, parts.reserved));
      const { primaryStorageUuid: storageUuid, path, size } = volume;
      return { target: uuid, checkpoint: { storageUuid, path, size, ...(target && { target }) } };
    },

    async run(job) {
      const { storageUuid, path, size, target } = job.checkpoint;
      const driver = await parts.primaryStorages.driver(storageUuid);
      const disk = { path: driver.location(path), format: 'qcow2' as const };
      const standalone = target !== undefined || (await driver.baseOf(path)) === undefined;
      const format = target === undefined ? 'qcow2' : job.call.parameters.format;
      if (target !== undefined && !(await isThere(job.checkpoint))) {
        const part = partOf(target);
        await rm(part, { force: true });
        const onPercent = (percent: number) =>
          job.report({ bytesDone: Math.round((size * percent) / 100), bytesTotal: size });
        await convertDisk(disk, { path: part, format }, { signal: job.signal, onPercent });
        await sync(part);
        const made = await identityOf(part);
        await job.save({ ...job.checkpoint, ...(made !== undefined && { made }) });
        await rename(part, target);
      }
      if (target !== undefined) await syncDirectory(dirname(target));
      return async (tx) => {
        await letGo(tx, job.call.id);
        return { path: target ?? disk.path, format, size, standalone };
      };
    },

    async undo(job) {
      const { target } = job.checkpoint;
      if (target !== undefined) {
        await rm(partOf(target), { force: true });
        if (await isThere(job.checkpoint)) await rm(target, { force: true });
      }
      return (tx) => letGo(tx, job.call.id);
    },
  };
}

const partOf = (target: string) => `${target}.part`;

/** Whether what is at the copy's place is the copy, and not what somebody else has put there meanwhile. */
async function isThere({ target, made }: Checkpoint): Promise<boolean> {
  return target !== undefined && made !== undefined && (await identityOf(target)) === made;
}

/** The same for as long as the file is there, whatever its name; undefined where there is none. */
async function identityOf(file: string): Promise<string | undefined> {
  try {
    const { dev, ino } = await stat(file, { bigint: true });
    return `${dev}:${ino}`;
  } catch (thrown) {
    if (isSystemError(thrown) && thrown.code === 'ENOENT') return undefined;
    throw thrown;
  }
}

/** A file that may be made: in a directory that is there, and that is not ours. */
async function usableTarget(
  tx: SqlTransaction,
  wanted: string,
  reserved: readonly string[],
): Promise<string> {
  const refuse = (why: string) =>
    new IngotError('SYS.1007', `'path' ${wanted} can't be exported to: ${why}`, {
      opaque: { parameter: 'path' },
    });
  let directory: string;
  try {
    directory = await realpath(dirname(wanted));
  } catch (error) {
    throw refuse(asFileError(error, dirname(wanted)).details);
  }
  const storages = await tx.selectFrom('primaryStorage').select('mountPath as url').execute();
  const stores = await tx.selectFrom('backupStorage').select('url').execute();
  const own = [...reserved, ...storages.map(({ url }) => url), ...stores.map(({ url }) => url)].find((each) =>
    isInside(directory, each),
  );
  if (own) throw refuse(`the service keeps its own files in ${own}`);
  const target = join(directory, basename(wanted));
  const there = await access(target).then(
    () => true,
    () => false,
  );
  if (there) throw refuse('it exists already');
  return target;
}

async function sync(file: string): Promise<void> {
  const handle = await open(file, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
