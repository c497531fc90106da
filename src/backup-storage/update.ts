import type { Sql } from '../database/database.ts';
import type { ChangeOperation } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import { IngotError } from '../kernel/errors.ts';
import { requireInventory } from '../query/find.ts';
import { BackupStorage } from './backup-storage.ts';
import type { BackupStorages } from './backup-storages.ts';
import type { StorageRow } from './kind.ts';
import { KINDS } from './kinds.ts';
import type { UpdateBackupStorage } from './messages.ts';

interface Parts {
  storages: BackupStorages;
  clock: Clock;
  /** Directories of the service's own, which no storage may contain. */
  reserved: readonly string[];
}

/**
 * Changes what is given: name and description, for a call of a kind's own also where the storage is and its secrets.
 * It is connected anew with what it then is.
 */
export function updateBackupStorage(
  parts: Parts,
  type?: StorageRow['type'],
): ChangeOperation<typeof UpdateBackupStorage> {
  return async ({ message, parameters }, tx, afterCommit) => {
    const { uuid, ...given } = parameters;
    const storage = await requireStorage(tx, uuid, type);
    const changed = namesNot(message.parameters, given, ['name', 'description']);
    if (type !== undefined && changed) {
      const others = await tx.selectFrom('backupStorage').selectAll().where('uuid', '!=', uuid).execute();
      const place = await KINDS[type].place(
        { ...storage, ...given },
        { others, before: storage, reserved: parts.reserved, egress: parts.storages.egress },
      );
      const secrets = parts.storages.sealSecrets(uuid, message, given, storage);
      await tx
        .updateTable('backupStorage')
        .set({ ...place, secrets })
        .where('uuid', '=', uuid)
        .execute();
      afterCommit(() => void parts.storages.reopen(uuid));
    }
    await tx
      .updateTable('backupStorage')
      .set({
        ...(given.name !== undefined && { name: given.name }),
        ...(given.description !== undefined && { description: given.description }),
        lastOpDate: parts.clock.now(),
      })
      .where('uuid', '=', uuid)
      .execute();
    return { inventory: await requireInventory(tx, BackupStorage, uuid) };
  };
}

const namesNot = (declared: object, given: object, known: string[]) =>
  Object.keys(given).some((name) => name in declared && !known.includes(name));

/** The storage's row; SYS.1003 where there is none, or with `type`, none of that kind. */
export async function requireStorage(tx: Sql, uuid: string, type?: StorageRow['type']): Promise<StorageRow> {
  const storage = await tx
    .selectFrom('backupStorage')
    .selectAll()
    .where('uuid', '=', uuid)
    .executeTakeFirst();
  if (!storage) throw new IngotError('SYS.1003', `there is no BackupStorage with the uuid ${uuid}`);
  if (type === undefined || storage.type === type) return storage;
  throw new IngotError(
    'SYS.1003',
    `backup storage '${storage.name}' (${uuid}) is a ${storage.type}, and not a ${type}`,
  );
}
