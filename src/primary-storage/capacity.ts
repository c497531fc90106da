/**
 * Capacity: availableCapacity = totalCapacity × overProvisioning − the virtual sizes of the volumes (related-chapters.md,
 * Primary storage). A volume takes its room in the transaction that writes its row.
 */
import { sql } from 'kysely';
import type { Database, SqlTransaction } from '../database/database.ts';
import type { SyncOperation } from '../job/operation.ts';
import { IngotError } from '../kernel/errors.ts';
import { formatSize } from '../kernel/format.ts';
import type { GetPrimaryStorageCapacity } from './messages.ts';

/** What may be promised to volumes in all. */
export function promisable(total: number, overProvisioning: number): number {
  return Math.floor((total * overProvisioning) / 100);
}

/** Takes `bytes` of the storage's room (gives back, when negative); PS.1006 where there is not so much. */
export async function takeRoom(tx: SqlTransaction, storageUuid: string, bytes: number): Promise<void> {
  if (bytes === 0) return;
  let update = tx
    .updateTable('primaryStorage')
    .set({ availableCapacity: sql<number>`${sql.ref('availableCapacity')} - ${bytes}` })
    .where('uuid', '=', storageUuid);
  if (bytes > 0) update = update.where('availableCapacity', '>=', bytes);
  const { numUpdatedRows } = await update.executeTakeFirst();
  if (numUpdatedRows > 0n || bytes < 0) return;
  const storage = await tx
    .selectFrom('primaryStorage')
    .select(['name', 'availableCapacity'])
    .where('uuid', '=', storageUuid)
    .executeTakeFirst();
  if (!storage) throw new IngotError('SYS.1003', `there is no PrimaryStorage with the uuid ${storageUuid}`);
  throw new IngotError(
    'PS.1006',
    `primary storage '${storage.name}' (${storageUuid}) has no room for a disk of ${formatSize(bytes)} (${bytes} bytes): ${formatSize(Math.max(0, storage.availableCapacity))} may still be promised`,
    {
      elaboration:
        "Delete volumes, name another primary storage, or raise 'overProvisioning' with UpdatePrimaryStorage.",
      retryable: true,
    },
  );
}

export function getPrimaryStorageCapacity(parts: {
  database: Database;
}): SyncOperation<typeof GetPrimaryStorageCapacity> {
  return async ({ parameters: { zoneUuids = [], primaryStorageUuids = [], all } }) => {
    if (!all && primaryStorageUuids.length === 0 && zoneUuids.length === 0) {
      throw new IngotError('SYS.1007', "say whose capacity: 'primaryStorageUuids', 'zoneUuids' or all=true");
    }
    let query = parts.database.sql
      .selectFrom('primaryStorage')
      .select([
        sumOf('totalCapacity'),
        sumOf('availableCapacity'),
        sumOf('totalPhysicalCapacity'),
        sumOf('availablePhysicalCapacity'),
      ]);
    if (primaryStorageUuids.length > 0) query = query.where('uuid', 'in', primaryStorageUuids);
    if (zoneUuids.length > 0) query = query.where('zoneUuid', 'in', zoneUuids);
    return query.executeTakeFirstOrThrow();
  };
}

function sumOf<const C extends string>(column: C) {
  return sql<number>`coalesce(sum(${sql.ref(column)}), 0)`.as(column);
}
