/** Keeps the descriptions beside images' copies up to date: whatever changes them, the database notes it. */
import type { BackupStorages } from '../backup-storage/backup-storages.ts';
import type { Database, Sql } from '../database/database.ts';
import { type Clock, sleep } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import type { SecretBox } from '../kernel/secret-box.ts';
import { describe, descriptionPath, isOutdated, writeDescription } from './description.ts';

interface Parts {
  database: Database;
  storages: BackupStorages;
  secrets: SecretBox;
  clock: Clock;
  log: Log;
}

interface Due {
  imageUuid: string;
  backupStorageUuid: string;
  path: string;
}

/** How often it is looked for changes, in milliseconds. */
const LOOK = 250;
/** How long a process has for one file; one that takes longer leaves it to the next try. */
const CLAIM = 30_000;
/** How long a file that could not be written is let be. */
const PAUSE = 60_000;
/** A storage with so many of them is let be as a whole. */
const MOST_FAILED = 100;
const BATCH = 50;

export class Describer {
  readonly #parts: Parts;
  /** Copy → when it may be tried again. */
  readonly #failed = new Map<string, number>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** `alone`: no other process can be writing, so that what was claimed was claimed by a dead one. */
  async run({ alone, signal }: { alone: boolean; signal: AbortSignal }): Promise<void> {
    const { database, log } = this.#parts;
    if (alone) await database.sql.updateTable('imageDescription').set({ claimedUntil: 0 }).execute();
    while (!signal.aborted) {
      try {
        while ((await this.describeDue()) === BATCH && !signal.aborted);
      } catch (error) {
        if (!signal.aborted) log.error({ err: error }, 'describing images on their storages failed');
      }
      await sleep(LOOK, signal).catch(() => {});
    }
    // What has just become Ready would else wait for the next start.
    await this.describeDue().catch(() => {});
  }

  /** Writes what has changed; how many were tried. */
  async describeDue(): Promise<number> {
    const now = this.#parts.clock.now();
    for (const [key, until] of this.#failed) if (until <= now) this.#failed.delete(key);
    const reachable = await this.#parts.database.sql
      .selectFrom('backupStorage')
      .select('uuid')
      .where('status', '=', 'Connected')
      .execute();
    let looked = 0;
    for (const { uuid } of reachable) looked = Math.max(looked, await this.#describeOn(uuid, now));
    return looked;
  }

  async #describeOn(storageUuid: string, now: number): Promise<number> {
    const failed = [...this.#failed.keys()].filter((key) => key.endsWith(storageUuid)).length;
    if (failed >= MOST_FAILED) return 0;
    const due = await this.#parts.database.sql
      .selectFrom('imageDescription as description')
      .innerJoin('imageBackupStorageRef as ref', (join) =>
        join
          .onRef('ref.imageUuid', '=', 'description.imageUuid')
          .onRef('ref.backupStorageUuid', '=', 'description.backupStorageUuid'),
      )
      .select(['ref.imageUuid', 'ref.backupStorageUuid', 'ref.path'])
      .where('description.backupStorageUuid', '=', storageUuid)
      .where(isOutdated)
      .where('claimedUntil', '<=', now)
      .where('ref.status', 'in', ['Ready', 'Deleted'])
      .where('ref.imageUuid', 'not in', workedOn(this.#parts.database.sql))
      .limit(BATCH + failed)
      .execute();
    const some = due.filter((each) => !this.#failed.has(keyOf(each))).slice(0, BATCH);
    let tried = 0;
    // What another process has, or a job is working on by now, is no work for the next round either.
    for (const each of some) if (await this.#write(each)) tried++;
    return tried;
  }

  /** False where it may not be written just now. */
  async #write(due: Due): Promise<boolean> {
    const { storages, secrets, clock, log } = this.#parts;
    const path = descriptionPath(due.path);
    const claimed = path === undefined ? undefined : await this.#claim(due);
    if (path === undefined || !claimed) return false;
    const { revision, description, until } = claimed;
    try {
      const driver = await storages.driver(due.backupStorageUuid);
      const bytes = Buffer.from(writeDescription(description, secrets));
      const writer = await driver.create(path, { expectedSize: bytes.length });
      try {
        await writer.write(bytes);
        await writer.flush();
        if (clock.now() >= until) throw new Error('the storage took too long');
        if (!(await this.#isThere(due))) throw new Error('the copy is gone');
        await writer.commit();
      } catch (error) {
        await writer.abort();
        throw error;
      }
      if (await this.#settle(due, until, { written: revision })) return true;
      // The copy went by force meanwhile, and with it whatever is beside it.
      if (!(await this.#isThere(due))) await driver.remove(path);
    } catch (error) {
      this.#failed.set(keyOf(due), clock.now() + PAUSE);
      log.warn(
        { image: due.imageUuid, storage: due.backupStorageUuid, err: error },
        'an image could not be described',
      );
      await this.#settle(due, until, {});
    }
    return true;
  }

  /** The right to write the file, for a time: what is taking the copy away waits for it, and none begins meanwhile. */
  #claim({ imageUuid, backupStorageUuid }: Due) {
    const { database, clock } = this.#parts;
    return database.transaction(async (tx) => {
      const until = clock.now() + CLAIM;
      const row = await tx
        .updateTable('imageDescription')
        .set({ claimedUntil: until })
        .where('imageUuid', '=', imageUuid)
        .where('backupStorageUuid', '=', backupStorageUuid)
        .where('claimedUntil', '<=', clock.now())
        .where(isOutdated)
        .where('imageUuid', 'not in', workedOn(tx))
        .returning('revision')
        .executeTakeFirst();
      const description = row && (await describe(tx, imageUuid, backupStorageUuid));
      return row && description && { revision: row.revision, description, until };
    });
  }

  async #settle(
    { imageUuid, backupStorageUuid }: Due,
    until: number,
    done: { written?: number },
  ): Promise<boolean> {
    const { numUpdatedRows } = await this.#parts.database.sql
      .updateTable('imageDescription')
      .set({ ...done, claimedUntil: 0 })
      .where('imageUuid', '=', imageUuid)
      .where('backupStorageUuid', '=', backupStorageUuid)
      .where('claimedUntil', '=', until)
      .executeTakeFirst();
    return numUpdatedRows > 0n;
  }

  async #isThere({ imageUuid, backupStorageUuid }: Due): Promise<boolean> {
    const row = await this.#parts.database.sql
      .selectFrom('imageDescription')
      .select('revision')
      .where('imageUuid', '=', imageUuid)
      .where('backupStorageUuid', '=', backupStorageUuid)
      .executeTakeFirst();
    return row !== undefined;
  }
}

/** Images that a job works on, which may be removing them; when it has ended, there is time enough. */
const workedOn = (on: Sql) =>
  on
    .selectFrom('longJob')
    .select('targetResourceUuid')
    .where('state', 'in', ['Waiting', 'Running', 'Canceling'])
    .where('targetResourceUuid', 'is not', null)
    .$castTo<{ targetResourceUuid: string }>();

const keyOf = ({ imageUuid, backupStorageUuid }: Due) => `${imageUuid} ${backupStorageUuid}`;
