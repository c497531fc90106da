import { BackupStorage } from '../backup-storage/backup-storage.ts';
import { candidateStorages } from '../backup-storage/choose.ts';
import type { Database } from '../database/database.ts';
import type { SyncOperation } from '../job/operation.ts';
import { IngotError } from '../kernel/errors.ts';
import type { InventoryOf } from '../kernel/resource.ts';
import { findInventory } from '../query/find.ts';
import type {
  GetCandidateBackupStorageForCreatingImage,
  GetCandidateBackupStorageForCreatingImageFromVolume,
  GetCandidateBackupStorageForCreatingImageFromVolumeSnapshot,
} from './messages.ts';

type Parts = { database: Database };

/** What the image would be made of: at most one of the two, or neither. */
interface Source {
  volumeUuid?: string;
  volumeSnapshotUuid?: string;
}

type Answer = { inventories: InventoryOf<typeof BackupStorage>[] };

export function getCandidateBackupStorageForCreatingImage(
  parts: Parts,
): SyncOperation<typeof GetCandidateBackupStorageForCreatingImage> {
  return async ({ parameters: { size, ...source } }) => candidates(parts.database, source, size);
}

export function getCandidateBackupStorageForCreatingImageFromVolume(
  parts: Parts,
): SyncOperation<typeof GetCandidateBackupStorageForCreatingImageFromVolume> {
  return async ({ parameters }) => candidates(parts.database, parameters, 0);
}

export function getCandidateBackupStorageForCreatingImageFromVolumeSnapshot(
  parts: Parts,
): SyncOperation<typeof GetCandidateBackupStorageForCreatingImageFromVolumeSnapshot> {
  return async ({ parameters }) => candidates(parts.database, parameters, 0);
}

/** Those that could take so many bytes, and what the volume or the snapshot takes, from where that is. */
async function candidates({ sql }: Database, source: Source, size: number): Promise<Answer> {
  const found = await find(sql, source);
  const storage = found?.primaryStorageUuid ?? undefined;
  const zone =
    storage === undefined
      ? undefined
      : await sql
          .selectFrom('primaryStorage')
          .select('zoneUuid')
          .where('uuid', '=', storage)
          .executeTakeFirst();
  const uuids = await candidateStorages(sql, Math.max(size, found?.bytes ?? 0), zone?.zoneUuid);
  const inventories = await Promise.all(uuids.map(({ uuid }) => findInventory(sql, BackupStorage, uuid)));
  return { inventories: inventories.filter((inventory) => inventory !== undefined) };
}

/** SYS.1003 for what is not there. */
async function find(on: Database['sql'], { volumeUuid, volumeSnapshotUuid }: Source) {
  if (volumeUuid !== undefined) {
    const volume = await on
      .selectFrom('volume')
      .select(['primaryStorageUuid', 'actualSize as bytes'])
      .where('uuid', '=', volumeUuid)
      .executeTakeFirst();
    if (!volume) throw new IngotError('SYS.1003', `there is no Volume with the uuid ${volumeUuid}`);
    return volume;
  }
  if (volumeSnapshotUuid === undefined) return undefined;
  const snapshot = await on
    .selectFrom('volumeSnapshot')
    .select(['primaryStorageUuid', 'size as bytes'])
    .where('uuid', '=', volumeSnapshotUuid)
    .executeTakeFirst();
  if (snapshot) return snapshot;
  throw new IngotError('SYS.1003', `there is no VolumeSnapshot with the uuid ${volumeSnapshotUuid}`);
}
