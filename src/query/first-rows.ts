/**
 * Most pages are full long before the end of the table: of what many rows pass, the first ones stand near its
 * beginning. So a page is looked for there first, among so few rows that it takes less time than asking a thread.
 */
import { sql } from 'kysely';
import type { Database } from '../database/database.ts';
import type { Predicate } from './compare.ts';
import { alongTheOrder, type Wanted } from './plan.ts';
import type { Resolved } from './resolve.ts';

const SHORT_PAGE = 100;
/** How long what was found is believed, in milliseconds; it decides on the way alone. */
const BELIEVED = 10_000;
const MOST_REMEMBERED = 1000;

interface Known {
  /** When the last of the first rows was created; undefined where there are too few, or it is a page looked for in vain. */
  bound: number | undefined;
  until: number;
}
const remembered = new WeakMap<Database, Map<string, Known>>();

/** True for the first rows of the order; undefined where they are not to be told, or not worth a look. */
export async function firstRows(wanted: Wanted): Promise<Predicate | undefined> {
  const { rows, order, descending } = wanted;
  if (rows === undefined || rows > SHORT_PAGE || order !== 'createDate') return undefined;
  if (recall(wanted, keyOf('page', wanted, wanted.resolved))) return undefined;
  const bound = await boundOf(wanted);
  if (bound === undefined) return undefined;
  const date = sql.ref('t0.createDate');
  return descending ? sql`${date} >= ${bound}` : sql`${date} <= ${bound}`;
}

/** The first rows had no full page: for a while they are not asked again. */
export function noteInVain(wanted: Wanted): void {
  keep(wanted, keyOf('page', wanted, wanted.resolved), undefined);
}

/** When the last of the first rows was created; undefined where there are not so many. */
async function boundOf(wanted: Wanted): Promise<number | undefined> {
  const { database, resource, descending, planning } = wanted;
  const leaf = alongTheOrder(wanted);
  const key = keyOf('bound', wanted, leaf);
  const known = recall(wanted, key);
  if (known) return known.bound;
  const date = sql.ref('createDate');
  const test = leaf ? leaf.test(sql.ref(leaf.column), false) : sql`1 = 1`;
  const { rows } = await sql<{ bound: number }>`select ${date} as bound from ${sql.table(resource.table)}
    where ${test} order by ${date} ${descending ? sql`desc` : sql`asc`}
    limit 1 offset ${sql.lit(planning.first)}`.execute(database.sql);
  keep(wanted, key, rows[0]?.bound);
  return rows[0]?.bound;
}

function keyOf(what: 'page' | 'bound', { resource, descending }: Wanted, of: Resolved | undefined): string {
  const conditions = (part: Resolved): unknown => {
    if (part.kind === 'leaf') return [part.condition, part.none];
    return part.kind === 'not' ? ['not', conditions(part.part)] : [part.kind, ...part.parts.map(conditions)];
  };
  return JSON.stringify([what, resource.name, descending, of && conditions(of)]);
}

function recall({ database }: Wanted, key: string): Known | undefined {
  const known = remembered.get(database)?.get(key);
  return known && known.until > performance.now() ? known : undefined;
}

function keep({ database }: Wanted, key: string, bound: number | undefined): void {
  let known = remembered.get(database);
  if (!known) {
    known = new Map();
    remembered.set(database, known);
  }
  if (known.size >= MOST_REMEMBERED) known.delete(known.keys().next().value ?? '');
  known.set(key, { bound, until: performance.now() + BELIEVED });
}
