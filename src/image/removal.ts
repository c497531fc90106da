/**
 * Takes copies of an image away for good. Their rows are marked Deleted first, so that none is ever Ready without
 * its bytes; then the bytes go; then the rows, and the image with its last one.
 */
import type { BackupStorages } from '../backup-storage/backup-storages.ts';
import type { Database, SqlTransaction } from '../database/database.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import type { RowOf } from '../kernel/resource.ts';
import { throwAway } from '../primary-storage/trash.ts';
import { forgetCopy } from './copies.ts';
import { filesOf, removeWithDescription, whenDescribed } from './description.ts';
import type { ImageBackupStorageRef } from './image.ts';

type Ref = RowOf<typeof ImageBackupStorageRef>;

interface Parts {
  database: Database;
  storages: BackupStorages;
  clock: Clock;
  log: Log;
}

/** A copy on its way out, and what it was before. */
export type Leaving = Pick<Ref, 'imageUuid' | 'backupStorageUuid' | 'path' | 'size' | 'status'>;

/** The image's copies, oldest first. */
export function copiesOf(tx: SqlTransaction, imageUuid: string): Promise<Ref[]> {
  return tx
    .selectFrom('imageBackupStorageRef')
    .selectAll()
    .where('imageUuid', '=', imageUuid)
    .orderBy('createDate')
    .orderBy('backupStorageUuid')
    .execute();
}

/** Marks copies, and lets the image's own status follow. */
export async function markCopies(
  tx: SqlTransaction,
  copies: readonly Pick<Ref, 'imageUuid' | 'backupStorageUuid'>[],
  status: 'Deleted' | 'Ready',
  now: number,
): Promise<void> {
  for (const { imageUuid, backupStorageUuid } of copies) {
    await tx
      .updateTable('imageBackupStorageRef')
      .set({ status, lastOpDate: now })
      .where('imageUuid', '=', imageUuid)
      .where('backupStorageUuid', '=', backupStorageUuid)
      .execute();
  }
  for (const imageUuid of new Set(copies.map((copy) => copy.imageUuid))) {
    await settleStatus(tx, imageUuid);
    await tx.updateTable('image').set({ lastOpDate: now }).where('uuid', '=', imageUuid).execute();
  }
}

/** Ready with a Ready copy, Deleted with only Deleted ones, gone without any. Images being taken in are let be. */
export async function settleStatus(tx: SqlTransaction, imageUuid: string): Promise<void> {
  const statuses = new Set((await copiesOf(tx, imageUuid)).map((copy) => copy.status));
  if (statuses.size === 0) {
    await tx.deleteFrom('image').where('uuid', '=', imageUuid).execute();
    return;
  }
  const status = statuses.has('Ready') ? 'Ready' : statuses.has('Deleted') ? 'Deleted' : undefined;
  if (status === undefined || statuses.has('Downloading') || statuses.has('Creating')) return;
  await tx.updateTable('image').set({ status }).where('uuid', '=', imageUuid).execute();
}

/**
 * Removes the bytes. What can't be reached is an error, or with `enforcing` left behind and told in the log.
 * Returns what was left, for `forgetCopies`.
 */
export async function removeBytes(
  parts: Parts,
  leaving: readonly Leaving[],
  enforcing: boolean,
): Promise<Leaving[]> {
  const left: Leaving[] = [];
  for (const copy of leaving) {
    const { imageUuid, backupStorageUuid, path } = copy;
    try {
      const driver = await parts.storages.driver(backupStorageUuid);
      await whenDescribed(parts.database.sql, imageUuid, backupStorageUuid, () => parts.clock.now());
      await removeWithDescription(driver, path);
    } catch (error) {
      if (!enforcing) throw error;
      parts.log.warn(
        { image: imageUuid, storage: backupStorageUuid, err: error },
        'bytes were left behind by a delete by force',
      );
      left.push(copy);
    }
  }
  return left;
}

/** The last step: rows go, room is given back. The bytes that were left go when their storage is back. */
export async function forgetCopies(
  tx: SqlTransaction,
  leaving: readonly Leaving[],
  left: readonly Leaving[] = [],
): Promise<void> {
  for (const { backupStorageUuid, path } of left)
    await throwAway(tx, 'backup', backupStorageUuid, filesOf(path));
  for (const { imageUuid, backupStorageUuid } of leaving) await forgetCopy(tx, imageUuid, backupStorageUuid);
  for (const imageUuid of new Set(leaving.map((copy) => copy.imageUuid))) await settleStatus(tx, imageUuid);
}

/** What failed half-way: copies whose bytes are still there are what they were before, the others are gone. */
export async function restoreCopies(
  parts: Parts,
  leaving: readonly Leaving[],
): Promise<(tx: SqlTransaction) => Promise<void>> {
  const there: Leaving[] = [];
  const gone: Leaving[] = [];
  for (const copy of leaving) {
    const driver = await parts.storages.driver(copy.backupStorageUuid);
    const size = await driver.size(copy.path).catch(() => copy.size);
    (size === copy.size ? there : gone).push(copy);
  }
  return async (tx) => {
    // Somebody else may have removed them meanwhile, and a new copy may have come to the same place.
    const stillGone: Leaving[] = [];
    for (const copy of gone) if (await isMarked(tx, copy)) stillGone.push(copy);
    const ready = there.filter((copy) => copy.status === 'Ready');
    await markCopies(tx, ready, 'Ready', parts.clock.now());
    // Where the bytes went, what describes them may have stayed.
    await forgetCopies(tx, stillGone, stillGone);
  };
}

async function isMarked(tx: SqlTransaction, { imageUuid, backupStorageUuid }: Leaving): Promise<boolean> {
  const row = await tx
    .selectFrom('imageBackupStorageRef')
    .select('status')
    .where('imageUuid', '=', imageUuid)
    .where('backupStorageUuid', '=', backupStorageUuid)
    .executeTakeFirst();
  return row?.status === 'Deleted';
}

/** The job, other than `own`, that is taking copies of the image away, where there is one. */
export async function removingJob(
  tx: SqlTransaction,
  imageUuid: string,
  own = '',
): Promise<string | undefined> {
  const job = await tx
    .selectFrom('longJob')
    .select('uuid')
    .where('targetResourceUuid', '=', imageUuid)
    .where('uuid', '!=', own)
    .where('jobName', 'in', ['APIDeleteImageMsg', 'APIExpungeImageMsg'])
    .where('state', 'in', ['Waiting', 'Running', 'Canceling'])
    .executeTakeFirst();
  return job?.uuid;
}
