import type { ChangeOperation } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import { IngotError } from '../kernel/errors.ts';
import { requireInventory } from '../query/find.ts';
import type { ChangeVolumeState, UpdateVolume } from './messages.ts';
import { Volume } from './volume.ts';

export function changeVolumeState(parts: { clock: Clock }): ChangeOperation<typeof ChangeVolumeState> {
  return async ({ parameters: { uuid, stateEvent } }, tx) => {
    const { type, name } = await requireInventory(tx, Volume, uuid);
    if (type === 'Root') {
      throw new IngotError(
        'SYS.1006',
        `volume '${name}' (${uuid}) is a root volume, and those are always Enabled`,
      );
    }
    await tx
      .updateTable('volume')
      .set({ state: stateEvent === 'enable' ? 'Enabled' : 'Disabled', lastOpDate: parts.clock.now() })
      .where('uuid', '=', uuid)
      .execute();
    return { inventory: await requireInventory(tx, Volume, uuid) };
  };
}

export function updateVolume(parts: { clock: Clock }): ChangeOperation<typeof UpdateVolume> {
  return async ({ parameters: { uuid, ...changes } }, tx) => {
    await requireInventory(tx, Volume, uuid);
    await tx
      .updateTable('volume')
      .set({ ...changes, lastOpDate: parts.clock.now() })
      .where('uuid', '=', uuid)
      .execute();
    return { inventory: await requireInventory(tx, Volume, uuid) };
  };
}
