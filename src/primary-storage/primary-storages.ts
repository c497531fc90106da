import type { Database } from '../database/database.ts';
import { IngotError } from '../kernel/errors.ts';
import type { Log } from '../kernel/log.ts';
import { nobodyListens, type StepListener, withSteps } from '../kernel/steps.ts';
import { promisable } from './capacity.ts';
import { PRIMARY_STORAGE_STEPS, type PrimaryStorageDriver } from './driver.ts';
import { localPrimaryStorage } from './local/driver.ts';
import { nfsPrimaryStorage } from './nfs/driver.ts';
import type { PrimaryStorageRow } from './primary-storage.ts';

type StorageRow = Pick<PrimaryStorageRow, 'uuid' | 'type' | 'url' | 'mountPath'>;

/** How long a storage may take to answer a ping; a server that is gone may hold a system call for ever. Milliseconds. */
const PING = 15_000;

/** The drivers of the storages that are known, each opened once. */
export class PrimaryStorages {
  readonly #drivers = new Map<string, PrimaryStorageDriver>();
  readonly #database: Database;
  readonly #log: Log;
  readonly #onStep: StepListener;

  constructor(parts: { database: Database; log: Log; onStep?: StepListener }) {
    this.#database = parts.database;
    this.#log = parts.log;
    this.#onStep = parts.onStep ?? nobodyListens;
  }

  driverOf(storage: StorageRow): PrimaryStorageDriver {
    let driver = this.#drivers.get(storage.uuid);
    if (!driver) {
      driver = withSteps(openDriver(storage), 'primary storage', PRIMARY_STORAGE_STEPS, this.#onStep);
      this.#drivers.set(storage.uuid, driver);
    }
    return driver;
  }

  async driver(uuid: string): Promise<PrimaryStorageDriver> {
    const known = this.#drivers.get(uuid);
    if (known) return known;
    const storage = await this.#database.sql
      .selectFrom('primaryStorage')
      .select(['uuid', 'type', 'url', 'mountPath'])
      .where('uuid', '=', uuid)
      .executeTakeFirst();
    if (!storage) throw new IngotError('SYS.1003', `there is no PrimaryStorage with the uuid ${uuid}`);
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
    const storages = await this.#database.sql
      .selectFrom('primaryStorage')
      .selectAll()
      .where('state', '!=', 'Deleting')
      .execute();
    await Promise.all(storages.map((storage) => this.checkOne(storage).catch(() => {})));
  }

  /** Rejects with why the storage can't be reached, once its row says so. */
  async checkOne(storage: PrimaryStorageRow): Promise<void> {
    let found: { total: number; available: number } | undefined;
    let failure: unknown;
    try {
      found = await inTime(storage, this.#look(storage));
    } catch (error) {
      failure = error;
      if (storage.status !== 'Disconnected') {
        this.#log.error({ storage: storage.uuid, err: error }, 'a primary storage is gone');
      }
    }
    const total = found?.total ?? storage.totalCapacity;
    const { overProvisioning } = storage;
    await this.#database.sql
      .updateTable('primaryStorage')
      .set((row) => ({
        status: failure === undefined ? ('Connected' as const) : ('Disconnected' as const),
        totalCapacity: total,
        totalPhysicalCapacity: total,
        ...(found && { availablePhysicalCapacity: found.available }),
        availableCapacity: row(
          'availableCapacity',
          '+',
          promisable(total, overProvisioning) - promisable(storage.totalCapacity, overProvisioning),
        ),
      }))
      .where('uuid', '=', storage.uuid)
      .where('totalCapacity', '=', storage.totalCapacity)
      .where('overProvisioning', '=', overProvisioning)
      .execute();
    if (failure !== undefined) throw failure;
  }

  async #look(storage: StorageRow): Promise<{ total: number; available: number }> {
    const driver = this.driverOf(storage);
    await driver.ping();
    return driver.capacity();
  }

  async close(): Promise<void> {
    await Promise.all([...this.#drivers.keys()].map((uuid) => this.forget(uuid)));
  }
}

async function inTime<T>(storage: { uuid: string }, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const details = `primary storage ${storage.uuid} did not answer for ${PING / 1000} s`;
      reject(new IngotError('PS.1003', details, { retryable: true }));
    }, PING);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

function openDriver(storage: StorageRow): PrimaryStorageDriver {
  switch (storage.type) {
    case 'NFS':
      return nfsPrimaryStorage({ root: storage.mountPath, uuid: storage.uuid, url: storage.url });
    case 'LocalStorage':
    case 'SharedMountPoint':
      return localPrimaryStorage({ root: storage.mountPath, uuid: storage.uuid });
  }
}
