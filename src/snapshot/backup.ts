/** BackupVolumeSnapshot, DeleteVolumeSnapshotFromBackupStorage: copies of snapshots that stand alone, on backup storages. */
import type { BackupStorages } from '../backup-storage/backup-storages.ts';
import { takeRoom } from '../backup-storage/capacity.ts';
import { chooseStorage } from '../backup-storage/choose.ts';
import { objectDigest } from '../backup-storage/object-digest.ts';
import type { Database, SqlTransaction } from '../database/database.ts';
import { requireUsableStorage } from '../image/copies.ts';
import { letGo } from '../job/holds.ts';
import type { ChangeOperation, JobOperation } from '../job/operation.ts';
import { IngotError } from '../kernel/errors.ts';
import { bornAt } from '../kernel/properties.ts';
import { newUuid } from '../kernel/uuid.ts';
import { diskSource } from '../primary-storage/disk-source.ts';
import { throwAway } from '../primary-storage/trash.ts';
import { requireReachable } from '../primary-storage/usable.ts';
import { requireInventory } from '../query/find.ts';
import { transfer } from '../transfer/transfer.ts';
import { takeVolume } from '../volume/volumes.ts';
import type { SnapshotParts } from './create.ts';
import type { BackupVolumeSnapshot, DeleteVolumeSnapshotFromBackupStorage } from './messages.ts';
import { VolumeSnapshot } from './snapshot.ts';
import { requireSnapshot, requireUsableSnapshot } from './snapshots.ts';

export type BackupParts = SnapshotParts & { database: Database; storages: BackupStorages };

interface Checkpoint {
  uuid: string;
  from: { storageUuid: string; path: string; size: number };
  storageUuid: string;
  path: string;
}

export function backupVolumeSnapshot(
  parts: BackupParts,
): JobOperation<typeof BackupVolumeSnapshot, Checkpoint> {
  return {
    async admit({ id, parameters: { uuid, backupStorageUuid } }, tx) {
      const snapshot = await requireUsableSnapshot(tx, uuid);
      const volume = await takeVolume(tx, snapshot.volumeUuid, { job: id, mode: 'read' });
      await requireReachable(tx, volume.primaryStorageUuid);
      if (backupStorageUuid) await requireUsableStorage(tx, backupStorageUuid);
      const storageUuid = backupStorageUuid ?? (await chooseStorage(tx, snapshot.size));
      await requireNoCopy(tx, uuid, storageUuid);
      const path = `snapshots/${uuid}/${newUuid()}.qcow2`;
      await tx
        .insertInto('volumeSnapshotBackupStorageRef')
        .values({
          volumeSnapshotUuid: uuid,
          backupStorageUuid: storageUuid,
          installPath: (await parts.storages.driver(storageUuid, tx)).location(path),
          status: 'Creating',
          size: 0,
          sha256Sum: null,
          path,
          ...bornAt(parts.clock.now()),
        })
        .execute();
      const from = {
        storageUuid: volume.primaryStorageUuid,
        path: snapshot.path,
        size: snapshot.virtualSize,
      };
      return { target: uuid, checkpoint: { uuid, from, storageUuid, path } };
    },

    async run(job) {
      const { uuid, from, storageUuid, path } = job.checkpoint;
      const store = await parts.storages.driver(storageUuid);
      const disks = await parts.primaryStorages.driver(from.storageUuid);
      const result = await transfer({
        source: diskSource(disks, from.path, from.size),
        sinks: [
          {
            id: storageUuid,
            open: (options) => store.create(path, options),
            readPartial: (range) => store.readPartial(path, range),
            checkSize: (bytes) => parts.database.transaction((tx) => reserve(tx, uuid, storageUuid, bytes)),
          },
        ],
        inspect: () => ({ write() {} }),
        signal: job.signal,
        md5: false,
        // One that is interrupted begins anew.
        checkpointPolicy: { bytes: Number.POSITIVE_INFINITY, milliseconds: Number.POSITIVE_INFINITY },
        onCheckpoint: async () => {},
        onProgress: ({ bytes, total }) =>
          job.report({ bytesDone: bytes, ...(total !== undefined && { bytesTotal: total }) }),
      });
      await result.writers.get(storageUuid)?.commit({ sha256: result.sha256 });
      if ((await objectDigest(store, path, { signal: job.signal })) !== result.sha256) {
        throw new IngotError('SYS.1016', `what was written to backup storage ${storageUuid} is damaged`, {
          retryable: true,
        });
      }
      return async (tx) => {
        await letGo(tx, job.call.id);
        await reserve(tx, uuid, storageUuid, result.bytes);
        await tx
          .updateTable('volumeSnapshotBackupStorageRef')
          .set({ status: 'Ready', sha256Sum: result.sha256, lastOpDate: parts.clock.now() })
          .where('volumeSnapshotUuid', '=', uuid)
          .where('backupStorageUuid', '=', storageUuid)
          .execute();
        return { inventory: await requireInventory(tx, VolumeSnapshot, uuid) };
      };
    },

    async undo(job) {
      const { uuid, storageUuid } = job.checkpoint;
      return async (tx) => {
        await letGo(tx, job.call.id);
        await dropCopies(tx, uuid, [storageUuid]);
      };
    },

    ended: () => void parts.trash.empty(),
  };
}

export function deleteVolumeSnapshotFromBackupStorage(
  parts: BackupParts,
): ChangeOperation<typeof DeleteVolumeSnapshotFromBackupStorage> {
  return async ({ parameters: { uuid, backupStorageUuids } }, tx, afterCommit) => {
    const snapshot = await requireSnapshot(tx, uuid);
    await takeVolume(tx, snapshot.volumeUuid, { mode: 'change' });
    const copies = await tx
      .selectFrom('volumeSnapshotBackupStorageRef')
      .select('backupStorageUuid')
      .where('volumeSnapshotUuid', '=', uuid)
      .execute();
    const there = copies.map(({ backupStorageUuid }) => backupStorageUuid);
    const missing = backupStorageUuids?.find((wanted) => !there.includes(wanted));
    if (missing !== undefined) {
      throw new IngotError(
        'SYS.1007',
        `snapshot '${snapshot.name}' has no copy on backup storage ${missing}`,
        {
          opaque: { parameter: 'backupStorageUuids' },
        },
      );
    }
    await dropCopies(tx, uuid, backupStorageUuids ?? there);
    afterCommit(() => void parts.trash.empty());
    return { inventory: await requireInventory(tx, VolumeSnapshot, uuid) };
  };
}

async function requireNoCopy(tx: SqlTransaction, uuid: string, storageUuid: string): Promise<void> {
  const copy = await tx
    .selectFrom('volumeSnapshotBackupStorageRef')
    .select('status')
    .where('volumeSnapshotUuid', '=', uuid)
    .where('backupStorageUuid', '=', storageUuid)
    .executeTakeFirst();
  if (!copy) return;
  throw new IngotError(
    'SYS.1006',
    `snapshot ${uuid} has a copy on backup storage ${storageUuid} already (${copy.status})`,
  );
}

/** Makes the copy's place in the storage's capacity `bytes` large. */
async function reserve(tx: SqlTransaction, uuid: string, storageUuid: string, bytes: number): Promise<void> {
  const copy = tx
    .selectFrom('volumeSnapshotBackupStorageRef')
    .select('size')
    .where('volumeSnapshotUuid', '=', uuid)
    .where('backupStorageUuid', '=', storageUuid);
  const { size } = await copy.executeTakeFirstOrThrow();
  await takeRoom(tx, storageUuid, bytes - size);
  await tx
    .updateTable('volumeSnapshotBackupStorageRef')
    .set({ size: bytes })
    .where('volumeSnapshotUuid', '=', uuid)
    .where('backupStorageUuid', '=', storageUuid)
    .execute();
}

async function dropCopies(tx: SqlTransaction, uuid: string, storageUuids: readonly string[]): Promise<void> {
  const dropped = await tx
    .deleteFrom('volumeSnapshotBackupStorageRef')
    .where('volumeSnapshotUuid', '=', uuid)
    .where('backupStorageUuid', 'in', [...storageUuids, ''])
    .returning(['backupStorageUuid', 'path', 'size'])
    .execute();
  for (const { backupStorageUuid, path, size } of dropped) {
    await takeRoom(tx, backupStorageUuid, -size);
    await throwAway(tx, 'backup', backupStorageUuid, [path]);
  }
}
