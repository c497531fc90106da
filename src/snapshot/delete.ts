/** DeleteVolumeSnapshot: with all that stand on it. What the volume itself stands on goes into the volume first. */
import type { SqlTransaction } from '../database/database.ts';
import { letGo } from '../job/holds.ts';
import type { Job, JobOperation } from '../job/operation.ts';
import { IngotError } from '../kernel/errors.ts';
import type { Message } from '../kernel/message.ts';
import type { Base } from '../primary-storage/driver.ts';
import { requireReachable } from '../primary-storage/usable.ts';
import { requireNoGuest } from '../vm/use.ts';
import { takeVolume } from '../volume/volumes.ts';
import type { SnapshotParts } from './create.ts';
import { dropSnapshots } from './drop.ts';
import type { BatchDeleteVolumeSnapshot, DeleteVolumeSnapshot } from './messages.ts';
import { lowestBase, requireSnapshot, standOn } from './snapshots.ts';
import { nearestAncestor, withDescendants } from './tree.ts';

interface Checkpoint {
  volumeUuid: string;
  storageUuid: string;
  /** The volume's layer. */
  path: string;
  size: number;
  /** What goes. */
  uuids: string[];
  /** What the volume is to stand on afterwards, where what it stands on goes. */
  merge?: { base?: Base; snapshot?: { uuid: string; treeUuid: string } };
}

export function deleteVolumeSnapshot(
  parts: SnapshotParts,
): JobOperation<typeof DeleteVolumeSnapshot, Checkpoint> {
  return {
    admit: ({ id, parameters }, tx) => admit(tx, id, [parameters.uuid]),
    async run(job) {
      const dropped = await merge(parts, job);
      return async (tx) => {
        await dropped(tx);
        return {};
      };
    },
    undo: (job) => undo(parts, job),
    ended: () => void parts.trash.empty(),
  };
}

export function batchDeleteVolumeSnapshot(
  parts: SnapshotParts,
): JobOperation<typeof BatchDeleteVolumeSnapshot, Checkpoint> {
  return {
    admit: ({ id, parameters }, tx) => admit(tx, id, parameters.uuids),
    async run(job) {
      const dropped = await merge(parts, job);
      return async (tx) => {
        await dropped(tx);
        return {
          results: job.call.parameters.uuids.map((snapshotUuid) => ({ snapshotUuid, success: true })),
        };
      };
    },
    undo: (job) => undo(parts, job),
    ended: () => void parts.trash.empty(),
  };
}

async function admit(
  tx: SqlTransaction,
  job: string,
  named: string[],
): Promise<{ target: string; checkpoint: Checkpoint }> {
  const [first, ...others] = await Promise.all(named.map((uuid) => requireSnapshot(tx, uuid)));
  if (!first || others.some(({ volumeUuid }) => volumeUuid !== first.volumeUuid)) {
    throw new IngotError('SYS.1007', "'uuids' must be snapshots of one volume");
  }
  const volume = await takeVolume(tx, first.volumeUuid, { job, mode: 'change' });
  await requireReachable(tx, volume.primaryStorageUuid);
  const all = await tx
    .selectFrom('volumeSnapshot')
    .selectAll()
    .where('volumeUuid', '=', volume.uuid)
    .execute();
  const going = withDescendants(all, named);
  await tx
    .updateTable('volumeSnapshot')
    .set({ status: 'Deleting' })
    .where('uuid', 'in', [...going])
    .execute();
  const checkpoint: Checkpoint = {
    volumeUuid: volume.uuid,
    storageUuid: volume.primaryStorageUuid,
    path: volume.path,
    size: volume.size,
    uuids: [...going],
  };
  if (volume.baseSnapshotUuid !== null && going.has(volume.baseSnapshotUuid)) {
    await requireNoGuest(tx, volume, 'lose a snapshot that it stands on');
    const snapshot = nearestAncestor(all, volume.baseSnapshotUuid, going);
    const base = snapshot ? { path: snapshot.path, format: 'qcow2' as const } : await lowestBase(tx, volume);
    checkpoint.merge = {
      ...(base && { base }),
      ...(snapshot && { snapshot: { uuid: snapshot.uuid, treeUuid: snapshot.treeUuid } }),
    };
  }
  return { target: first.uuid, checkpoint };
}

/** Returns the last step. */
async function merge(
  parts: SnapshotParts,
  job: Job<Message, Checkpoint>,
): Promise<(tx: SqlTransaction) => Promise<void>> {
  const { volumeUuid, storageUuid, path, size, uuids, merge } = job.checkpoint;
  let usage: number | undefined;
  if (merge) {
    const driver = await parts.primaryStorages.driver(storageUuid);
    const onPercent = (percent: number) =>
      job.report({ bytesDone: Math.round((size * percent) / 100), bytesTotal: size });
    await driver.merge(path, merge.base, { signal: job.signal, onPercent });
    usage = await driver.usage(path);
  }
  return async (tx) => {
    await letGo(tx, job.call.id);
    if (merge) await standOn(tx, volumeUuid, merge.snapshot);
    await dropSnapshots(tx, volumeUuid, uuids);
    await tx
      .updateTable('volume')
      .set({ lastOpDate: parts.clock.now(), ...(usage !== undefined && { actualSize: usage }) })
      .where('uuid', '=', volumeUuid)
      .execute();
  };
}

/** Nothing is gone yet; but the volume may stand on its new base already. */
async function undo(
  parts: SnapshotParts,
  job: Job<Message, Checkpoint>,
): Promise<(tx: SqlTransaction) => Promise<void>> {
  const { volumeUuid, storageUuid, path, uuids, merge } = job.checkpoint;
  let merged = false;
  if (merge) {
    const driver = await parts.primaryStorages.driver(storageUuid);
    merged = (await driver.baseOf(path)) === merge.base?.path;
  }
  return async (tx) => {
    await letGo(tx, job.call.id);
    if (merge && merged) await standOn(tx, volumeUuid, merge.snapshot);
    await tx.updateTable('volumeSnapshot').set({ status: 'Ready' }).where('uuid', 'in', uuids).execute();
  };
}
