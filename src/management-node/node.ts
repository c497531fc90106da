import { hostname } from 'node:os';
import type { Database } from '../database/database.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';

/** How often a process says that it is there, in milliseconds, and after how long another one counts as gone. */
const BEAT = 10_000;
const GONE = 60_000;

/** This process among those that share the database. */
export class Node {
  readonly #database: Database;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #uuid: string;
  readonly #alone: boolean;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(parts: { database: Database; clock: Clock; log: Log; uuid: string; alone: boolean }) {
    this.#database = parts.database;
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#uuid = parts.uuid;
    this.#alone = parts.alone;
  }

  async start(): Promise<void> {
    const now = this.#clock.now();
    const row = { hostName: hostname(), joinDate: now, heartBeat: now };
    // Those that were killed could not take themselves off the list.
    if (this.#alone) await this.#database.sql.deleteFrom('managementNode').execute();
    await this.#database.sql
      .insertInto('managementNode')
      .values({ uuid: this.#uuid, ...row })
      .execute();
    this.#timer = setInterval(() => {
      this.#beat().catch((error) => this.#log.error({ err: error }, 'the heartbeat could not be written'));
    }, BEAT);
    this.#timer.unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#database.sql.deleteFrom('managementNode').where('uuid', '=', this.#uuid).execute();
  }

  async #beat(): Promise<void> {
    const now = this.#clock.now();
    const nodes = this.#database.sql;
    await nodes
      .updateTable('managementNode')
      .set({ heartBeat: now })
      .where('uuid', '=', this.#uuid)
      .execute();
    await nodes
      .deleteFrom('managementNode')
      .where('heartBeat', '<', now - GONE)
      .execute();
  }
}
