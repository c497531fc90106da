/**
 * Files that nothing needs any longer. They are named here in the transaction that lets go of them, and removed after
 * it, now or whenever their storage can be reached again.
 */
import type { BackupStorages } from '../backup-storage/backup-storages.ts';
import type { Database, SqlTransaction } from '../database/database.ts';
import type { Log } from '../kernel/log.ts';
import type { PrimaryStorages } from './primary-storages.ts';

type StorageKind = 'primary' | 'backup';

declare module '../database/database.ts' {
  interface Tables {
    trash: { storageUuid: string; path: string; kind: StorageKind; createDate: number };
  }
}

/** Part of a transaction: from its commit on, the files are nobody's. */
export async function throwAway(
  tx: SqlTransaction,
  kind: StorageKind,
  storageUuid: string,
  paths: readonly string[],
): Promise<void> {
  const createDate = Date.now();
  for (const path of new Set(paths)) {
    await tx
      .insertInto('trash')
      .values({ storageUuid, path, kind, createDate })
      .onConflict((conflict) => conflict.columns(['storageUuid', 'path']).doNothing())
      .execute();
  }
}

export class Trash {
  readonly #parts: {
    database: Database;
    primaryStorages: PrimaryStorages;
    storages: BackupStorages;
    log: Log;
  };
  #emptying: Promise<void> | undefined;
  #again = false;

  constructor(parts: {
    database: Database;
    primaryStorages: PrimaryStorages;
    storages: BackupStorages;
    log: Log;
  }) {
    this.#parts = parts;
  }

  /** Removes what it can; what it can't stays for the next time. Never rejects. */
  empty(): Promise<void> {
    this.#again = this.#emptying !== undefined;
    this.#emptying ??= this.#emptyAll().finally(() => {
      this.#emptying = undefined;
    });
    return this.#emptying;
  }

  async #emptyAll(): Promise<void> {
    const { database, log } = this.#parts;
    do {
      this.#again = false;
      try {
        const items = await database.sql.selectFrom('trash').selectAll().orderBy('createDate').execute();
        for (const item of items) await this.#remove(item);
      } catch (error) {
        log.error({ err: error }, 'emptying the trash failed; tried again later');
      }
    } while (this.#again);
  }

  async #remove({
    storageUuid,
    path,
    kind,
  }: {
    storageUuid: string;
    path: string;
    kind: StorageKind;
  }): Promise<void> {
    const { database, primaryStorages, storages, log } = this.#parts;
    try {
      const known = await database.sql
        .selectFrom(kind === 'primary' ? 'primaryStorage' : 'backupStorage')
        .select('uuid')
        .where('uuid', '=', storageUuid)
        .executeTakeFirst();
      // Gone with its storage.
      if (known) {
        const driver = await (kind === 'primary' ? primaryStorages : storages).driver(storageUuid);
        await driver.remove(path);
      }
      await database.sql
        .deleteFrom('trash')
        .where('storageUuid', '=', storageUuid)
        .where('path', '=', path)
        .execute();
    } catch (error) {
      log.warn({ storage: storageUuid, path, err: error }, 'a file could not be removed; tried again later');
    }
  }
}
