/** The query engine: any resource's inventories by conditions, from its declaration alone. */
import { type RawBuilder, sql } from 'kysely';
import { type Database, type Sql, syntaxOf } from '../database/database.ts';
import { read } from '../database/read.ts';
import type { Syntax } from '../database/syntax.ts';
import type { ParametersOf, QueryMessage } from '../kernel/message.ts';
import { inventoryRelations, type Relation, type Resource } from '../kernel/resource.ts';
import type { Predicate } from './compare.ts';
import { both, compile, NO_PLAN, type Plan, type Restrict } from './compile.ts';
import { readFilter } from './filter.ts';
import { isWalkable, type OrderTerm, orderBy, readOrder, requireOwnField } from './order.ts';
import { PLANNING, type Planning } from './plan.ts';
import { type Resolved, resolve } from './resolve.ts';
import { type Inventory, type Shape, shapeOf } from './shape.ts';
import { waysFor } from './way.ts';

export interface QueryAnswer {
  inventories?: Inventory[];
  /** How many match in all; with `count` or `replyWithCount`. */
  total?: number;
}

type QueryParameters = Partial<ParametersOf<QueryMessage>>;

interface QueryOptions {
  /** Which rows the caller may see at all. */
  restrict?: Restrict;
  planning?: Planning;
}

/** Runs a query; dates in the answer are milliseconds since 1970, members without a value are absent. */
export async function query(
  database: Database,
  resource: Resource,
  parameters: QueryParameters,
  { restrict, planning = PLANNING }: QueryOptions = {},
): Promise<QueryAnswer> {
  const { syntax } = database;
  const expression = readFilter(parameters.conditions ?? [], parameters.where);
  const resolved = resolve(resource, expression, syntax);
  const { start = 0, limit = 1000 } = parameters;
  const order = readOrder(resource, parameters.sortBy, parameters.sortDirection ?? 'asc');
  const names = fieldsToReturn(resource, parameters.fields);
  const shape = shapeOf(resource, names ? [] : listNames(resource), names);

  const from = sql`${sql.table(resource.table)} as t0`;
  const descending = order[0]?.direction === 'desc';
  const wanted = { database, resource, resolved, planning, restricted: restrict !== undefined, descending };
  const where = (plan: Plan, watch: Predicate | undefined) =>
    compile(resolved, { resource, syntax, plan, restrict, watch });
  const total = async () => {
    let total: number | undefined;
    for await (const { on, plan, watch } of waysFor({ ...wanted, rows: undefined, order: undefined })) {
      const counted = sql<{
        total: number;
      }>`select count(*) as total from ${from} where ${where(plan, watch)}`;
      total = (await counted.execute(on)).rows[0]?.total;
    }
    return total ?? 0;
  };
  if (parameters.count) return { total: await total() };

  // Without an index that has them in order, all that pass are found and sorted, for the first page too.
  const inOrder = await isWalkable(database, resource, order);
  const ways = waysFor({ ...wanted, rows: inOrder ? start + limit : undefined, order: order[0]?.name });
  const plain = restrict === undefined ? plainOf(resolved) : undefined;
  let rows: Inventory[] = [];
  let near = database.sql;
  for await (const { on, plan, within, watch } of ways) {
    const found = (passes: RawBuilder<unknown>) => sql<Inventory>`
      select ${sql.raw(selectText(resource, shape))} where ${passes}
      order by ${sql.raw(orderText(on, resource, order, syntax))}${page(limit, start)}`;
    if (plain && plan === NO_PLAN && !within && !watch) {
      const key = `page ${resource.name} ${syntax.name} ${shape.key} ${keyOf(order)} ${limit} ${start} ${plain.key}`;
      const text = remember(key, () => found(where(plan, watch)).compile(on).sql);
      rows = await read<Inventory>(on, text, plain.values);
    } else {
      const passes = both(within, where(plan, watch));
      rows = (await found(passes).execute(on)).rows;
    }
    // The lists of a short page are read sooner than a thread could be asked.
    near = rows.length <= SHORT_PAGE ? database.sql : on;
    if (rows.length === limit) break;
  }
  const inventories = shape.inventories(rows);
  // Lists that are part of the inventory are left out where only some fields are asked for.
  if (!names) await fillLists(near, resource, inventories, restrict);
  return { inventories, ...(parameters.replyWithCount && { total: await total() }) };
}

/** What makes the text of the conditions, and the values that it is asked with; undefined where those make the text too. */
function plainOf(resolved: Resolved): { key: string; values: unknown[] } | undefined {
  const parts = resolved.kind === 'all' ? resolved.parts : [resolved];
  const values: unknown[] = [];
  let key = resolved.kind;
  for (const part of parts) {
    if (part.kind !== 'leaf' || part.steps.length > 0 || !part.test.bound) return undefined;
    key += ` ${part.column}${part.condition.op}`;
    values.push(part.test.bound.value);
  }
  return { key, values };
}

/** Written, not bound: SQLite plans a statement anew whenever a limit is bound to it. */
function page(limit: number, start: number): RawBuilder<unknown> {
  const rows = sql` limit ${sql.lit(limit)}`;
  return start === 0 ? rows : sql`${rows} offset ${sql.lit(start)}`;
}

/** Rows whose related ones are read in a millisecond or two. */
const SHORT_PAGE = 100;

/** Texts of statements by what they are made of; making one takes as long as a short query. */
const knownTexts = new Map<string, string>();
const MOST_TEXTS = 1000;

function remember(key: string, make: () => string): string {
  let text = knownTexts.get(key);
  if (text === undefined) {
    if (knownTexts.size >= MOST_TEXTS) knownTexts.clear();
    text = make();
    knownTexts.set(key, text);
  }
  return text;
}

/** Both databases quote names alike. */
function selectText(resource: Resource, shape: Shape): string {
  return remember(`select ${resource.name} ${shape.key}`, () => {
    const columns = shape.names.map((name) => `"t0"."${name}"`).join(', ');
    return `${columns} from "${resource.table}" as "t0"`;
  });
}

function orderText(on: Sql, resource: Resource, order: readonly OrderTerm[], syntax: Syntax): string {
  return remember(
    `order ${resource.name} ${syntax.name} ${keyOf(order)}`,
    () => orderBy(order, syntax).compile(on).sql,
  );
}

const keyOf = (order: readonly OrderTerm[]) =>
  order.map(({ name, direction }) => `${name} ${direction}`).join();

/** Table rows, with all columns, made inventories: no members without a value, and the lists that are part of one. */
export async function toInventories(
  database: Sql,
  resource: Resource,
  rows: Inventory[],
  restrict?: Restrict,
): Promise<Inventory[]> {
  const inventories = shapeOf(resource, listNames(resource)).inventories(rows);
  await fillLists(database, resource, inventories, restrict);
  return inventories;
}

async function fillLists(
  database: Sql,
  resource: Resource,
  inventories: Inventory[],
  restrict: Restrict | undefined,
): Promise<void> {
  if (inventories.length === 0) return;
  const fills = listsOf(resource).map((list) => () => fill(database, inventories, list, restrict));
  // A transaction has one connection.
  if (database.isTransaction) for (const fill of fills) await fill();
  else await Promise.all(fills.map((fill) => fill()));
}

/** A list that is part of an inventory. */
interface List {
  name: string;
  relation: Relation;
  columns: readonly string[];
}

const knownLists = new WeakMap<Resource, readonly List[]>();

function listsOf(resource: Resource): readonly List[] {
  let lists = knownLists.get(resource);
  if (!lists) {
    lists = inventoryRelations(resource).map(([name, relation]) => {
      const { to, foreign, inventory } = relation;
      const columns = inventory?.pluck === undefined ? Object.keys(to.fields) : [inventory.pluck, foreign];
      return { name, relation, columns };
    });
    knownLists.set(resource, lists);
  }
  return lists;
}

const listNames = (resource: Resource) => listsOf(resource).map(({ name }) => name);

/** Fills the lists with the related rows, in the order in which they came to be. */
async function fill(
  database: Sql,
  owners: Inventory[],
  { name, relation, columns }: List,
  restrict: Restrict | undefined,
): Promise<void> {
  const lists = new Map<unknown, unknown[]>();
  for (const owner of owners) lists.set(owner[relation.local], owner[name] as unknown[]);
  const { to, foreign, inventory } = relation;
  const pluck = inventory?.pluck;
  const syntax = syntaxOf(database);
  const keys = [...lists.keys()] as string[];
  const list = (visible: RawBuilder<unknown>) => sql<Inventory>`
    select ${sql.join(columns.map((column) => sql.ref(column)))} from ${sql.table(to.table)} as t0
    where ${syntax.among(sql.ref(foreign), keys)} and ${visible}
    order by ${sql.join(['createDate', ...to.key].map((column) => sql.ref(column)))}`;
  const visible = restrict?.('t0', to);
  const text = () => list(sql`1 = 1`).compile(database).sql;
  const rows = visible
    ? (await list(visible).execute(database)).rows
    : await read<Inventory>(database, remember(`list ${syntax.name} ${to.name} ${foreign} ${pluck}`, text), [
        syntax.amongValue(keys),
      ]);
  const related = pluck === undefined ? shapeOf(to, []).inventories(rows) : rows;
  for (const row of related) lists.get(row[foreign])?.push(pluck === undefined ? row : row[pluck]);
}

/** Undefined where all are. */
function fieldsToReturn(resource: Resource, asked: string[] | undefined): string[] | undefined {
  if (asked === undefined || asked.length === 0) return undefined;
  for (const name of asked) requireOwnField(resource, name, 'fields');
  return [...new Set(asked)];
}
