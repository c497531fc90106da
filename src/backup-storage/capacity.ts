/**
 * Capacity: availableCapacity = totalCapacity − what the copies on it take (related-chapters.md, Backup storage).
 * A copy takes its place before its bytes come, in one statement with the check, so that two downloads can
 * never be promised the same bytes.
 */
import { sql } from 'kysely';
import type { Database, SqlTransaction } from '../database/database.ts';
import type { SyncOperation } from '../job/operation.ts';
import { IngotError } from '../kernel/errors.ts';
import { formatSize } from '../kernel/format.ts';
import type { GetBackupStorageCapacity } from './messages.ts';

/** Takes `bytes` of the storage's room (gives back, when negative); BS.1006 where there is not so much. */
export async function takeRoom(tx: SqlTransaction, storageUuid: string, bytes: number): Promise<void> {
  if (bytes === 0) return;
  let update = tx
    .updateTable('backupStorage')
    .set({ availableCapacity: sql<number>`${sql.ref('availableCapacity')} - ${bytes}` })
    .where('uuid', '=', storageUuid);
  if (bytes > 0) update = update.where('availableCapacity', '>=', bytes);
  const { numUpdatedRows } = await update.executeTakeFirst();
  if (numUpdatedRows > 0n || bytes < 0) return;
  const storage = await tx
    .selectFrom('backupStorage')
    .select(['name', 'availableCapacity'])
    .where('uuid', '=', storageUuid)
    .executeTakeFirst();
  if (!storage) throw new IngotError('SYS.1003', `there is no BackupStorage with the uuid ${storageUuid}`);
  throw noRoom(storage.name, bytes, storage.availableCapacity);
}

/** The error for bytes that don't fit. */
export function noRoom(storageName: string, bytes: number, available: number): IngotError {
  return new IngotError(
    'BS.1006',
    `backup storage '${storageName}' has no room for ${formatSize(bytes)} (${bytes} bytes): ${formatSize(Math.max(0, available))} are left`,
    {
      elaboration: 'Delete images from it, or name another backup storage.',
      retryable: true,
      opaque: { bytes },
    },
  );
}

export function getBackupStorageCapacity(parts: {
  database: Database;
}): SyncOperation<typeof GetBackupStorageCapacity> {
  return async ({ parameters: { zoneUuids = [], backupStorageUuids = [], all } }) => {
    let query = parts.database.sql
      .selectFrom('backupStorage')
      .select([
        sql<number>`coalesce(sum(${sql.ref('totalCapacity')}), 0)`.as('totalCapacity'),
        sql<number>`coalesce(sum(${sql.ref('availableCapacity')}), 0)`.as('availableCapacity'),
      ]);
    if (backupStorageUuids.length > 0) query = query.where('uuid', 'in', backupStorageUuids);
    if (zoneUuids.length > 0) {
      query = query.where('uuid', 'in', (inner) =>
        inner
          .selectFrom('backupStorageZoneRef')
          .select('backupStorageUuid')
          .where('zoneUuid', 'in', zoneUuids),
      );
    }
    if (!all && backupStorageUuids.length === 0 && zoneUuids.length === 0) {
      throw new IngotError('SYS.1007', "say whose capacity: 'backupStorageUuids', 'zoneUuids' or all=true");
    }
    return query.executeTakeFirstOrThrow();
  };
}
