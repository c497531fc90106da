/** Quotas: declared by the folder whose resources they count, held by the account, checked wherever one comes to be. */
import { type Database, type Sql, syntaxOf } from '../database/database.ts';
import type { CreationHook } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import { IngotError } from '../kernel/errors.ts';
import { formatSize } from '../kernel/format.ts';
import { bornAt } from '../kernel/properties.ts';
import type { Resource } from '../kernel/resource.ts';
import { newUuid } from '../kernel/uuid.ts';

export interface QuotaDefinition {
  /** Such as `image.num`; bytes where it ends in `.size`. */
  readonly name: string;
  readonly default: number;
  /** What it counts. */
  readonly of: Resource;
  /** How much of it the account has. */
  used(on: Sql, accountUuid: string): Promise<number>;
}

export class Quotas {
  readonly definitions: readonly QuotaDefinition[];
  readonly #database: Database;
  readonly #clock: Clock;

  constructor(parts: { database: Database; clock: Clock; quotas: readonly QuotaDefinition[] }) {
    this.#database = parts.database;
    this.#clock = parts.clock;
    this.definitions = parts.quotas;
  }

  /** Gives every account the quotas that it has not got yet. */
  async start(): Promise<void> {
    await this.#database.transaction(async (tx) => {
      const accounts = await tx.selectFrom('account').select('uuid').execute();
      for (const { uuid } of accounts) await this.give(tx, uuid);
    });
  }

  /** The row of each quota, at its default, for an account that is new. */
  async give(tx: Sql, accountUuid: string): Promise<void> {
    for (const { name, default: value } of this.definitions) {
      await tx
        .insertInto('quota')
        .values({
          uuid: newUuid(),
          name,
          identityUuid: accountUuid,
          identityType: 'AccountVO',
          value,
          ...bornAt(this.#clock.now()),
        })
        .onConflict((conflict) => conflict.columns(['identityUuid', 'name']).doNothing())
        .execute();
    }
  }

  /** ID.1003 where the account now has more of the resource than it may. Administrators may have anything. */
  async require(tx: Sql, resource: Resource, accountUuid: string): Promise<void> {
    const definitions = this.definitions.filter((quota) => quota.of === resource);
    if (definitions.length === 0) return;
    const find = tx.selectFrom('account').select('type').where('uuid', '=', accountUuid);
    // Two that come to one account at once are counted one after the other; SQLite's transactions are that anyway.
    const held = syntaxOf(tx).name === 'postgres' ? find.forNoKeyUpdate() : find;
    const account = await held.executeTakeFirst();
    if (account?.type !== 'Normal') return;
    for (const quota of definitions) {
      const total = await this.#limit(tx, quota, accountUuid);
      const used = await quota.used(tx, accountUuid);
      if (used <= total) continue;
      const show = (amount: number) =>
        quota.name.endsWith('.size') ? `${formatSize(amount)} (${amount} bytes)` : String(amount);
      throw new IngotError(
        'ID.1003',
        `the quota ${quota.name} of account ${accountUuid} is ${show(total)}, and this would make it ${show(used)}`,
        {
          elaboration:
            'Delete some (images marked Deleted count until they are expunged), or ask for more (UpdateQuota).',
          opaque: { quota: quota.name, total, used },
        },
      );
    }
  }

  async usage(on: Sql, accountUuid: string): Promise<{ name: string; total: number; used: number }[]> {
    return Promise.all(
      this.definitions.map(async (quota) => ({
        name: quota.name,
        total: await this.#limit(on, quota, accountUuid),
        used: await quota.used(on, accountUuid),
      })),
    );
  }

  /** Looked at when the row is there, and again when it is known how large the resource is. */
  hook(): CreationHook {
    const check: NonNullable<CreationHook['begin']> = async (tx, { resource, uuid }) => {
      const owner = await tx
        .selectFrom('accountResourceRef')
        .select('accountUuid')
        .where('resourceUuid', '=', uuid)
        .executeTakeFirst();
      if (owner) await this.require(tx, resource, owner.accountUuid);
    };
    return { begin: check, end: check };
  }

  async #limit(on: Sql, quota: QuotaDefinition, accountUuid: string): Promise<number> {
    const row = await on
      .selectFrom('quota')
      .select('value')
      .where('identityUuid', '=', accountUuid)
      .where('name', '=', quota.name)
      .executeTakeFirst();
    return row?.value ?? quota.default;
  }
}
