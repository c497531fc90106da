import type { Database, Sql } from '../database/database.ts';
import type { Clock } from '../kernel/clock.ts';
import { IngotError } from '../kernel/errors.ts';
import type { Log } from '../kernel/log.ts';
import { didYouMean } from '../kernel/nearest.ts';
import type { Setting } from './setting.ts';

/** How long values are believed without asking the database, in milliseconds: as late as other processes may be. */
const BELIEVED = 2000;

/** The settings' values: in the database, read through a small cache. */
export class Settings {
  readonly #database: Database;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #all: readonly Setting[];
  #values: Map<string, string> | undefined;
  #readAt = 0;

  constructor(parts: { database: Database; clock: Clock; log: Log; settings: readonly Setting[] }) {
    this.#database = parts.database;
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#all = parts.settings;
  }

  /** Gives every declared setting its row, and takes away the rows of those that are no more. */
  async start(): Promise<void> {
    await this.#database.transaction(async (tx) => {
      const rows = await tx.selectFrom('globalConfig').selectAll().execute();
      for (const { category, name } of rows) {
        if (this.#all.some((setting) => setting.category === category && setting.name === name)) continue;
        await tx
          .deleteFrom('globalConfig')
          .where('category', '=', category)
          .where('name', '=', name)
          .execute();
      }
      for (const { category, name, doc, default: standard } of this.#all) {
        const told = { description: doc, defaultValue: String(standard) };
        await tx
          .insertInto('globalConfig')
          .values({ category, name, value: String(standard), ...told })
          .onConflict((conflict) => conflict.columns(['category', 'name']).doUpdateSet(told))
          .execute();
      }
    });
  }

  async get<T>(setting: Setting<T>): Promise<T> {
    if (!this.#values || this.#clock.now() - this.#readAt > BELIEVED) {
      this.#readAt = this.#clock.now();
      const rows = await this.#database.sql.selectFrom('globalConfig').selectAll().execute();
      this.#values = new Map(rows.map((row) => [`${row.category}/${row.name}`, row.value]));
    }
    const text = this.#values.get(`${setting.category}/${setting.name}`);
    if (text === undefined) return setting.default;
    try {
      return setting.read(text);
    } catch (error) {
      // Written by another version, or by hand.
      this.#log.warn({ err: error }, 'a setting has a value that is none; its default holds');
      return setting.default;
    }
  }

  /** Writes a value and returns it in its inner form's own spelling. */
  async set(tx: Sql, category: string, name: string, text: string): Promise<void> {
    const setting = this.find(category, name);
    await tx
      .updateTable('globalConfig')
      .set({ value: String(setting.read(text)) })
      .where('category', '=', category)
      .where('name', '=', name)
      .execute();
  }

  async reset(tx: Sql): Promise<void> {
    await tx
      .updateTable('globalConfig')
      .set((row) => ({ value: row.ref('defaultValue') }))
      .execute();
  }

  /** What this process has changed holds in it at once. */
  forget(): void {
    this.#values = undefined;
  }

  find(category: string, name: string): Setting {
    const found = this.#all.find((setting) => setting.category === category && setting.name === name);
    if (found) return found;
    const known = this.#all.map((setting) => `${setting.category}/${setting.name}`);
    throw new IngotError(
      'SYS.1003',
      `there is no setting '${category}/${name}'${didYouMean(`${category}/${name}`, known)}`,
      { elaboration: `There are: ${known.join(', ')}.` },
    );
  }
}
