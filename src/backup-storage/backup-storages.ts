import type { Database, Sql } from '../database/database.ts';
import { IngotError } from '../kernel/errors.ts';
import type { Log } from '../kernel/log.ts';
import type { RowOf } from '../kernel/resource.ts';
import { nobodyListens, type StepListener, withSteps } from '../kernel/steps.ts';
import type { BackupStorage } from './backup-storage.ts';
import { BACKUP_STORAGE_STEPS, type BackupStorageDriver } from './driver.ts';
import { localBackupStorage } from './local/driver.ts';

type StorageRow = Pick<RowOf<typeof BackupStorage>, 'uuid' | 'type' | 'url'>;

/** The drivers of the storages that are known, each opened once. */
export class BackupStorages {
  readonly #drivers = new Map<string, BackupStorageDriver>();
  readonly #database: Database;
  readonly #log: Log;
  readonly #onStep: StepListener;

  constructor(parts: { database: Database; log: Log; onStep?: StepListener }) {
    this.#database = parts.database;
    this.#log = parts.log;
    this.#onStep = parts.onStep ?? nobodyListens;
  }

  driverOf(storage: StorageRow): BackupStorageDriver {
    let driver = this.#drivers.get(storage.uuid);
    if (!driver) {
      driver = withSteps(openDriver(storage), 'backup storage', BACKUP_STORAGE_STEPS, this.#onStep);
      this.#drivers.set(storage.uuid, driver);
    }
    return driver;
  }

  async driver(uuid: string, on: Sql = this.#database.sql): Promise<BackupStorageDriver> {
    const known = this.#drivers.get(uuid);
    if (known) return known;
    const storage = await on
      .selectFrom('backupStorage')
      .select(['uuid', 'type', 'url'])
      .where('uuid', '=', uuid)
      .executeTakeFirst();
    if (!storage) throw new IngotError('SYS.1003', `there is no BackupStorage with the uuid ${uuid}`);
    return this.driverOf(storage);
  }

  /** Lets go of the driver of a storage that is gone. */
  async forget(uuid: string): Promise<void> {
    const driver = this.#drivers.get(uuid);
    this.#drivers.delete(uuid);
    await driver?.close();
  }

  /** Asks each storage whether it can be reached, and keeps its status and capacity true. */
  async check(): Promise<void> {
    const storages = await this.#database.sql.selectFrom('backupStorage').selectAll().execute();
    await Promise.all(storages.map((storage) => this.#checkOne(storage)));
  }

  async #checkOne(storage: RowOf<typeof BackupStorage>): Promise<void> {
    let status: 'Connected' | 'Disconnected' = 'Connected';
    let total = storage.totalCapacity;
    try {
      const driver = this.driverOf(storage);
      await driver.ping();
      total = (await driver.capacity()).total;
    } catch (error) {
      status = 'Disconnected';
      if (storage.status !== status)
        this.#log.error({ storage: storage.uuid, err: error }, 'a backup storage is gone');
    }
    if (status === storage.status && total === storage.totalCapacity) return;
    await this.#database.sql
      .updateTable('backupStorage')
      .set((row) => ({
        status,
        totalCapacity: total,
        availableCapacity: row('availableCapacity', '+', total - storage.totalCapacity),
      }))
      .where('uuid', '=', storage.uuid)
      .where('totalCapacity', '=', storage.totalCapacity)
      .execute();
  }

  async close(): Promise<void> {
    await Promise.all([...this.#drivers.keys()].map((uuid) => this.forget(uuid)));
  }
}

function openDriver(storage: StorageRow): BackupStorageDriver {
  switch (storage.type) {
    case 'LocalBackupStorage':
      return localBackupStorage({ root: storage.url, uuid: storage.uuid });
  }
}
