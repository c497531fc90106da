import type { ChangeOperation } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import { bornAt } from '../kernel/properties.ts';
import type { Resource } from '../kernel/resource.ts';
import { newUuid } from '../kernel/uuid.ts';
import { requireFreeUuid, requireInventory } from '../query/find.ts';
import type { CreateZone } from './messages.ts';
import { Zone } from './zone.ts';

export function createZone(parts: {
  clock: Clock;
  resources: ReadonlyMap<string, Resource>;
}): ChangeOperation<typeof CreateZone> {
  return async ({ parameters: { resourceUuid, name, description, isDefault } }, tx) => {
    if (resourceUuid) await requireFreeUuid(tx, parts.resources.values(), resourceUuid);
    const uuid = resourceUuid ?? newUuid();
    const now = parts.clock.now();
    if (isDefault) {
      await tx
        .updateTable('zone')
        .set({ isDefault: false, lastOpDate: now })
        .where('isDefault', '=', true)
        .execute();
    }
    await tx
      .insertInto('zone')
      .values({
        uuid,
        name,
        description: description ?? null,
        state: 'Enabled',
        type: 'zstack',
        isDefault,
        ...bornAt(now),
      })
      .execute();
    return { inventory: await requireInventory(tx, Zone, uuid) };
  };
}
