/**
 * New layers under guests that run. At every moment a volume's row names a layer that holds all that the guest has
 * flushed, should the machine lose its power: the row goes to the new layer, which is empty, before the guest does;
 * and back only in a moment in which the guest is held.
 */
import type { Database } from '../database/database.ts';
import type { Clock } from '../kernel/clock.ts';
import { IngotError } from '../kernel/errors.ts';
import type { Base } from '../primary-storage/driver.ts';
import type { PrimaryStorages } from '../primary-storage/primary-storages.ts';
import { throwAway } from '../primary-storage/trash.ts';
import { lowestBase, requireSnapshot } from '../snapshot/snapshots.ts';
import type { VolumeOnStorage } from '../volume/volumes.ts';
import type { Hypervisor } from './hypervisor.ts';

/** A layer that a running guest's volume goes on in. Paths are inside the storage. */
export interface Branch {
  vmUuid: string;
  volumeUuid: string;
  storageUuid: string;
  size: number;
  /** What the guest writes to until then; nothing writes to it while the branch is there. */
  old: string;
  next: string;
}

export class LiveLayers {
  readonly #parts: {
    database: Database;
    primaryStorages: PrimaryStorages;
    hypervisor: Hypervisor;
    clock: Clock;
  };

  constructor(parts: {
    database: Database;
    primaryStorages: PrimaryStorages;
    hypervisor: Hypervisor;
    clock: Clock;
  }) {
    this.#parts = parts;
  }

  /**
   * From now on the guest writes to the new layer; done already is success. Its file systems are frozen at that moment
   * where its agent answers; otherwise the old layer is what a disk is after a loss of power.
   */
  async branch({ vmUuid, volumeUuid, storageUuid, size, old, next }: Branch): Promise<void> {
    const { hypervisor } = this.#parts;
    const driver = await this.#parts.primaryStorages.driver(storageUuid);
    if ((await this.#pathOf(volumeUuid)) !== next) {
      await driver.clone({ path: old, format: 'qcow2' }, next, size);
      await this.#setPath(volumeUuid, next, driver.location(next));
    }
    const layer = await hypervisor.layerOf(vmUuid, volumeUuid);
    // It was stopped in the meantime: the next start goes on in the new layer.
    if (layer === undefined || layer === driver.location(next)) return;
    if (layer !== driver.location(old)) {
      throw new IngotError(
        'SYS.1016',
        `virtual machine ${vmUuid} writes to ${layer}, which is not the layer of volume ${volumeUuid} (${driver.location(old)})`,
      );
    }
    await hypervisor.whileFrozen(vmUuid, () =>
      hypervisor.switchLayer(vmUuid, volumeUuid, driver.location(next)),
    );
  }

  /**
   * Makes one layer of the two again: the old one where the guest runs, which then writes to that; else the new one,
   * into which the old one's contents go. Neither way writes to anything below them. The other one goes to the trash.
   * Fulfilled with false where there was no new layer to begin with.
   */
  async fold(branch: Branch, signal?: AbortSignal): Promise<boolean> {
    const { hypervisor, primaryStorages } = this.#parts;
    const { vmUuid, volumeUuid, storageUuid, old, next } = branch;
    const driver = await primaryStorages.driver(storageUuid);
    if ((await this.#pathOf(volumeUuid)) !== next) return false;
    const layer = await hypervisor.layerOf(vmUuid, volumeUuid);
    if (layer === undefined) {
      await this.#foldOffline(branch, signal);
      return true;
    }
    const settle = () => this.#setPath(volumeUuid, old, driver.location(old), { storageUuid, trash: next });
    if (layer === driver.location(old)) {
      // It never went to the new one; or it was being brought back when an earlier process of ours died, and is held.
      await settle();
      if ((await hypervisor.state(vmUuid)).is === 'paused') await hypervisor.resume(vmUuid);
      return true;
    }
    try {
      await hypervisor.foldLayer(vmUuid, volumeUuid, driver.location(old), settle, signal);
    } catch (error) {
      // It was stopped in the middle of it.
      if ((await hypervisor.layerOf(vmUuid, volumeUuid)) !== undefined) throw error;
      if ((await this.#pathOf(volumeUuid)) === next) await this.#foldOffline(branch, signal);
    }
    return true;
  }

  async #foldOffline({ volumeUuid, storageUuid, old, next }: Branch, signal?: AbortSignal): Promise<void> {
    const driver = await this.#parts.primaryStorages.driver(storageUuid);
    await driver.merge(next, await this.#baseOf(volumeUuid), signal ? { signal } : {});
    await this.#setPath(volumeUuid, next, driver.location(next), { storageUuid, trash: old });
  }

  /** What the two layers stand on. */
  async #baseOf(volumeUuid: string): Promise<Base | undefined> {
    return this.#parts.database.transaction(async (tx) => {
      const volume = (await tx
        .selectFrom('volume')
        .selectAll()
        .where('uuid', '=', volumeUuid)
        .executeTakeFirstOrThrow()) as VolumeOnStorage;
      if (volume.baseSnapshotUuid === null) return lowestBase(tx, volume);
      const { path } = await requireSnapshot(tx, volume.baseSnapshotUuid);
      return { path, format: 'qcow2' as const };
    });
  }

  async #pathOf(volumeUuid: string): Promise<string | null> {
    const { path } = await this.#parts.database.sql
      .selectFrom('volume')
      .select('path')
      .where('uuid', '=', volumeUuid)
      .executeTakeFirstOrThrow();
    return path;
  }

  async #setPath(
    volumeUuid: string,
    path: string,
    installPath: string,
    gone?: { storageUuid: string; trash: string },
  ): Promise<void> {
    await this.#parts.database.transaction(async (tx) => {
      await tx
        .updateTable('volume')
        .set({ path, installPath, lastOpDate: this.#parts.clock.now() })
        .where('uuid', '=', volumeUuid)
        .execute();
      if (gone) await throwAway(tx, 'primary', gone.storageUuid, [gone.trash]);
    });
  }
}
