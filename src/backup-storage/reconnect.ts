import type { JobOperation } from '../job/operation.ts';
import { requireInventory } from '../query/find.ts';
import { BackupStorage } from './backup-storage.ts';
import type { BackupStorages } from './backup-storages.ts';
import type { StorageRow } from './kind.ts';
import type { ReconnectBackupStorage } from './messages.ts';
import { requireStorage } from './update.ts';

/** `forget` says which columns of what was learnt of the storage are to be learnt anew, by the call's parameters. */
export function reconnectBackupStorage(
  parts: { storages: BackupStorages },
  type?: StorageRow['type'],
  forget: (parameters: Record<string, unknown>) => Partial<StorageRow> = () => ({}),
): JobOperation<typeof ReconnectBackupStorage, { uuid: string }> {
  return {
    async admit({ parameters }, tx) {
      const { uuid } = parameters;
      await requireStorage(tx, uuid, type);
      await tx
        .updateTable('backupStorage')
        .set({ status: 'Connecting', ...forget(parameters) })
        .where('uuid', '=', uuid)
        .execute();
      return { target: uuid, checkpoint: { uuid } };
    },

    async run(job) {
      const { uuid } = job.checkpoint;
      parts.storages.forget(uuid);
      await parts.storages.connect(uuid);
      return async (tx) => ({ inventory: await requireInventory(tx, BackupStorage, uuid) });
    },

    /** The row says already why it could not be; a call that was cancelled leaves the rest to the next ping. */
    async undo() {
      return async () => {};
    },
  };
}
