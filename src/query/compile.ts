/** From resolved conditions to one SQL expression. */
import { sql } from 'kysely';
import type { Syntax } from '../database/syntax.ts';
import type { Resource } from '../kernel/resource.ts';
import type { Predicate } from './compare.ts';
import { type Leaf, leavesOf, type Resolved } from './resolve.ts';

/**
 * Which rows of a resource may be seen at all, as a predicate over its table's alias; undefined for all. It holds
 * for every table that a query touches, so that nothing can be learnt over a join.
 */
export type Restrict = (alias: string, resource: Resource) => Predicate | undefined;

/**
 * How the rows beyond a step are looked at.
 * - `in`: as the database likes.
 * - `list`: they are few, and are found first.
 * - `exists`: they are many, and are looked up one row at a time.
 */
export type Join = 'in' | 'list' | 'exists';

/** How a query goes about it; the answer is the same with any. */
export interface Plan {
  /** For the step to the given level of the leaf's path, 1 being the first. */
  join(leaf: Leaf, level: number): Join;
  /** Whether an index on what the leaf names may choose the rows. */
  leads(leaf: Leaf): boolean;
  /** Rows are taken in order until there are enough. */
  walks: boolean;
}

/** Leaves everything to the database. */
export const NO_PLAN: Plan = { join: () => 'in', leads: () => true, walks: false };

export interface Compiling {
  resource: Resource;
  syntax: Syntax;
  plan: Plan;
  restrict: Restrict | undefined;
  /** What is asked of each row first, of whichever table. */
  watch: Predicate | undefined;
}

/** True for the rows of the resource's table, by the name `t0`, that pass. */
export function compile(resolved: Resolved, compiling: Compiling): Predicate {
  const own = compiling.restrict?.('t0', compiling.resource);
  return both(compiling.watch, both(own, compileAll(resolved, compiling)));
}

export function both(first: Predicate | undefined, second: Predicate): Predicate {
  return first ? sql`${first} and ${second}` : second;
}

/** A database plans the more slowly the more conditions it could go by, with the square of their number and worse. */
const MOST_SHOWN = 64;

function compileAll(resolved: Resolved, compiling: Compiling): Predicate {
  const [shown, hidden] = divide(resolved, compiling);
  if (hidden.length === 0) return compileResolved(resolved, compiling);
  const plan: Plan = { ...compiling.plan, leads: () => false };
  const passes = compileResolved({ kind: 'all', parts: hidden }, { ...compiling, plan });
  // What stands inside is evaluated, and not gone by. PostgreSQL looks at it as what is true of half.
  const test =
    compiling.syntax.name === 'postgres'
      ? sql`case when ${passes} then true else false end`
      : sql`(${passes}) is true`;
  if (shown.length === 0) return test;
  return sql`${compileResolved({ kind: 'all', parts: shown }, compiling)} and ${test}`;
}

/** The parts that the database is to see as they are, and the others. */
function divide(resolved: Resolved, { plan, syntax }: Compiling): [shown: Resolved[], hidden: Resolved[]] {
  const parts = resolved.kind === 'all' ? resolved.parts : [resolved];
  const leads = new Set(parts.filter((part) => leavesOf(part).some((leaf) => plan.leads(leaf))));
  // PostgreSQL takes each condition to be true of a part of the rows, and of many to be true of none; then it would
  // sort the whole table instead of walking.
  const onlyLeading = plan.walks && syntax.name === 'postgres';
  const shown = new Set<Resolved>();
  let room = MOST_SHOWN;
  for (const part of [...leads, ...(onlyLeading ? [] : parts)]) {
    const count = shown.has(part) ? 0 : leavesOf(part).length;
    if (count > room) continue;
    shown.add(part);
    room -= count;
  }
  return [parts.filter((part) => shown.has(part)), parts.filter((part) => !shown.has(part))];
}

function compileResolved(resolved: Resolved, compiling: Compiling): Predicate {
  switch (resolved.kind) {
    case 'leaf':
      return compileLeaf(resolved, 0, compiling);
    case 'not':
      // What is neither true nor false, as a comparison with no value, is not true.
      return sql`(${compileResolved(resolved.part, compiling)}) is not true`;
    default: {
      const parts = resolved.parts.map((part) => compileResolved(part, compiling));
      return resolved.kind === 'all'
        ? joinEvenly(parts, ' and ', '1 = 1')
        : joinEvenly(parts, ' or ', '1 = 0');
    }
  }
}

/** Semi-joins: a row counts once however many related rows match, and none is ever returned twice. */
function compileLeaf(leaf: Leaf, level: number, compiling: Compiling): Predicate {
  const { plan, restrict, syntax } = compiling;
  const alias = `t${level}`;
  const step = leaf.steps[level];
  // Rows that something else chooses are only looked at, one by one.
  const free = level === 0 ? !plan.leads(leaf) : plan.join(leaf, level) === 'exists';
  if (!step) return leaf.test(sql.ref(`${alias}.${leaf.column}`), free);
  const next = `t${level + 1}`;
  const from = sql.ref(`${alias}.${step.local}`);
  const to = sql.ref(`${next}.${step.foreign}`);
  const table = sql`${sql.table(step.to.table)} as ${sql.id(next)}`;
  const beyond = compileLeaf(leaf, level + 1, compiling);
  const passes = both(compiling.watch, both(restrict?.(next, step.to), beyond));
  const none = leaf.none && level === leaf.steps.length - 1;
  const negation = none ? sql`not ` : sql``;
  const postgres = syntax.name === 'postgres';
  const join = plan.join(leaf, level + 1);
  // PostgreSQL would keep all rows of a `not in` in memory, or begin anew for each row.
  if (join === 'exists' || (none && postgres)) {
    // It would also make a join of what is to be looked up row by row, but not where there is an offset.
    const fence = postgres && join === 'exists' ? sql` offset 0` : sql``;
    return sql`${negation}exists (select 1 from ${table} where ${to} = ${from} and ${passes}${fence})`;
  }
  const rows = sql`select ${to} from ${table} where ${passes}`;
  // An array is made once, and its elements are looked up by index whatever the statistics say.
  if (postgres && join === 'list') return sql`${from} = any(array(${rows}))`;
  return sql`${free && !postgres ? sql`+${from}` : from} ${negation}in (${rows})`;
}

/** Joined in halves of halves: SQLite takes an expression that is a thousand deep, and no deeper. */
function joinEvenly(parts: readonly Predicate[], by: ' and ' | ' or ', empty: string): Predicate {
  if (parts.length === 0) return sql.raw(empty);
  if (parts.length === 1 && parts[0]) return parts[0];
  if (parts.length <= 8) return sql`(${sql.join(parts, sql.raw(by))})`;
  const middle = parts.length >> 1;
  return sql`(${joinEvenly(parts.slice(0, middle), by, empty)}${sql.raw(by)}${joinEvenly(parts.slice(middle), by, empty)})`;
}
