/** One condition's test of one column. Values are always bound, never written into the text. */
import { type RawBuilder, sql } from 'kysely';
import type { Syntax } from '../database/syntax.ts';
import { IngotError } from '../kernel/errors.ts';
import type { Field } from '../kernel/field.ts';
import { shorten } from '../kernel/format.ts';
import { parseDate, parseNumber, splitList } from '../kernel/parse.ts';
import { type Condition, OPERATORS, type Operator } from './condition.ts';
import { likePattern, prefixOf } from './pattern.ts';

export type Predicate = RawBuilder<unknown>;

/**
 * The test as SQL.
 * @param free it must not be answered from an index, as another one is to lead (SQLite; PostgreSQL decides itself)
 */
export interface Test {
  (column: Predicate, free: boolean): Predicate;
  /** Set where this is the one value that the test binds, whatever the value is: the text is the same for all. */
  readonly bound?: { readonly value: unknown };
}

const COMPARISONS = {
  '=': sql`=`,
  '!=': sql`<>`,
  '>': sql`>`,
  '>=': sql`>=`,
  '<': sql`<`,
  '<=': sql`<=`,
} as const;

const ORDERING: ReadonlySet<Operator> = new Set(['>', '>=', '<', '<=']);

/** Throws SYS.1007 where the operator or the value doesn't fit the field. */
export function prepareTest(field: Field, condition: Condition, syntax: Syntax): Test {
  const { op } = condition;
  const loose = (column: Predicate, free: boolean) =>
    free && syntax.name === 'sqlite' ? sql`+${column}` : column;
  if (op === 'is null') return (column, free) => sql`${loose(column, free)} is null`;
  if (op === 'is not null') return (column, free) => sql`${loose(column, free)} is not null`;
  // PostgreSQL has no text with it.
  const nul = [condition.value ?? '', ...(condition.values ?? [])].find((text) => text.includes('\0'));
  if (nul !== undefined) throw badValue(condition.name, nul, 'text without NUL characters');
  if (op === 'like' || op === 'not like') {
    const test = prepareLike(field, condition, syntax);
    return (column, free) => {
      const matches = test(loose(column, free), free);
      return op === 'like' ? matches : sql`not (${matches})`;
    };
  }
  if (field.kind === 'boolean' && ORDERING.has(op)) throw misfit(condition, field);
  // A choice is stored as it is declared, so that equality needs no folding.
  const folded = field.kind === 'text' || (field.kind === 'choice' && ORDERING.has(op));
  const value = (text: string) => {
    const read = readValue(condition.name, field, text);
    return folded ? foldAscii(String(read)) : read;
  };
  const left = (column: Predicate, free: boolean) =>
    folded ? syntax.fold(loose(column, free)) : loose(column, free);
  if (op === 'in' || op === 'not in') {
    const items = (condition.values ?? splitList(condition.value ?? '')).map(value);
    if (items.length === 0) return () => (op === 'in' ? sql`1 = 0` : sql`1 = 1`);
    const bound = sql.join(items.map((item) => bind(item, field, syntax)));
    return (column, free) =>
      op === 'in' ? sql`${left(column, free)} in (${bound})` : sql`${left(column, free)} not in (${bound})`;
  }
  const right = value(condition.value ?? '');
  const test = (column: Predicate, free: boolean) =>
    sql`${left(column, free)} ${COMPARISONS[op]} ${bind(right, field, syntax)}`;
  if (op !== '=' || !isCut(field, syntax)) return Object.assign(test, { bound: { value: right } });
  // The index holds the text's beginning only: that is looked up, and then the whole compared.
  return (column, free) =>
    sql`(${syntax.indexed(column, field.max)} = ${startOf(String(right), syntax.indexedLength)} and ${test(column, free)})`;
}

/** Whether indexes hold only the beginning of the field's text. */
function isCut(field: Field, syntax: Syntax): field is Field & { kind: 'text' } {
  return field.kind === 'text' && field.max > syntax.indexedLength;
}

function startOf(folded: string, length: number): Predicate {
  return sql`${[...folded].slice(0, length).join('')}`;
}

function bind(value: unknown, field: Field, syntax: Syntax): Predicate {
  // PostgreSQL would take the type of a parameter from the column, and refuse what goes beyond it.
  const wide = syntax.name === 'postgres' && (field.kind === 'integer' || field.kind === 'date');
  return wide ? sql`cast(${value} as bigint)` : sql`${value}`;
}

function prepareLike(field: Field, condition: Condition, syntax: Syntax): Test {
  if (field.kind !== 'text' && field.kind !== 'choice' && field.kind !== 'uuid')
    throw misfit(condition, field);
  const pattern = foldAscii(likePattern(condition.name, condition.value ?? ''));
  const like = (column: Predicate) =>
    syntax.name === 'sqlite'
      ? // A bare pattern would have SQLite plan the statement anew for every one, to find the range that is given here.
        sql`${column} like +${pattern} escape '\\'`
      : sql`${syntax.fold(column)} like ${pattern} escape '\\'`;
  const prefix = field.kind === 'text' ? prefixOf(pattern).slice(0, syntax.indexedLength) : '';
  const after = nextText(prefix);
  if (prefix === '' || after === undefined || !prefix.isWellFormed()) return like;
  // What begins with the pattern's beginning lies between two texts, which an index finds.
  const max = field.kind === 'text' ? field.max : 0;
  return (column, free) => {
    if (free) return like(column);
    const key = syntax.indexed(column, max);
    return sql`(${key} >= ${prefix} and ${key} < ${after} and ${like(column)})`;
  };
}

/** A text that comes after all that begin with `prefix`, in the order of code points. */
function nextText(prefix: string): string | undefined {
  const characters = [...prefix];
  while (characters.length > 0) {
    const last = characters.pop()?.codePointAt(0) ?? 0;
    if (last >= 0x10ffff) continue;
    // The numbers of surrogates are no characters.
    return characters.join('') + String.fromCodePoint(last === 0xd7ff ? 0xe000 : last + 1);
  }
  return undefined;
}

/** As both databases fold: ASCII letters alone. */
function foldAscii(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/** The written value as the column holds it. */
function readValue(name: string, field: Field, text: string): unknown {
  switch (field.kind) {
    case 'integer': {
      const number = parseNumber(text, field.unit === 'bytes');
      if (number !== undefined) return number;
      throw badValue(
        name,
        text,
        field.unit === 'bytes' ? 'a whole number of bytes, or a size such as 10G' : 'a whole number',
      );
    }
    case 'date': {
      const time = parseDate(text);
      if (time !== undefined) return time;
      throw badValue(name, text, "a date such as 2026-01-31T12:00:00Z or 'Jan 31, 2026 12:00:00 PM'");
    }
    case 'boolean':
      if (/^true$/i.test(text.trim())) return true;
      if (/^false$/i.test(text.trim())) return false;
      throw badValue(name, text, 'true or false');
    case 'uuid':
      // Uuids are always lower case: folding the value is enough.
      return text.toLowerCase();
    case 'choice': {
      const folded = foldAscii(text);
      return Object.keys(field.choices).find((choice) => foldAscii(choice) === folded) ?? text;
    }
    default:
      return text;
  }
}

function badValue(name: string, text: string, expected: string): IngotError {
  return new IngotError(
    'SYS.1007',
    `'${name}' is compared with '${shorten(text)}', which is not ${expected}`,
    {
      opaque: { field: name },
    },
  );
}

function misfit(condition: Condition, field: Field): IngotError {
  return new IngotError(
    'SYS.1007',
    `'${condition.op}' (${OPERATORS[condition.op]}) does not fit '${condition.name}', which is ${field.kind === 'integer' ? 'a number' : `a ${field.kind}`}`,
    { opaque: { field: condition.name } },
  );
}
