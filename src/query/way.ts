/** Which way a query goes: by which plan, and on which thread. */
import type { Database, Sql } from '../database/database.ts';
import type { Resource } from '../kernel/resource.ts';
import { NO_PLAN, type Plan } from './compile.ts';
import type { Operator } from './condition.ts';
import { type Asking, alongTheOrder, fewFor, makePlan } from './plan.ts';
import { leavesOf, type Resolved } from './resolve.ts';

export interface Way {
  on: Sql;
  plan: Plan;
}

interface Wanted extends Omit<Asking, 'on'> {
  /** The caller may see only a part, so that it can take long to find a page of it. */
  restricted: boolean;
}

/** Rows that are read and passed on in some ten milliseconds. */
const SHORT = 1000;
/** So few rows, found over so few conditions, take less time than a thread needs to be asked. */
const AT_ONCE = 100;
const FEW_CONDITIONS = 4;
/** SQLite takes a second to read ten thousand, however small the table. */
const MANY_CONDITIONS = 200;

export async function findWay(wanted: Wanted): Promise<Way> {
  const { database, planning } = wanted;
  const here = { on: database.sql, plan: NO_PLAN };
  if (!(await isLarge(database, wanted.resource, wanted.resolved, planning.small))) {
    const many = leavesOf(wanted.resolved).length > MANY_CONDITIONS;
    return many ? { on: database.reader, plan: NO_PLAN } : here;
  }
  if (await isShort(wanted)) return here;
  if (database.reader !== database.sql && leavesOf(wanted.resolved).length <= FEW_CONDITIONS) {
    const plan = await makePlan({ ...wanted, on: database.sql }, Math.min(AT_ONCE, planning.most));
    if (plan.led) return { on: database.sql, plan };
  }
  const asking = { ...wanted, on: database.reader };
  return { on: database.reader, plan: await makePlan(asking, await fewFor(asking)) };
}

/** Whether a table that is read is so large that the way to go about it matters. */
async function isLarge(
  database: Database,
  resource: Resource,
  resolved: Resolved,
  small: number,
): Promise<boolean> {
  const tables = new Set([resource.table]);
  for (const { steps } of leavesOf(resolved)) for (const { to } of steps) tables.add(to.table);
  for (const table of tables) if ((await database.facts.size(table)) > small) return true;
  return false;
}

/** One row by its uuid, or a page that an index has one after another. */
async function isShort({ database, resource, resolved, restricted, rows, order }: Wanted): Promise<boolean> {
  const leaf = resolved.kind === 'leaf' && resolved.steps.length === 0 ? resolved : undefined;
  if (leaf?.condition.op === '=' && leaf.column === 'uuid') return true;
  if (restricted || rows === undefined || rows > SHORT) return false;
  if (leavesOf(resolved).length === 0) return true;
  // Of a bound, the first rows that pass stand where the index is entered, and no other is looked at.
  const inOneRun = leaf?.condition.op === '=' || (leaf?.column === order && BOUNDS.has(leaf?.condition.op));
  return (
    leaf !== undefined &&
    inOneRun &&
    leaf === alongTheOrder({ resolved, order }) &&
    database.facts.isIndexed(resource.table, leaf.column)
  );
}

const BOUNDS: ReadonlySet<Operator | undefined> = new Set(['>', '>=', '<', '<=']);
