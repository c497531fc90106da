/** An image's copies while they are being made: rows, room on the storages, and bytes. */

import { takeRoom } from '../backup-storage/capacity.ts';
import type { BackupStorageDriver } from '../backup-storage/driver.ts';
import type { SqlTransaction } from '../database/database.ts';
import { type ErrorBody, IngotError } from '../kernel/errors.ts';
import { formatSize } from '../kernel/format.ts';
import { bornAt } from '../kernel/properties.ts';
import { isThrownAway } from '../primary-storage/trash.ts';
import { filesOf } from './description.ts';

export interface Copy {
  storageUuid: string;
  /** Inside the storage. */
  path: string;
}

/** A storage that has no copy, and why. */
export interface CopyFailure {
  backupStorageUuid: string;
  error: ErrorBody;
}

/** All storages failed: one error, with that of each. */
export function noneHasIt(failures: readonly CopyFailure[]): IngotError {
  const each = failures.map(({ backupStorageUuid, error }) => `${backupStorageUuid}: ${error.details}`);
  return new IngotError('SYS.1002', `no backup storage could take the image. ${each.join('; ')}`, {
    causes: failures.map(({ error }) => error),
    opaque: { failures },
  });
}

/** Made of our own names alone: nothing that a user gives becomes part of a path. */
export function copyPath(accountUuid: string, imageUuid: string): string {
  return `templates/acct-${accountUuid}/${imageUuid}/${imageUuid}.template`;
}

/** Throws why the storage can't take an image; SYS.1003 where there is no such storage. */
export async function requireUsableStorage(tx: SqlTransaction, uuid: string): Promise<void> {
  const storage = await tx
    .selectFrom('backupStorage')
    .select(['name', 'state', 'status'])
    .where('uuid', '=', uuid)
    .executeTakeFirst();
  if (!storage) throw new IngotError('SYS.1003', `there is no BackupStorage with the uuid ${uuid}`);
  if (storage.state !== 'Enabled') {
    throw new IngotError(
      'SYS.1006',
      `backup storage '${storage.name}' (${uuid}) is ${storage.state}; no image can be added to it`,
    );
  }
  if (storage.status !== 'Connected') {
    throw new IngotError('SYS.1006', `backup storage '${storage.name}' (${uuid}) is ${storage.status}`, {
      retryable: true,
    });
  }
}

/** The row of a copy to be, with no room taken yet. SYS.1006 while what is left of an earlier one is being removed. */
export async function insertCopy(
  tx: SqlTransaction,
  imageUuid: string,
  copy: Copy,
  driver: BackupStorageDriver,
  now: number,
  status: 'Creating' | 'Downloading' = 'Downloading',
): Promise<void> {
  await requireTakenAway(tx, copy);
  await tx
    .insertInto('imageBackupStorageRef')
    .values({
      imageUuid,
      backupStorageUuid: copy.storageUuid,
      installPath: driver.location(copy.path),
      path: copy.path,
      status,
      size: 0,
      ...bornAt(now),
    })
    .execute();
}

/** Removing the remains of an earlier copy, later, would take the new one with them. */
async function requireTakenAway(tx: SqlTransaction, { storageUuid, path }: Copy): Promise<void> {
  if (!(await isThrownAway(tx, storageUuid, filesOf(path)))) return;
  throw new IngotError(
    'SYS.1006',
    `what is left of an earlier copy of the image on backup storage ${storageUuid} is still being removed`,
    { retryable: true, elaboration: 'Try again in a minute, or name another backup storage.' },
  );
}

/** Makes the copy's place in the storage's capacity `bytes` large. BS.1006 where there is not so much room. */
export async function reserve(
  tx: SqlTransaction,
  imageUuid: string,
  storageUuid: string,
  bytes: number,
): Promise<void> {
  const row = await tx
    .selectFrom('imageBackupStorageRef')
    .select('size')
    .where('imageUuid', '=', imageUuid)
    .where('backupStorageUuid', '=', storageUuid)
    .executeTakeFirst();
  if (!row)
    throw new IngotError('SYS.1006', `the image or its backup storage ${storageUuid} was deleted meanwhile`);
  if (row.size === bytes) return;
  await takeRoom(tx, storageUuid, bytes - row.size);
  await tx
    .updateTable('imageBackupStorageRef')
    .set({ size: bytes })
    .where('imageUuid', '=', imageUuid)
    .where('backupStorageUuid', '=', storageUuid)
    .execute();
}

/** Deletes the copy's row and gives its room back. */
export async function forgetCopy(tx: SqlTransaction, imageUuid: string, storageUuid: string): Promise<void> {
  const row = await tx
    .deleteFrom('imageBackupStorageRef')
    .where('imageUuid', '=', imageUuid)
    .where('backupStorageUuid', '=', storageUuid)
    .returning('size')
    .executeTakeFirst();
  if (row) await takeRoom(tx, storageUuid, -row.size);
}

/** Looks whether the file system behind a storage has the bytes, whatever the sums say. */
export async function requirePhysicalRoom(
  driver: BackupStorageDriver,
  storageUuid: string,
  bytes: number,
): Promise<void> {
  const { available } = await driver.capacity();
  if (bytes <= available) return;
  throw new IngotError(
    'BS.1006',
    `what is behind backup storage ${storageUuid} has only ${formatSize(available)} left, and ${formatSize(bytes)} (${bytes} bytes) are needed`,
    {
      elaboration: 'Free space there, or name another backup storage.',
      retryable: true,
      opaque: { bytes },
    },
  );
}
