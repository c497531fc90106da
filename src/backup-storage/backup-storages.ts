import type { Database, Sql } from '../database/database.ts';
import { IngotError, toIngotError } from '../kernel/errors.ts';
import type { Log } from '../kernel/log.ts';
import type { Message } from '../kernel/message.ts';
import type { SecretBox } from '../kernel/secret-box.ts';
import { nobodyListens, type StepListener, withSteps } from '../kernel/steps.ts';
import type { Egress } from '../transfer/egress.ts';
import { BACKUP_STORAGE_STEPS, type BackupStorageDriver } from './driver.ts';
import type { Secrets, StorageRow } from './kind.ts';
import { KINDS } from './kinds.ts';
import { SharedDriver } from './shared-driver.ts';

/** How long a storage may take to answer a ping, in milliseconds: a server that is gone may be silent for ever. */
const PING = 15_000;
/** How many pings in a row a storage that was connected may miss until it counts as gone. */
const MISSES = 3;
const LONGEST_REASON = 2048;

interface Opened {
  driver: Promise<BackupStorageDriver>;
  shared: Promise<SharedDriver>;
  /** What it was opened from. */
  storage: StorageRow;
}

/** The drivers of the storages that are known, each opened once, and whether they answer. */
export class BackupStorages {
  readonly #opened = new Map<string, Opened>();
  /** Those that were let go of, and that somebody may still be using. */
  readonly #retired = new Set<SharedDriver>();
  /** Pings missed in a row, by storage. */
  readonly #misses = new Map<string, number>();
  readonly #database: Database;
  readonly #log: Log;
  readonly #secrets: SecretBox;
  /** What the servers of storages may be connected to; everything where absent. */
  readonly egress: Egress | undefined;
  readonly #onStep: StepListener;

  constructor(parts: {
    database: Database;
    log: Log;
    secrets: SecretBox;
    egress?: Egress;
    onStep?: StepListener;
  }) {
    this.#database = parts.database;
    this.#log = parts.log;
    this.#secrets = parts.secrets;
    this.egress = parts.egress;
    this.#onStep = parts.onStep ?? nobodyListens;
  }

  driverOf(storage: StorageRow): Promise<BackupStorageDriver> {
    const known = this.#opened.get(storage.uuid);
    if (known && isSamePlace(known.storage, storage)) return known.driver;
    // Another process has changed where it is.
    if (known) this.#retire(known);
    const shared = this.#open(storage);
    const driver = shared.then((opened) =>
      withSteps(opened.driver, 'backup storage', BACKUP_STORAGE_STEPS, this.#onStep),
    );
    const opened = { driver, shared, storage };
    this.#opened.set(storage.uuid, opened);
    driver.catch(() => {
      if (this.#opened.get(storage.uuid) === opened) this.#opened.delete(storage.uuid);
    });
    return driver;
  }

  async driver(uuid: string, on: Sql = this.#database.sql): Promise<BackupStorageDriver> {
    return this.#opened.get(uuid)?.driver ?? this.driverOf(await this.#row(uuid, on));
  }

  /** Lets go of the driver of a storage that is gone, or is to be opened anew; what uses it goes on to its end. */
  forget(uuid: string): void {
    const known = this.#opened.get(uuid);
    this.#opened.delete(uuid);
    this.#misses.delete(uuid);
    if (known) this.#retire(known);
  }

  /** Opens a storage anew that was changed, and brings its status up to date. Never rejects. */
  async reopen(uuid: string): Promise<void> {
    this.forget(uuid);
    // The row says why not, and whoever asks for it hears of it.
    await this.connect(uuid).catch(() => {});
  }

  /** Rejects with why the storage can't be reached, once its row says so. */
  async connect(uuid: string): Promise<void> {
    await this.#look(await this.#row(uuid), { patient: false });
  }

  /**
   * Asks each storage, so many at once, whether it can be reached, and keeps its status and capacity true.
   * `patient`: one that was connected may miss a few times.
   */
  async check({ patient = false, parallel = 50 } = {}): Promise<void> {
    const storages = await this.#database.sql.selectFrom('backupStorage').selectAll().execute();
    const next = storages.values();
    const some = async () => {
      for (const storage of next) await this.#look(storage, { patient }).catch(() => {});
    };
    await Promise.all(Array.from({ length: parallel }, some));
  }

  /** The parameters that are declared secret, over those that the storage has, as its row keeps them. */
  sealSecrets(
    uuid: string,
    message: Pick<Message, 'parameters'>,
    parameters: Record<string, unknown>,
    storage?: StorageRow,
  ): string | null {
    const given = Object.entries(parameters).filter(
      ([name, value]) => message.parameters[name]?.secret && value !== undefined,
    );
    if (given.length === 0) return storage?.secrets ?? null;
    const all = { ...(storage && this.#secretsIfReadable(storage)), ...Object.fromEntries(given) };
    return this.#secrets.seal(JSON.stringify(all), ownerOf(uuid));
  }

  /** Where their key is lost, they are given anew, and the old ones are in nobody's way. */
  #secretsIfReadable(storage: StorageRow): Secrets {
    try {
      return this.#unseal(storage);
    } catch (error) {
      this.#log.warn({ storage: storage.uuid, err: error }, 'the secrets that a storage had are lost');
      return {};
    }
  }

  /** What could not be cleaned up is told in the log alone. */
  noteLeftBehind(uuid: string, error: unknown): void {
    this.#log.warn({ storage: uuid, err: error }, 'something was left behind on a backup storage');
  }

  async close(): Promise<void> {
    const all = [...this.#opened.values()].map(({ shared }) => shared);
    this.#opened.clear();
    // One that could not be opened needs no closing.
    const opened = await Promise.all(all.map((shared) => shared.catch(() => undefined)));
    await Promise.all([...opened, ...this.#retired].map((shared) => shared?.close()));
    this.#retired.clear();
  }

  #retire({ shared }: Opened): void {
    shared.then(
      (opened) => {
        this.#retired.add(opened);
        opened.retire(() => this.#retired.delete(opened));
      },
      () => {},
    );
  }

  async #open(storage: StorageRow): Promise<SharedDriver> {
    const { uuid } = storage;
    const driver = await KINDS[storage.type].open(storage, this.#unseal(storage), {
      log: this.#log.child({ storage: uuid }),
      egress: this.egress,
      remember: async (learnt) => {
        await this.#database.sql.updateTable('backupStorage').set(learnt).where('uuid', '=', uuid).execute();
        const known = this.#opened.get(uuid);
        if (known) known.storage = { ...known.storage, ...learnt };
      },
    });
    return new SharedDriver(driver);
  }

  #unseal({ uuid, secrets }: StorageRow): Secrets {
    return secrets === null ? {} : JSON.parse(this.#secrets.open(secrets, ownerOf(uuid)));
  }

  async #row(uuid: string, on: Sql = this.#database.sql): Promise<StorageRow> {
    const storage = await on
      .selectFrom('backupStorage')
      .selectAll()
      .where('uuid', '=', uuid)
      .executeTakeFirst();
    if (!storage) throw new IngotError('SYS.1003', `there is no BackupStorage with the uuid ${uuid}`);
    return storage;
  }

  /** Rejects with why the storage can't be reached, once its row says so. */
  async #look(storage: StorageRow, { patient }: { patient: boolean }): Promise<void> {
    const { uuid } = storage;
    try {
      const total = await inTime(storage, async () => {
        const driver = await this.driverOf(storage);
        await driver.ping();
        return (await driver.capacity()).total;
      });
      this.#misses.delete(uuid);
      await this.#note(storage, { status: 'Connected', statusReason: null }, total);
    } catch (thrown) {
      const error = toIngotError(thrown);
      const misses = (this.#misses.get(uuid) ?? 0) + 1;
      this.#misses.set(uuid, misses);
      // What trying again can't mend, such as a wrong password, is no matter of patience.
      const waits = patient && error.retryable && storage.status === 'Connected' && misses < MISSES;
      if (!waits) {
        if (storage.status !== 'Disconnected')
          this.#log.error({ storage: uuid, err: thrown }, 'a backup storage is gone');
        const statusReason = error.details.slice(0, LONGEST_REASON);
        await this.#note(storage, { status: 'Disconnected', statusReason }, storage.totalCapacity);
      }
      throw thrown;
    }
  }

  async #note(
    storage: StorageRow,
    told: Pick<StorageRow, 'status' | 'statusReason'>,
    total: number,
  ): Promise<void> {
    const { uuid, status, statusReason, totalCapacity } = storage;
    if (told.status === status && told.statusReason === statusReason && total === totalCapacity) return;
    await this.#database.sql
      .updateTable('backupStorage')
      .set((row) => ({
        ...told,
        totalCapacity: total,
        availableCapacity: row('availableCapacity', '+', total - totalCapacity),
      }))
      .where('uuid', '=', uuid)
      .where('totalCapacity', '=', totalCapacity)
      .execute();
  }
}

const ownerOf = (uuid: string) => `backup storage ${uuid}`;

/**
 * Whether a driver opened from the one is right for the other: all but what changes by itself is the same. What the
 * other doesn't have, it had not learnt yet when it was read.
 */
function isSamePlace(one: StorageRow, other: StorageRow): boolean {
  const names = ['url', 'secrets', ...Object.keys(KINDS[one.type].declared.fields)] as (keyof StorageRow)[];
  return names.every((name) => other[name] === null || one[name] === other[name]);
}

async function inTime<T>(storage: StorageRow, work: () => Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const details = `backup storage '${storage.name}' did not answer for ${PING / 1000} s`;
      reject(new IngotError('BS.1005', details, { retryable: true }));
    }, PING);
  });
  try {
    return await Promise.race([work(), late]);
  } finally {
    clearTimeout(timer);
  }
}
