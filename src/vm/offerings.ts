import type { ChangeOperation } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import { bornAt } from '../kernel/properties.ts';
import { newUuid } from '../kernel/uuid.ts';
import { requireFreeUuid, requireInventory } from '../query/find.ts';
import { InstanceOffering } from './instance-offering.ts';
import type {
  ChangeInstanceOfferingState,
  CreateInstanceOffering,
  DeleteInstanceOffering,
} from './messages.ts';

export function createInstanceOffering(parts: {
  clock: Clock;
}): ChangeOperation<typeof CreateInstanceOffering> {
  return async ({ parameters: { resourceUuid, name, description, cpuNum, memorySize, sortKey } }, tx) => {
    if (resourceUuid) await requireFreeUuid(tx, InstanceOffering, resourceUuid);
    const uuid = resourceUuid ?? newUuid();
    await tx
      .insertInto('instanceOffering')
      .values({
        uuid,
        name,
        description: description ?? null,
        cpuNum,
        cpuSpeed: 0,
        memorySize,
        allocatorStrategy: 'DefaultHostAllocatorStrategy',
        sortKey: sortKey ?? 0,
        state: 'Enabled',
        type: 'UserVm',
        ...bornAt(parts.clock.now()),
      })
      .execute();
    return { inventory: await requireInventory(tx, InstanceOffering, uuid) };
  };
}

export function changeInstanceOfferingState(parts: {
  clock: Clock;
}): ChangeOperation<typeof ChangeInstanceOfferingState> {
  return async ({ parameters: { uuid, stateEvent } }, tx) => {
    await requireInventory(tx, InstanceOffering, uuid);
    await tx
      .updateTable('instanceOffering')
      .set({ state: stateEvent === 'enable' ? 'Enabled' : 'Disabled', lastOpDate: parts.clock.now() })
      .where('uuid', '=', uuid)
      .execute();
    return { inventory: await requireInventory(tx, InstanceOffering, uuid) };
  };
}

export const deleteInstanceOffering: ChangeOperation<typeof DeleteInstanceOffering> = async (
  { parameters },
  tx,
) => {
  await tx.deleteFrom('instanceOffering').where('uuid', '=', parameters.uuid).execute();
  return {};
};
