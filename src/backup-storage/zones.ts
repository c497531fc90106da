/** Which zones a backup storage serves. */
import type { Sql } from '../database/database.ts';
import type { ChangeOperation } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import { IngotError } from '../kernel/errors.ts';
import { bornAt } from '../kernel/properties.ts';
import { requireInventory } from '../query/find.ts';
import { Zone } from '../zone/zone.ts';
import { BackupStorage } from './backup-storage.ts';
import type { AttachBackupStorageToZone, DetachBackupStorageFromZone } from './messages.ts';

export function attachBackupStorageToZone(parts: {
  clock: Clock;
}): ChangeOperation<typeof AttachBackupStorageToZone> {
  return async ({ parameters: { backupStorageUuid, zoneUuid } }, tx) => {
    const names = await requireBoth(tx, backupStorageUuid, zoneUuid);
    const { numInsertedOrUpdatedRows = 0n } = await tx
      .insertInto('backupStorageZoneRef')
      .values({ backupStorageUuid, zoneUuid, ...bornAt(parts.clock.now()) })
      .onConflict((conflict) => conflict.columns(['backupStorageUuid', 'zoneUuid']).doNothing())
      .executeTakeFirst();
    if (numInsertedOrUpdatedRows === 0n)
      throw new IngotError('SYS.1006', `${names} already: nothing is left to attach`);
    return { inventory: await requireInventory(tx, BackupStorage, backupStorageUuid) };
  };
}

export const detachBackupStorageFromZone: ChangeOperation<typeof DetachBackupStorageFromZone> = async (
  { parameters: { backupStorageUuid, zoneUuid } },
  tx,
) => {
  const names = await requireBoth(tx, backupStorageUuid, zoneUuid);
  const { numDeletedRows } = await tx
    .deleteFrom('backupStorageZoneRef')
    .where('backupStorageUuid', '=', backupStorageUuid)
    .where('zoneUuid', '=', zoneUuid)
    .executeTakeFirst();
  if (numDeletedRows === 0n) throw new IngotError('SYS.1006', `it is not true that ${names}`);
  return { inventory: await requireInventory(tx, BackupStorage, backupStorageUuid) };
};

/** The sentence that the one is attached to the other; SYS.1003 where one of them is not there. */
async function requireBoth(tx: Sql, storageUuid: string, zoneUuid: string): Promise<string> {
  const storage = await requireInventory(tx, BackupStorage, storageUuid);
  const zone = await requireInventory(tx, Zone, zoneUuid);
  return `backup storage '${storage.name}' (${storageUuid}) is attached to zone '${zone.name}' (${zoneUuid})`;
}
