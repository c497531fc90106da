/** The order of a query's rows: by the named fields, then by age and key, so that it is always the same. */
import { sql } from 'kysely';
import type { Database } from '../database/database.ts';
import type { Syntax } from '../database/syntax.ts';
import { IngotError } from '../kernel/errors.ts';
import type { Field } from '../kernel/field.ts';
import { shorten } from '../kernel/format.ts';
import { didYouMean } from '../kernel/nearest.ts';
import type { Resource } from '../kernel/resource.ts';
import type { Predicate } from './compare.ts';

export interface OrderTerm {
  name: string;
  field: Field;
  direction: Direction;
}

type Direction = 'asc' | 'desc';

const MOST_FIELDS = 16;

/** From `name,-createDate`: each field with + or - before it, or in the given direction. */
export function readOrder(resource: Resource, sortBy: string | undefined, direction: Direction): OrderTerm[] {
  const terms: OrderTerm[] = [];
  const add = (name: string, field: Field, way: Direction) => {
    if (!terms.some((term) => term.name === name)) terms.push({ name, field, direction: way });
  };
  const written = sortBy === undefined || sortBy.trim() === '' ? [] : sortBy.split(',');
  if (written.length > MOST_FIELDS) {
    throw new IngotError(
      'SYS.1007',
      `'sortBy' takes at most ${MOST_FIELDS} fields, but has ${written.length}`,
      {
        opaque: { parameter: 'sortBy' },
      },
    );
  }
  for (const part of written) {
    const [, sign, name = ''] = /^\s*([+-]?)\s*(.*?)\s*$/s.exec(part) ?? [];
    const way = sign === '' ? direction : sign === '-' ? 'desc' : 'asc';
    add(name, requireOwnField(resource, name, 'sortBy'), way);
  }
  // The rest goes the same way, so that an index can be walked in either direction.
  const way = terms.at(-1)?.direction ?? direction;
  for (const name of ['createDate', ...resource.key]) {
    const field = resource.fields[name];
    if (field) add(name, field, way);
  }
  return terms;
}

/** No value comes before any. */
export function orderBy(terms: readonly OrderTerm[], syntax: Syntax): Predicate {
  return sql.join(
    terms.map(({ name, field, direction }) => {
      const column = sql.ref(`t0.${name}`);
      const key = field.kind === 'text' || field.kind === 'choice' ? syntax.fold(column) : column;
      const nulls =
        field.presence === 'optional' ? (direction === 'asc' ? sql` nulls first` : sql` nulls last`) : sql``;
      return sql`${key} ${direction === 'asc' ? sql`asc` : sql`desc`}${nulls}`;
    }),
  );
}

/** Whether an index has the rows in this order. */
export async function isWalkable(
  database: Database,
  resource: Resource,
  terms: readonly OrderTerm[],
): Promise<boolean> {
  const [first] = terms;
  if (!first || new Set(terms.map((term) => term.direction)).size > 1) return false;
  const age = terms.findIndex((term) => term.name === 'createDate');
  if (age > 1 || first.field.kind === 'choice') return false;
  if (first.field.kind === 'text' && first.field.max > database.syntax.indexedLength) return false;
  return database.facts.isIndexed(resource.table, first.name);
}

export function requireOwnField(resource: Resource, name: string, parameter: string): Field {
  const field = Object.hasOwn(resource.fields, name) ? resource.fields[name] : undefined;
  if (!field) {
    throw new IngotError(
      'SYS.1007',
      `'${parameter}' takes ${resource.name}'s own fields, and '${shorten(name)}' is none${didYouMean(name, Object.keys(resource.fields))}`,
      { opaque: { parameter } },
    );
  }
  return field;
}
