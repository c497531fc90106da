import type { ChangeOperation } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import { requireInventory } from '../query/find.ts';
import { Image } from './image.ts';
import type { ChangeImageState } from './messages.ts';

export function changeImageState(parts: { clock: Clock }): ChangeOperation<typeof ChangeImageState> {
  return async ({ parameters: { uuid, stateEvent } }, tx) => {
    await requireInventory(tx, Image, uuid);
    await tx
      .updateTable('image')
      .set({ state: stateEvent === 'enable' ? 'Enabled' : 'Disabled', lastOpDate: parts.clock.now() })
      .where('uuid', '=', uuid)
      .execute();
    return { inventory: await requireInventory(tx, Image, uuid) };
  };
}
