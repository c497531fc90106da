/** Queries answered over plain arrays, by their meaning and with none of the engine: what the engine is compared with. */
import type { Field } from '../../src/kernel/field.ts';
import type { Relation, Resource } from '../../src/kernel/resource.ts';

export type Row = Record<string, unknown>;
/** Rows by table. */
export type World = Readonly<Record<string, readonly Row[]>>;

export interface Test {
  path: string;
  op: string;
  /** Of in and not in several, of the null tests none. */
  values: readonly string[];
}

export type Tree = { test: Test } | { all: Tree[] } | { any: Tree[] } | { not: Tree };

export interface SortTerm {
  name: string;
  direction: 'asc' | 'desc';
}

export function answer(world: World, resource: Resource, tree: Tree, sort: readonly SortTerm[]): Row[] {
  const terms = [...sort];
  const way = terms.at(-1)?.direction ?? 'asc';
  for (const name of ['createDate', ...resource.key]) {
    if (!terms.some((term) => term.name === name)) terms.push({ name, direction: way });
  }
  return (world[resource.table] ?? [])
    .filter((row) => holds(world, resource, row, tree))
    .sort((one, other) => {
      for (const { name, direction } of terms) {
        const order = compare(sortKey(one[name]), sortKey(other[name]));
        if (order !== 0) return direction === 'asc' ? order : -order;
      }
      return 0;
    });
}

function holds(world: World, resource: Resource, row: Row, tree: Tree): boolean {
  if ('all' in tree) return tree.all.every((each) => holds(world, resource, row, each));
  if ('any' in tree) return tree.any.some((each) => holds(world, resource, row, each));
  if ('not' in tree) return !holds(world, resource, row, tree.not);
  const names = tree.test.path.split('.');
  return passes(world, resource, row, names, tree.test);
}

function passes(world: World, resource: Resource, row: Row, names: readonly string[], test: Test): boolean {
  const [name = '', ...rest] = names;
  const alias = resource.aliases[name];
  if (alias) return passes(world, resource, row, [...alias, ...rest], test);
  if (name === '__userTag__' || name === '__systemTag__') {
    const tags = (world[name === '__userTag__' ? 'userTag' : 'systemTag'] ?? []).filter(
      (tag) => tag.resourceUuid === row.uuid,
    );
    if (test.op === 'is null') return tags.length === 0;
    if (test.op === 'is not null') return tags.length > 0;
    const positive = { '!=': '=', 'not in': 'in', 'not like': 'like' }[test.op];
    const field = { kind: 'text' } as Field;
    const some = tags.some((tag) => valuePasses(tag.tag, field, positive ?? test.op, test.values));
    return positive === undefined ? some : !some;
  }
  const relation = resource.relations[name];
  if (relation) {
    const next = rest.length === 0 ? [relation.inventory?.pluck ?? ''] : rest;
    return related(world, row, relation).some((other) => passes(world, relation.to, other, next, test));
  }
  return valuePasses(row[name], resource.fields[name] as Field, test.op, test.values);
}

function related(world: World, row: Row, relation: Relation): readonly Row[] {
  return (world[relation.to.table] ?? []).filter((other) => other[relation.foreign] === row[relation.local]);
}

function valuePasses(value: unknown, field: Field, op: string, written: readonly string[]): boolean {
  if (op === 'is null') return value === null;
  if (op === 'is not null') return value !== null;
  // Nothing is neither the same as a value nor another one.
  if (value === null) return false;
  const own = sortKey(value);
  const meant = written.map((text) => meaning(text, field));
  const [first] = meant;
  switch (op) {
    case '=':
      return own === first;
    case '!=':
      return own !== first;
    case 'in':
      return meant.includes(own);
    case 'not in':
      return !meant.includes(own);
    case 'like':
      return matches(String(own), fold(written[0] ?? ''));
    case 'not like':
      return !matches(String(own), fold(written[0] ?? ''));
  }
  const order = compare(own, first);
  return op === '>' ? order > 0 : op === '>=' ? order >= 0 : op === '<' ? order < 0 : order <= 0;
}

function meaning(text: string, field: Field): unknown {
  if (field.kind === 'integer' || field.kind === 'date') {
    const [, digits, unit] = /^(\d+)([KM]?)$/.exec(text) ?? [];
    if (digits === undefined) return Date.parse(text);
    return Number(digits) * (unit === 'K' ? 1024 : unit === 'M' ? 1024 ** 2 : 1);
  }
  return field.kind === 'boolean' ? text === 'true' : fold(text);
}

function fold(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

function sortKey(value: unknown): unknown {
  return typeof value === 'string' ? fold(value) : value;
}

/** Nothing before everything; text by its code points. */
function compare(one: unknown, other: unknown): number {
  if (one === other) return 0;
  if (one === null || other === null) return one === null ? -1 : 1;
  if (typeof one === 'string' && typeof other === 'string') {
    return Buffer.compare(Buffer.from(one), Buffer.from(other));
  }
  return Number(one) - Number(other);
}

/** `%` any run, `_` one character, a backslash takes the next one as it is; at the end it means itself. */
function matches(text: string, pattern: string): boolean {
  const characters = [...text];
  const match = (at: number, rest: readonly string[]): boolean => {
    const [head, ...tail] = rest;
    if (head === undefined) return at === characters.length;
    if (head === '%') {
      for (let next = at; next <= characters.length; next++) if (match(next, tail)) return true;
      return false;
    }
    if (at === characters.length) return false;
    if (head === '_') return match(at + 1, tail);
    if (head === '\\' && tail.length > 0) return characters[at] === tail[0] && match(at + 1, tail.slice(1));
    return characters[at] === head && match(at + 1, tail);
  };
  return match(0, [...pattern]);
}
