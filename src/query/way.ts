/** Which way a query goes: by which plan, and on which thread. */
import type { Database, Sql } from '../database/database.ts';
import type { Field } from '../kernel/field.ts';
import type { Resource } from '../kernel/resource.ts';
import type { Predicate } from './compare.ts';
import { NO_PLAN, type Plan } from './compile.ts';
import type { Operator } from './condition.ts';
import { firstRows, noteInVain } from './first-rows.ts';
import { prefixOf, triedBytes } from './pattern.ts';
import { alongTheOrder, fewFor, makePlan, type Wanted } from './plan.ts';
import { type Leaf, leavesOf, type Resolved } from './resolve.ts';

export interface Way {
  on: Sql;
  plan: Plan;
  /** Where only the first rows of the order are looked at: whether a row is one of them. A full page is the answer. */
  within?: Predicate;
  /** Where it can take long: what is to be asked of each row first. */
  watch?: Predicate | undefined;
}

/** Rows that are read and passed on in some ten milliseconds. */
const SHORT = 1000;
/** So few rows, found over so few conditions, take less time than a thread needs to be asked. */
const AT_ONCE = 100;
const FEW_CONDITIONS = 4;
/** SQLite takes a second to read ten thousand, however small the table. */
const MANY_CONDITIONS = 200;
/** Characters that patterns are compared with in some hundred milliseconds; of most texts, it is a small part of them. */
const MOST_COMPARED = 100_000_000;

/** The ways to try, one after another until one has the answer; the last one surely has. */
export async function* waysFor(wanted: Wanted): AsyncGenerator<Way, void, void> {
  const { database, planning } = wanted;
  const here = { on: database.sql, plan: NO_PLAN };
  if (await isShort(wanted)) {
    yield here;
    return;
  }
  const leaves = leavesOf(wanted.resolved);
  const isLong = leaves.length > MANY_CONDITIONS || (await comparedBy(wanted, leaves)) > MOST_COMPARED;
  const watch = isLong ? database.syntax.inTime : undefined;
  if (!(await isLarge(database, wanted.resource, wanted.resolved, planning.small))) {
    yield isLong ? { on: database.reader, plan: NO_PLAN, watch } : here;
    return;
  }
  if (!isLong && database.syntax.name === 'sqlite' && leaves.length <= FEW_CONDITIONS) {
    const plan = await makePlan({ ...wanted, on: database.sql }, Math.min(AT_ONCE, planning.most));
    if (plan.led) {
      yield { on: database.sql, plan };
      return;
    }
    const within = await firstRows(wanted);
    if (within) {
      yield { on: database.sql, plan, within };
      noteInVain(wanted);
    }
  }
  const asking = { ...wanted, on: database.reader, watch };
  yield { on: database.reader, plan: await makePlan(asking, await fewFor(asking)), watch };
}

/** How many characters the patterns are compared with at worst, on the thread that serves calls. */
async function comparedBy(
  { database, resource, planning }: Wanted,
  leaves: readonly Leaf[],
): Promise<number> {
  let compared = 0;
  for (const { condition, field, steps } of leaves) {
    const tried = triedBytes(condition);
    if (tried === 0) continue;
    const size = await database.facts.size((steps.at(-1)?.to ?? resource).table);
    // Of a large table that thread looks at the first rows only, or at those that begin as the pattern does.
    const begins = prefixOf(condition.value ?? '') !== '';
    const rows = begins ? size : Math.min(size, Math.max(planning.small, planning.first));
    compared += tried * longestOf(field) * rows;
  }
  return compared;
}

/** Characters of the longest value. */
const longestOf = (field: Field) => (field.kind === 'text' ? field.max : 64);

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
