/** Who sees what, and who may do what with it: from the declarations of resources and messages alone. */
import { type RawBuilder, sql } from 'kysely';
import type { Database, Sql } from '../database/database.ts';
import type { Call, Caller } from '../job/operation.ts';
import { IngotError } from '../kernel/errors.ts';
import type { Access, Field } from '../kernel/field.ts';
import { accessOf } from '../kernel/message.ts';
import { type Resource, resourceTypeOf } from '../kernel/resource.ts';
import type { Restrict } from '../query/compile.ts';
import { ownedBy, sharedWith } from './ownership.ts';

type Predicate = RawBuilder<unknown>;

export class AccessRules {
  readonly #database: Database;
  readonly #resources: ReadonlyMap<string, Resource>;

  constructor(parts: { database: Database; resources: ReadonlyMap<string, Resource> }) {
    this.#database = parts.database;
    this.#resources = parts.resources;
  }

  /** What has to hold for the rows that a caller may see; undefined where he sees all. */
  restriction(caller: Caller): Restrict | undefined {
    if (caller.admin) return undefined;
    return (alias, resource) => this.#visible(alias, resource, caller.accountUuid);
  }

  /** ID.1002 where a parameter names something that the caller may not use, or not change. */
  async require({
    message,
    parameters,
    caller,
  }: Pick<Call, 'message' | 'parameters' | 'caller'>): Promise<void> {
    if (caller.admin || message.query) return;
    const values = parameters as Record<string, unknown>;
    for (const [name, field] of Object.entries(message.parameters)) {
      const resource = this.#referenced(field);
      if (!resource || values[name] === undefined) continue;
      const access = accessOf(message, name, field);
      for (const uuid of [values[name]].flat()) {
        if (await this.#may(this.#database.sql, access, resource, String(uuid), caller.accountUuid)) continue;
        throw new IngotError(
          'ID.1002',
          `the ${resource.name} ${uuid} is another account's, and ${access === 'change' ? 'only its owner may do that' : 'not shared with this one'}`,
          { opaque: { parameter: name } },
        );
      }
    }
  }

  /** ID.1002 where the caller may not change the resource. */
  async requireChange(
    on: Sql,
    caller: Caller,
    { resource, uuid }: { resource: Resource; uuid: string },
  ): Promise<void> {
    if (caller.admin || (await this.#may(on, 'change', resource, uuid, caller.accountUuid))) return;
    throw new IngotError(
      'ID.1002',
      `the ${resource.name} ${uuid} is another account's, and only its owner may change it`,
    );
  }

  #referenced(field: Field): Resource | undefined {
    const name = field.references ?? (field.kind === 'list' ? field.element.references : undefined);
    return name === undefined ? undefined : this.#resources.get(name);
  }

  /** What is not there is no matter of permission: the operation says so. */
  async #may(
    on: Sql,
    access: Access,
    resource: Resource,
    uuid: string,
    accountUuid: string,
  ): Promise<boolean> {
    const allowed =
      access === 'use' ? this.#visible('t0', resource, accountUuid) : changeable('t0', resource, accountUuid);
    if (!allowed) return true;
    const { rows } = await sql<{ allowed: number }>`
      select case when ${allowed} then 1 else 0 end as allowed
      from ${sql.table(resource.table)} as ${sql.id('t0')} where ${sql.ref('t0.uuid')} = ${uuid}`.execute(on);
    return rows[0] === undefined || rows[0].allowed === 1;
  }

  #visible(alias: string, resource: Resource, accountUuid: string): Predicate | undefined {
    const { visible } = resource;
    const column = (name: string) => sql.ref(`${alias}.${name}`);
    if (visible === 'everyone') return undefined;
    if (visible === 'administrators') return sql`1 = 0`;
    if (visible === 'owner') return ownOrShared(column('uuid'), accountUuid);
    if (visible === 'references') {
      const tests = resource.refersTo.flatMap((name) => {
        const relation = resource.relations[name];
        if (!relation) return [];
        // The row holds the other's uuid, so that what hangs on the uuid alone needs no look at the other.
        if (relation.to.visible === 'owner') return [ownOrShared(column(relation.local), accountUuid)];
        const inner = `${alias}_${name}`;
        const test = this.#visible(inner, relation.to, accountUuid);
        if (!test) return [];
        return [
          sql`${column(relation.local)} in (select ${sql.ref(`${inner}.${relation.foreign}`)} from ${sql.table(relation.to.table)} as ${sql.id(inner)} where ${test})`,
        ];
      });
      return tests.length === 0 ? undefined : sql`(${sql.join(tests, sql` and `)})`;
    }
    if ('account' in visible) return sql`${column(visible.account)} = ${accountUuid}`;
    const open = [...this.#resources.values()].filter((each) => each.visible === 'everyone');
    return sql`(${column(visible.type)} in (${sql.join([...open.map(resourceTypeOf), ''])})
      or ${ownOrShared(column(visible.resource), accountUuid)})`;
  }
}

/** What has to hold for rows that an account may change. */
function changeable(alias: string, { visible }: Resource, accountUuid: string): Predicate {
  const column = (name: string) => sql.ref(`${alias}.${name}`);
  if (typeof visible === 'string') return ownedBy(column('uuid'), accountUuid);
  if ('account' in visible) return sql`${column(visible.account)} = ${accountUuid}`;
  return ownedBy(column(visible.resource), accountUuid);
}

function ownOrShared(uuid: Predicate, accountUuid: string): Predicate {
  return sql`(${ownedBy(uuid, accountUuid)} or ${sharedWith(uuid, accountUuid)})`;
}
