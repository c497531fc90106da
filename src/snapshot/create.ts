/** CreateVolumeSnapshot: the volume's layer is frozen, and the volume goes on in a new one over it. */
import type { SqlTransaction } from '../database/database.ts';
import type { Settings } from '../global-config/settings.ts';
import { letGo } from '../job/holds.ts';
import type { JobOperation } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import { IngotError } from '../kernel/errors.ts';
import { bornAt } from '../kernel/properties.ts';
import { newUuid } from '../kernel/uuid.ts';
import type { Base } from '../primary-storage/driver.ts';
import type { PrimaryStorages } from '../primary-storage/primary-storages.ts';
import { type Trash, throwAway } from '../primary-storage/trash.ts';
import { requireReachable } from '../primary-storage/usable.ts';
import { requireFreeUuid, requireInventory } from '../query/find.ts';
import type { LocalHost } from '../vm/hosts.ts';
import type { LiveLayers } from '../vm/live-layers.ts';
import { isOf, type OfHost } from '../vm/of-host.ts';
import { runningVmOf } from '../vm/use.ts';
import { newLayerPath, takeVolume, type VolumeOnStorage } from '../volume/volumes.ts';
import type { CreateVolumeSnapshot } from './messages.ts';
import { LONGEST_CHAIN } from './settings.ts';
import { VolumeSnapshot } from './snapshot.ts';
import { lowestBase, requireSnapshot, standOn } from './snapshots.ts';

export interface SnapshotParts {
  primaryStorages: PrimaryStorages;
  trash: Trash;
  clock: Clock;
  settings: Settings;
  live: LiveLayers;
  host: LocalHost;
}

/** Of a host where a virtual machine runs with the volume. */
interface Checkpoint extends OfHost {
  uuid: string;
  volumeUuid: string;
  treeUuid: string;
  newTree: boolean;
  storageUuid: string;
  size: number;
  /** The layer that the volume had until now. */
  old: string;
  /** The snapshot's layer: the same, or a new one with all that is above the base, so that the chain ends there. */
  path: string;
  whole?: { layers: number; base?: Base };
  /** The volume's new layer. */
  next: string;
  /** The virtual machine that runs with the volume. */
  vmUuid?: string;
}

export function createVolumeSnapshot(
  parts: SnapshotParts,
): JobOperation<typeof CreateVolumeSnapshot, Checkpoint> {
  return {
    async admit({ id, parameters }, tx) {
      const { volumeUuid, name, description, resourceUuid } = parameters;
      if (resourceUuid) await requireFreeUuid(tx, VolumeSnapshot, resourceUuid);
      const volume = await takeVolume(tx, volumeUuid, { job: id, mode: 'change' });
      await requireReachable(tx, volume.primaryStorageUuid);
      const planned = await plan(
        tx,
        volume,
        resourceUuid ?? newUuid(),
        await parts.settings.get(LONGEST_CHAIN),
      );
      const vmUuid = await runningVmOf(tx, volume, parts.host);
      if (vmUuid !== undefined && planned.whole) throw tooLong(volume, planned.whole.layers - 1);
      const checkpoint = { ...planned, ...(vmUuid !== undefined && { vmUuid, hostUuid: parts.host.uuid }) };
      const { uuid, treeUuid, newTree, path } = checkpoint;
      const dates = bornAt(parts.clock.now());
      if (newTree) {
        await tx
          .insertInto('volumeSnapshotTree')
          .values({ uuid: treeUuid, volumeUuid, current: false, status: 'Creating', ...dates })
          .execute();
      }
      const parent =
        newTree || !volume.baseSnapshotUuid ? undefined : await requireSnapshot(tx, volume.baseSnapshotUuid);
      await tx
        .insertInto('volumeSnapshot')
        .values({
          uuid,
          name,
          description: description ?? null,
          type: 'Hypervisor',
          volumeUuid,
          treeUuid,
          parentUuid: parent?.uuid ?? null,
          primaryStorageUuid: volume.primaryStorageUuid,
          primaryStorageInstallPath: (await parts.primaryStorages.driver(volume.primaryStorageUuid)).location(
            path,
          ),
          volumeType: volume.type,
          format: 'qcow2',
          latest: false,
          size: 0,
          distance: (parent?.distance ?? 0) + 1,
          state: 'Enabled',
          status: 'Creating',
          path,
          virtualSize: volume.size,
          ...dates,
        })
        .execute();
      return { target: uuid, checkpoint };
    },

    async run(job) {
      const { uuid, volumeUuid, treeUuid, newTree, storageUuid, size, old, path, whole, next, vmUuid } =
        job.checkpoint;
      const driver = await parts.primaryStorages.driver(storageUuid);
      if (whole) {
        const onPercent = (percent: number) =>
          job.report({ bytesDone: Math.round((size * percent) / 100), bytesTotal: size });
        await driver.flatten(old, whole.layers, whole.base, path, size, { signal: job.signal, onPercent });
      }
      if (vmUuid === undefined) {
        await driver.freeze(path);
        await driver.clone({ path, format: 'qcow2' }, next, size);
      } else {
        await parts.live.branch({ vmUuid, volumeUuid, storageUuid, size, old, next });
        await driver.freeze(path);
      }
      const [usage, nextUsage] = [(await driver.usage(path)) ?? 0, (await driver.usage(next)) ?? 0];
      return async (tx) => {
        const lastOpDate = parts.clock.now();
        await letGo(tx, job.call.id);
        await tx
          .updateTable('volumeSnapshot')
          .set({ status: 'Ready', size: usage, lastOpDate })
          .where('uuid', '=', uuid)
          .execute();
        if (newTree) {
          await tx
            .updateTable('volumeSnapshotTree')
            .set({ status: 'Completed' })
            .where('uuid', '=', treeUuid)
            .execute();
        }
        await tx
          .updateTable('volume')
          .set({ path: next, installPath: driver.location(next), actualSize: nextUsage, lastOpDate })
          .where('uuid', '=', volumeUuid)
          .execute();
        await standOn(tx, volumeUuid, { uuid, treeUuid });
        if (whole) await throwAway(tx, 'primary', storageUuid, [old]);
        return { inventory: await requireInventory(tx, VolumeSnapshot, uuid) };
      };
    },

    async undo(job) {
      const { uuid, volumeUuid, treeUuid, newTree, storageUuid, size, old, path, whole, next, vmUuid } =
        job.checkpoint;
      await (await parts.primaryStorages.driver(storageUuid)).thaw(old);
      // A guest that went on in the new layer is brought back first; that takes care of the layer that is left over.
      const guest = vmUuid && { vmUuid, volumeUuid, storageUuid, size, old, next };
      const folded = guest ? await parts.live.fold(guest) : false;
      return async (tx) => {
        await letGo(tx, job.call.id);
        await tx.deleteFrom('volumeSnapshot').where('uuid', '=', uuid).execute();
        if (newTree) await tx.deleteFrom('volumeSnapshotTree').where('uuid', '=', treeUuid).execute();
        if (!folded) await throwAway(tx, 'primary', storageUuid, whole ? [next, path] : [next]);
      };
    },

    ended: () => void parts.trash.empty(),
    isOurs: (checkpoint) => isOf(parts.host, checkpoint),
  };
}

function tooLong({ name, uuid, vmInstanceUuid }: VolumeOnStorage, snapshots: number): IngotError {
  return new IngotError(
    'SYS.1006',
    `volume '${name}' (${uuid}) stands on ${snapshots} snapshots, as many as may be in a chain; the next one holds everything by itself, which takes a virtual machine that is stopped, and ${vmInstanceUuid} runs`,
    { elaboration: 'Stop it first (StopVmInstance), or delete snapshots then.' },
  );
}

/** The next of the chain that the volume stands on; where that is as long as allowed, or there is none, a new tree's first. */
async function plan(
  tx: SqlTransaction,
  volume: VolumeOnStorage,
  uuid: string,
  longestChain: number,
): Promise<Checkpoint> {
  const latest = volume.baseSnapshotUuid ? await requireSnapshot(tx, volume.baseSnapshotUuid) : undefined;
  const whole = latest !== undefined && latest.distance >= longestChain;
  const newTree = latest === undefined || whole;
  const base = whole ? await lowestBase(tx, volume) : undefined;
  return {
    uuid,
    volumeUuid: volume.uuid,
    treeUuid: newTree ? newUuid() : latest.treeUuid,
    newTree,
    storageUuid: volume.primaryStorageUuid,
    size: volume.size,
    old: volume.path,
    path: whole ? newLayerPath(volume.uuid) : volume.path,
    ...(whole && { whole: { layers: latest.distance + 1, ...(base && { base }) } }),
    next: newLayerPath(volume.uuid),
  };
}
