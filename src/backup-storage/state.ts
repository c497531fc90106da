import type { ChangeOperation } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import { requireInventory } from '../query/find.ts';
import { BackupStorage } from './backup-storage.ts';
import type { ChangeBackupStorageState } from './messages.ts';

export function changeBackupStorageState(parts: {
  clock: Clock;
}): ChangeOperation<typeof ChangeBackupStorageState> {
  return async ({ parameters: { uuid, stateEvent } }, tx) => {
    await requireInventory(tx, BackupStorage, uuid);
    await tx
      .updateTable('backupStorage')
      .set({ state: stateEvent === 'enable' ? 'Enabled' : 'Disabled', lastOpDate: parts.clock.now() })
      .where('uuid', '=', uuid)
      .execute();
    return { inventory: await requireInventory(tx, BackupStorage, uuid) };
  };
}
