/** ExpungeImage and RecoverImage: what becomes of copies that are marked Deleted (zstack-api.md 5.3). */
import type { BackupStorages } from '../backup-storage/backup-storages.ts';
import type { Database, SqlTransaction } from '../database/database.ts';
import type { ChangeOperation, JobOperation } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import { IngotError } from '../kernel/errors.ts';
import type { Log } from '../kernel/log.ts';
import type { RowOf } from '../kernel/resource.ts';
import { requireInventory } from '../query/find.ts';
import { leavingOf } from './delete.ts';
import { Image, type ImageBackupStorageRef } from './image.ts';
import type { ExpungeImage, RecoverImage } from './messages.ts';
import {
  copiesOf,
  forgetCopies,
  type Leaving,
  markCopies,
  removeBytes,
  removingJob,
  restoreCopies,
} from './removal.ts';

export function expungeImage(parts: {
  database: Database;
  storages: BackupStorages;
  clock: Clock;
  log: Log;
}): JobOperation<typeof ExpungeImage, { leaving: Leaving[] }> {
  return {
    async admit({ parameters: { imageUuid, backupStorageUuids } }, tx) {
      const deleted = await deletedCopies(tx, imageUuid, backupStorageUuids);
      return { target: imageUuid, checkpoint: { leaving: deleted.map(leavingOf) } };
    },

    async run(job) {
      await removeBytes(parts, job.checkpoint.leaving, false);
      return async (tx) => {
        await forgetCopies(tx, job.checkpoint.leaving);
        return {};
      };
    },

    /** They were Deleted before; what still has its bytes stays so, and is tried again by the expunger. */
    undo: (job) => restoreCopies(parts, job.checkpoint.leaving),
  };
}

export function recoverImage(parts: { clock: Clock }): ChangeOperation<typeof RecoverImage> {
  return async ({ parameters: { imageUuid, backupStorageUuids } }, tx) => {
    const deleted = await deletedCopies(tx, imageUuid, backupStorageUuids);
    const job = await removingJob(tx, imageUuid);
    if (job !== undefined) {
      throw new IngotError(
        'SYS.1006',
        `image ${imageUuid} can't be brought back: job ${job} is just deleting its bytes`,
      );
    }
    await markCopies(tx, deleted, 'Ready', parts.clock.now());
    return { inventory: await requireInventory(tx, Image, imageUuid) };
  };
}

/** The copies that are marked Deleted, all or those on the named storages. */
async function deletedCopies(
  tx: SqlTransaction,
  imageUuid: string,
  named: string[] | undefined,
): Promise<RowOf<typeof ImageBackupStorageRef>[]> {
  const image = await requireInventory(tx, Image, imageUuid);
  const all = await copiesOf(tx, imageUuid);
  const deleted = all.filter((copy) => copy.status === 'Deleted');
  if (deleted.length === 0) {
    throw new IngotError('SYS.1006', `image '${image.name}' (${imageUuid}) is ${image.status}, not Deleted`);
  }
  if (named === undefined) return deleted;
  for (const uuid of named) {
    const copy = all.find((each) => each.backupStorageUuid === uuid);
    if (copy?.status === 'Deleted') continue;
    throw new IngotError(
      'SYS.1007',
      copy
        ? `the copy of image '${image.name}' on backup storage ${uuid} is ${copy.status}, not Deleted`
        : `image '${image.name}' has no copy on backup storage ${uuid}`,
      { opaque: { parameter: 'backupStorageUuids' } },
    );
  }
  return deleted.filter((copy) => named.includes(copy.backupStorageUuid));
}
