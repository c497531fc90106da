/**
 * Files that nothing needs any longer. They are named here in the transaction that lets go of them, and removed after
 * it, now or whenever their storage can be reached again.
 */
import type { ExpressionBuilder } from 'kysely';
import type { BackupStorages } from '../backup-storage/backup-storages.ts';
import type { Database, Sql, SqlTransaction, Tables } from '../database/database.ts';
import { toIngotError } from '../kernel/errors.ts';
import type { Log } from '../kernel/log.ts';
import type { PrimaryStorages } from './primary-storages.ts';

type StorageKind = 'primary' | 'backup';

interface TrashRow {
  storageUuid: string;
  path: string;
  kind: StorageKind;
  createDate: number;
  /** A process may be removing it until then. */
  claimedUntil: number;
}

interface Parts {
  database: Database;
  primaryStorages: PrimaryStorages;
  storages: BackupStorages;
  log: Log;
  /** No other process can be removing anything: what is claimed was claimed by a dead one. */
  alone: boolean;
}

/** How long a process has for one file, in milliseconds: longer than a storage takes to give up. */
const CLAIM = 600_000;
/** Rows written by one statement. */
const BATCH = 200;

declare module '../database/database.ts' {
  interface Tables {
    trash: TrashRow;
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
  const rows = [...new Set(paths)].map((path) => ({ storageUuid, path, kind, createDate, claimedUntil: 0 }));
  for (let at = 0; at < rows.length; at += BATCH) {
    await tx
      .insertInto('trash')
      .values(rows.slice(at, at + BATCH))
      .onConflict((conflict) => conflict.columns(['storageUuid', 'path']).doNothing())
      .execute();
  }
}

/** Whether one of the files is still to be removed, so that nothing new may come to its path, or be taken for good there. */
export async function isThrownAway(on: Sql, storageUuid: string, paths: readonly string[]): Promise<boolean> {
  const item = await on
    .selectFrom('trash')
    .select('path')
    .where('storageUuid', '=', storageUuid)
    .where('path', 'in', paths)
    .executeTakeFirst();
  return item !== undefined;
}

export class Trash {
  readonly #parts: Parts;
  /** By storage, so that one that is slow, away, or has much to remove keeps no other waiting. */
  readonly #emptying = new Map<string, Promise<void>>();
  /** Storages that got more to remove meanwhile. */
  readonly #again = new Set<string>();
  #stopping = false;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Removes what it can; what it can't stays for the next time. Never rejects. */
  async empty(): Promise<void> {
    const { database } = this.#parts;
    if (this.#stopping) return;
    try {
      const storages = await database.sql.selectFrom('trash').select('storageUuid').distinct().execute();
      await Promise.all(storages.map(({ storageUuid }) => this.#emptyStorage(storageUuid)));
    } catch (error) {
      this.#tell({ err: error });
    }
  }

  /** Ends with the files that are just being removed; the others stay for the next start. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#emptying.values());
  }

  #tell(about: Record<string, unknown>): void {
    // What it stood on may have been closed under it.
    if (!this.#stopping) this.#parts.log.error(about, 'emptying the trash failed; tried again later');
  }

  #emptyStorage(storageUuid: string): Promise<void> {
    let emptying = this.#emptying.get(storageUuid);
    if (emptying) this.#again.add(storageUuid);
    else {
      emptying = this.#emptyInRounds(storageUuid);
      this.#emptying.set(storageUuid, emptying);
    }
    return emptying;
  }

  async #emptyInRounds(storageUuid: string): Promise<void> {
    const { database } = this.#parts;
    do {
      this.#again.delete(storageUuid);
      try {
        const items = await database.sql
          .selectFrom('trash')
          .selectAll()
          .where('storageUuid', '=', storageUuid)
          .orderBy('createDate')
          .execute();
        await this.#emptyOn(storageUuid, items);
      } catch (error) {
        this.#tell({ storage: storageUuid, err: error });
      }
    } while (this.#again.has(storageUuid) && !this.#stopping);
    this.#emptying.delete(storageUuid);
  }

  /** All of one storage's, as long as it can be reached. */
  async #emptyOn(storageUuid: string, items: readonly TrashRow[]): Promise<void> {
    for (const item of items) {
      if (this.#stopping) return;
      const storage = await this.#parts.database.sql
        .selectFrom(item.kind === 'primary' ? 'primaryStorage' : 'backupStorage')
        .select('status')
        .where('uuid', '=', storageUuid)
        .executeTakeFirst();
      if (storage && storage.status !== 'Connected') return;
      if (!(await this.#remove(item, storage !== undefined))) return;
    }
  }

  /** False where the storage's other files would fare no better. `known`: the storage is not gone. */
  async #remove(item: TrashRow, known: boolean): Promise<boolean> {
    const { primaryStorages, storages, log } = this.#parts;
    const { storageUuid: storage, path, kind } = item;
    const until = await this.#claim(item);
    if (until === undefined) return true;
    try {
      if (known) {
        const driver = await (kind === 'primary' ? primaryStorages : storages).driver(storage);
        await driver.remove(path);
      }
      await this.#parts.database.sql.deleteFrom('trash').where(isItem(item, until)).execute();
      return true;
    } catch (error) {
      log.warn({ storage, path, err: error }, 'a file could not be removed; tried again later');
      await this.#parts.database.sql
        .updateTable('trash')
        .set({ claimedUntil: 0 })
        .where(isItem(item, until))
        .execute();
      return !toIngotError(error).retryable;
    }
  }

  /**
   * Until when it is this process's to remove; undefined where it is gone or another's. A list that was read before
   * another process removed the file says nothing: a new one may have come to the same path.
   */
  async #claim(item: TrashRow): Promise<number | undefined> {
    const now = Date.now();
    const claimedUntil = now + CLAIM;
    const { numUpdatedRows } = await this.#parts.database.sql
      .updateTable('trash')
      .set({ claimedUntil })
      .where('storageUuid', '=', item.storageUuid)
      .where('path', '=', item.path)
      .$if(!this.#parts.alone, (update) => update.where('claimedUntil', '<=', now))
      .executeTakeFirst();
    return numUpdatedRows > 0n ? claimedUntil : undefined;
  }
}

function isItem({ storageUuid, path }: TrashRow, claimedUntil: number) {
  return (where: ExpressionBuilder<Tables, 'trash'>) => where.and({ storageUuid, path, claimedUntil });
}
