import type { ChangeOperation } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import { bornAt } from '../kernel/properties.ts';
import { newUuid } from '../kernel/uuid.ts';
import { requireFreeUuid, requireInventory } from '../query/find.ts';
import { DiskOffering } from './disk-offering.ts';
import type { ChangeDiskOfferingState, CreateDiskOffering, DeleteDiskOffering } from './messages.ts';

export function createDiskOffering(parts: { clock: Clock }): ChangeOperation<typeof CreateDiskOffering> {
  return async ({ parameters: { resourceUuid, name, description, diskSize } }, tx) => {
    if (resourceUuid) await requireFreeUuid(tx, DiskOffering, resourceUuid);
    const uuid = resourceUuid ?? newUuid();
    await tx
      .insertInto('diskOffering')
      .values({
        uuid,
        name,
        description: description ?? null,
        diskSize,
        state: 'Enabled',
        type: 'zstack',
        ...bornAt(parts.clock.now()),
      })
      .execute();
    return { inventory: await requireInventory(tx, DiskOffering, uuid) };
  };
}

export function changeDiskOfferingState(parts: {
  clock: Clock;
}): ChangeOperation<typeof ChangeDiskOfferingState> {
  return async ({ parameters: { uuid, stateEvent } }, tx) => {
    await requireInventory(tx, DiskOffering, uuid);
    await tx
      .updateTable('diskOffering')
      .set({ state: stateEvent === 'enable' ? 'Enabled' : 'Disabled', lastOpDate: parts.clock.now() })
      .where('uuid', '=', uuid)
      .execute();
    return { inventory: await requireInventory(tx, DiskOffering, uuid) };
  };
}

export const deleteDiskOffering: ChangeOperation<typeof DeleteDiskOffering> = async ({ parameters }, tx) => {
  await tx.deleteFrom('diskOffering').where('uuid', '=', parameters.uuid).execute();
  return {};
};
