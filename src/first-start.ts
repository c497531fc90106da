import { mkdir } from 'node:fs/promises';
import { ADMIN_UUID } from './account/account.ts';
import { own } from './account/ownership.ts';
import { BackupStorage } from './backup-storage/backup-storage.ts';
import { localBackupStorage } from './backup-storage/local/driver.ts';
import {
  initialiseLocalBackupStorage,
  markedUuid,
  retireLocalBackupStorage,
} from './backup-storage/local/marker.ts';
import type { Database, Sql } from './database/database.ts';
import type { Clock } from './kernel/clock.ts';
import { bornAt } from './kernel/properties.ts';
import { newUuid } from './kernel/uuid.ts';
import { localPrimaryStorage } from './primary-storage/local/driver.ts';
import { PrimaryStorage } from './primary-storage/primary-storage.ts';
import { Zone } from './zone/zone.ts';

/** Where there is no zone yet: a default one, with a backup storage and a primary storage in it. */
export async function makeFirstZone(parts: {
  database: Database;
  clock: Clock;
  directory: string;
  /** Where the primary storage goes. */
  primaryDirectory: string;
}): Promise<void> {
  const { database, directory, primaryDirectory, clock } = parts;
  if (await hasZone(database.sql)) return;
  // The marker names the uuid: killed after it was written, the next start goes on with the same one.
  await mkdir(directory, { recursive: true, mode: 0o750 });
  const uuid = (await markedUuid(directory)) ?? newUuid();
  await initialiseLocalBackupStorage({ root: directory, uuid });
  const { total } = await localBackupStorage({ root: directory, uuid }).capacity();
  await mkdir(primaryDirectory, { recursive: true, mode: 0o750 });
  const primaryUuid = (await markedUuid(primaryDirectory, 'primary')) ?? newUuid();
  await initialiseLocalBackupStorage({ root: primaryDirectory, uuid: primaryUuid, kind: 'primary' });
  const physical = await localPrimaryStorage({ root: primaryDirectory, uuid: primaryUuid }).capacity();
  const zone = newUuid();
  const dates = bornAt(clock.now());
  const made = await database.transaction(async (tx) => {
    // Another process may be starting on the same database, and have been quicker.
    if (await hasZone(tx)) return false;
    await tx
      .insertInto('zone')
      .values({
        uuid: zone,
        name: 'default',
        description: 'The zone that is there from the start',
        state: 'Enabled',
        type: 'zstack',
        isDefault: true,
        ...dates,
      })
      .execute();
    await tx
      .insertInto('backupStorage')
      .values({
        uuid,
        name: 'local',
        description: 'The backup storage that is there from the start, in the data directory',
        url: directory,
        totalCapacity: total,
        availableCapacity: total,
        type: 'LocalBackupStorage',
        state: 'Enabled',
        status: 'Connected',
        ...dates,
      })
      .execute();
    await tx
      .insertInto('backupStorageZoneRef')
      .values({ backupStorageUuid: uuid, zoneUuid: zone, ...dates })
      .execute();
    await tx
      .insertInto('primaryStorage')
      .values({
        uuid: primaryUuid,
        name: 'local',
        description: 'The primary storage that is there from the start, in the data directory',
        zoneUuid: zone,
        url: primaryDirectory,
        mountPath: primaryDirectory,
        type: 'LocalStorage',
        state: 'Enabled',
        status: 'Connected',
        totalCapacity: physical.total,
        availableCapacity: physical.total,
        totalPhysicalCapacity: physical.total,
        availablePhysicalCapacity: physical.available,
        systemUsedCapacity: 0,
        overProvisioning: 100,
        ...dates,
      })
      .execute();
    await own(tx, Zone, zone, ADMIN_UUID, dates.createDate);
    await own(tx, BackupStorage, uuid, ADMIN_UUID, dates.createDate);
    await own(tx, PrimaryStorage, primaryUuid, ADMIN_UUID, dates.createDate);
    return true;
  });
  if (made) return;
  await retireLocalBackupStorage({ root: directory, uuid });
  await retireLocalBackupStorage({ root: primaryDirectory, uuid: primaryUuid, kind: 'primary' });
}

async function hasZone(on: Sql): Promise<boolean> {
  return (await on.selectFrom('zone').select('uuid').limit(1).executeTakeFirst()) !== undefined;
}
