import type { Database } from '../database/database.ts';
import type { ChangeOperation, JobOperation } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import { IngotError } from '../kernel/errors.ts';
import { requireInventory } from '../query/find.ts';
import { promisable } from './capacity.ts';
import type {
  ChangePrimaryStorageState,
  ReconnectPrimaryStorage,
  SyncPrimaryStorageCapacity,
  UpdatePrimaryStorage,
} from './messages.ts';
import { PrimaryStorage } from './primary-storage.ts';
import type { PrimaryStorages } from './primary-storages.ts';

const STATES = { enable: 'Enabled', disable: 'Disabled', maintain: 'Maintenance' } as const;

export function changePrimaryStorageState(parts: {
  clock: Clock;
}): ChangeOperation<typeof ChangePrimaryStorageState> {
  return async ({ parameters: { uuid, stateEvent } }, tx) => {
    const { state, name } = await requireInventory(tx, PrimaryStorage, uuid);
    if (state === 'Deleting')
      throw new IngotError('SYS.1005', `primary storage '${name}' (${uuid}) is being deleted`);
    await tx
      .updateTable('primaryStorage')
      .set({ state: STATES[stateEvent], lastOpDate: parts.clock.now() })
      .where('uuid', '=', uuid)
      .execute();
    return { inventory: await requireInventory(tx, PrimaryStorage, uuid) };
  };
}

export function updatePrimaryStorage(parts: { clock: Clock }): ChangeOperation<typeof UpdatePrimaryStorage> {
  return async ({ parameters: { uuid, overProvisioning, ...changes } }, tx) => {
    const before = await requireInventory(tx, PrimaryStorage, uuid);
    const percent = overProvisioning ?? before.overProvisioning;
    await tx
      .updateTable('primaryStorage')
      .set((row) => ({
        ...changes,
        overProvisioning: percent,
        availableCapacity: row(
          'availableCapacity',
          '+',
          promisable(before.totalCapacity, percent) -
            promisable(before.totalCapacity, before.overProvisioning),
        ),
        lastOpDate: parts.clock.now(),
      }))
      .where('uuid', '=', uuid)
      .execute();
    return { inventory: await requireInventory(tx, PrimaryStorage, uuid) };
  };
}

interface Parts {
  database: Database;
  primaryStorages: PrimaryStorages;
}

/** Both look at the storage at once, and say what they found. */
export function reconnectPrimaryStorage(
  parts: Parts,
): JobOperation<typeof ReconnectPrimaryStorage | typeof SyncPrimaryStorageCapacity, { uuid: string }> {
  return {
    async admit({ parameters: { uuid } }, tx) {
      await requireInventory(tx, PrimaryStorage, uuid);
      return { target: uuid, checkpoint: { uuid } };
    },
    async run({ checkpoint: { uuid } }) {
      const storage = await parts.database.sql
        .selectFrom('primaryStorage')
        .selectAll()
        .where('uuid', '=', uuid)
        .executeTakeFirst();
      if (storage) await parts.primaryStorages.checkOne(storage);
      return async (tx) => ({ inventory: await requireInventory(tx, PrimaryStorage, uuid) });
    },
    async undo() {
      return async () => {};
    },
  };
}
