/**
 * How to go about a query. A page of a long list can be had in two ways: find the few rows that pass and sort them,
 * or walk along the order and pick the first that pass. Which is quicker depends on how many pass, and neither
 * database knows that of a join (SQLite not even of a value). So it is looked up first, as far as it matters.
 */
import { sql } from 'kysely';
import type { Database, Sql } from '../database/database.ts';
import type { Resource } from '../kernel/resource.ts';
import type { Predicate } from './compare.ts';
import { both, type Join, NO_PLAN, type Plan } from './compile.ts';
import type { Operator } from './condition.ts';
import { type Leaf, leavesOf, type Resolved } from './resolve.ts';

export interface Asking {
  database: Database;
  /** What the rows are counted through. */
  on: Sql;
  resource: Resource;
  resolved: Resolved;
  /** Rows up to the end of the page; undefined where all have to be found, to count or to sort them. */
  rows: number | undefined;
  planning: Planning;
  /** The column that the rows are ordered by first. */
  order: string | undefined;
  /** What is asked of each row first, where it can take long. */
  watch?: Predicate | undefined;
}

/** Before it is known by which of the database's ways it is asked. */
export interface Wanted extends Omit<Asking, 'on' | 'watch'> {
  /** The caller may see only a part, so that it can take long to find a page of it. */
  restricted: boolean;
  descending: boolean;
}

/** So many conditions are looked up; the rest is taken to be true of many. */
const MOST_LOOKED_UP = 12;

/** Where planning begins, in rows. */
export interface Planning {
  /** Tables up to so many rows need no plan. */
  small: number;
  /** Bounds of how many rows count as few. */
  fewest: number;
  most: number;
  /** So many of the first rows are looked at for a page; some milliseconds of the thread that serves calls at worst. */
  first: number;
}

export const PLANNING: Planning = { small: 5000, fewest: 200, most: 30_000, first: 2000 };

/** How many rows count as few: where finding and sorting them costs what walking costs, to the end of the page. */
export async function fewFor({ database, resource, rows, planning }: Asking): Promise<number> {
  const size = await database.facts.size(resource.table);
  const even = rows === undefined ? size / 20 : Math.sqrt(size * rows);
  return Math.round(Math.min(planning.most, Math.max(planning.fewest, even)));
}

/** A plan; with `led`, conditions were found that few rows pass, and lead. */
export async function makePlan(asking: Asking, few: number): Promise<Plan & { led: boolean }> {
  const { planning } = asking;
  const leaves = leavesOf(asking.resolved);
  if (leaves.length === 0) return { ...NO_PLAN, led: false };
  const walk = asking.rows !== undefined;
  const counts = new Map<Leaf, readonly number[]>();
  for (const leaf of leaves.slice(0, MOST_LOOKED_UP)) counts.set(leaf, await levelsOf(asking, leaf, few));
  const small = new Set<string>();
  for (const { to } of leaves.flatMap((leaf) => leaf.steps)) {
    if ((await asking.database.facts.size(to.table)) <= planning.small) small.add(to.table);
  }
  const leading = new Set(leadersOf(asking.resolved, (leaf) => counts.get(leaf)?.[0] ?? UNKNOWN).leaves);
  const led = leading.size > 0;
  if (!led && !walk) for (const leaf of leaves) leading.add(leaf);
  const along = led ? undefined : alongTheOrder(asking);
  if (along) leading.add(along);
  const join = (leaf: Leaf, level: number): Join => {
    if ((counts.get(leaf)?.[level] ?? UNKNOWN) < few) return 'list';
    const whole = leaf.steps.slice(level - 1).every(({ to }) => small.has(to.table));
    return whole ? 'list' : walk ? 'exists' : 'in';
  };
  return { join, leads: (leaf) => leading.has(leaf), walks: walk, led };
}

const UNKNOWN = Number.POSITIVE_INFINITY;

/** The leaves that together choose the fewest rows, and at most how many; none where that isn't known to be few. */
function leadersOf(resolved: Resolved, countOf: (leaf: Leaf) => number): { count: number; leaves: Leaf[] } {
  const nothing = { count: UNKNOWN, leaves: [] };
  if (resolved.kind === 'not') return nothing;
  if (resolved.kind === 'leaf') {
    const count = countOf(resolved);
    return count < UNKNOWN ? { count, leaves: [resolved] } : nothing;
  }
  const parts = resolved.parts.map((part) => leadersOf(part, countOf));
  if (resolved.kind === 'all')
    return parts.reduce((best, part) => (part.count < best.count ? part : best), nothing);
  const count = parts.reduce((sum, part) => sum + part.count, 0);
  return count < UNKNOWN ? { count, leaves: parts.flatMap((part) => part.leaves) } : nothing;
}

/** A condition whose index gives the rows that pass in the order asked for. */
export function alongTheOrder({ resolved, order }: Pick<Asking, 'resolved' | 'order'>): Leaf | undefined {
  const parts = resolved.kind === 'all' ? resolved.parts : [resolved];
  return parts.find(
    (part): part is Leaf =>
      part.kind === 'leaf' &&
      part.steps.length === 0 &&
      (part.column === order
        ? INDEXABLE.has(part.condition.op)
        : order === 'createDate' && part.condition.op === '='),
  );
}

const INDEXABLE: ReadonlySet<Operator> = new Set(['=', '>', '>=', '<', '<=', 'in', 'like', 'is null']);

/** How long what was looked up is believed, in milliseconds; it decides on the way alone. */
const BELIEVED = 10_000;
const MOST_REMEMBERED = 1000;

interface Remembered {
  counts: readonly number[];
  until: number;
}
const remembered = new WeakMap<Database, Map<string, Remembered>>();

async function levelsOf(asking: Asking, leaf: Leaf, few: number): Promise<readonly number[]> {
  let known = remembered.get(asking.database);
  if (!known) {
    known = new Map();
    remembered.set(asking.database, known);
  }
  const key = JSON.stringify([asking.resource.name, leaf.condition, leaf.none, few]);
  const found = known.get(key);
  if (found && found.until > performance.now()) return found.counts;
  const counts = await countLevels(asking, leaf, few);
  if (known.size >= MOST_REMEMBERED) known.delete(known.keys().next().value ?? '');
  known.set(key, { counts, until: performance.now() + BELIEVED });
  return counts;
}

/** How many rows pass at each level of the leaf's path, 0 being the resource itself; infinite where more than few, or unknown. */
async function countLevels(asking: Asking, leaf: Leaf, few: number): Promise<readonly number[]> {
  const { database, resource } = asking;
  const depth = leaf.steps.length;
  const counts: number[] = new Array(depth + 1).fill(UNKNOWN);
  const tableAt = (level: number) => leaf.steps[level - 1]?.to ?? resource;
  if (!(await isLookedUp(asking, tableAt(depth), leaf))) return counts;

  // From the far end inwards, each level is counted from the keys of the one beyond; no more than a few are asked for.
  const levels: { level: number; rows: Predicate }[] = [];
  const condition = both(asking.watch, leaf.test(sql.ref(leaf.column), false));
  levels.push({ level: depth, rows: rowsOf(tableAt(depth), leaf.steps[depth - 1]?.foreign, condition, few) });
  const inner = leaf.none ? depth : 0;
  for (let level = depth - 1; level >= inner; level--) {
    const local = leaf.steps[level]?.local ?? '';
    const at = tableAt(level);
    if (
      (await database.facts.size(at.table)) > asking.planning.small &&
      !(await database.facts.isIndexed(at.table, local))
    )
      break;
    const beyond = sql`${sql.ref(local)} in (select k from ${sql.id(`l${level + 1}`)})`;
    levels.push({ level, rows: rowsOf(at, leaf.steps[level - 1]?.foreign, beyond, few) });
  }
  const { rows } = await sql<Record<string, number>>`
    with ${sql.join(levels.map(({ level, rows }) => sql`${sql.id(`l${level}`)} as materialized (${rows})`))}
    select ${sql.join(levels.map(({ level }) => sql`(select count(*) from ${sql.id(`l${level}`)}) as ${sql.id(`c${level}`)}`))}`.execute(
    asking.on,
  );
  for (const { level } of levels) {
    const count = rows[0]?.[`c${level}`] ?? UNKNOWN;
    // Where there are more than few, what lies before it has been counted from some of them only.
    if (count >= few) break;
    counts[level] = count;
  }
  return counts;
}

function rowsOf(resource: Resource, key: string | undefined, condition: Predicate, few: number): Predicate {
  const column = sql.ref(key ?? resource.key[0] ?? 'uuid');
  return sql`select ${column} as k from ${sql.table(resource.table)} where ${condition} limit ${sql.lit(few)}`;
}

/** Whether the rows that pass the leaf's test can be found without reading a large table. */
async function isLookedUp({ database, planning }: Asking, at: Resource, leaf: Leaf): Promise<boolean> {
  if ((await database.facts.size(at.table)) <= planning.small) return true;
  const { op, value = '' } = leaf.condition;
  if (!INDEXABLE.has(op) || (op === 'like' && (leaf.field.kind !== 'text' || /^[%_]|^$/.test(value))))
    return false;
  return database.facts.isIndexed(at.table, leaf.column);
}
