/** Snapshots as operations need them. */
import type { Sql, SqlTransaction } from '../database/database.ts';
import { IngotError } from '../kernel/errors.ts';
import type { Base } from '../primary-storage/driver.ts';
import type { VolumeSnapshotRow } from './snapshot.ts';

/** @throws IngotError SYS.1003 */
export async function requireSnapshot(tx: SqlTransaction, uuid: string): Promise<VolumeSnapshotRow> {
  const snapshot = await tx
    .selectFrom('volumeSnapshot')
    .selectAll()
    .where('uuid', '=', uuid)
    .executeTakeFirst();
  if (snapshot) return snapshot;
  throw new IngotError('SYS.1003', `there is no VolumeSnapshot with the uuid ${uuid}`);
}

/** @throws IngotError SYS.1003, VOLUME_SNAPSHOT.1000 unless it is Ready, SYS.1006 unless it is Enabled */
export async function requireUsableSnapshot(tx: SqlTransaction, uuid: string): Promise<VolumeSnapshotRow> {
  const snapshot = await requireSnapshot(tx, uuid);
  if (snapshot.status !== 'Ready') {
    throw new IngotError(
      'VOLUME_SNAPSHOT.1000',
      `snapshot '${snapshot.name}' (${uuid}) is ${snapshot.status}, not Ready`,
    );
  }
  if (snapshot.state !== 'Enabled') {
    throw new IngotError(
      'SYS.1006',
      `snapshot '${snapshot.name}' (${uuid}) is ${snapshot.state}; nothing is reverted to it or made of it`,
    );
  }
  return snapshot;
}

/** The entry in the cache that a volume's lowest layer stands on; undefined for one that stands alone. */
export async function lowestBase(
  on: Sql,
  volume: { primaryStorageUuid: string; baseImageUuid: string | null },
): Promise<Base | undefined> {
  if (volume.baseImageUuid === null) return undefined;
  return on
    .selectFrom('imageCache')
    .select(['path', 'format'])
    .where('primaryStorageUuid', '=', volume.primaryStorageUuid)
    .where('imageUuid', '=', volume.baseImageUuid)
    .executeTakeFirstOrThrow();
}

/** The volume stands on the snapshot now, or on none: that one is the latest, and its tree the current one. */
export async function standOn(
  tx: SqlTransaction,
  volumeUuid: string,
  snapshot: { uuid: string; treeUuid: string } | undefined,
): Promise<void> {
  const [uuid, treeUuid] = [snapshot?.uuid ?? null, snapshot?.treeUuid ?? null];
  await tx.updateTable('volume').set({ baseSnapshotUuid: uuid }).where('uuid', '=', volumeUuid).execute();
  await tx
    .updateTable('volumeSnapshot')
    .set({ latest: false })
    .where('volumeUuid', '=', volumeUuid)
    .execute();
  await tx
    .updateTable('volumeSnapshotTree')
    .set({ current: false })
    .where('volumeUuid', '=', volumeUuid)
    .execute();
  if (uuid === null || treeUuid === null) return;
  await tx.updateTable('volumeSnapshot').set({ latest: true }).where('uuid', '=', uuid).execute();
  await tx.updateTable('volumeSnapshotTree').set({ current: true }).where('uuid', '=', treeUuid).execute();
}
