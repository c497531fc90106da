/** Conditions as they are written, and what they mean. The operators stand in one table; every spelling leads there. */
import { IngotError } from '../kernel/errors.ts';
import { shorten } from '../kernel/format.ts';
import { didYouMean } from '../kernel/nearest.ts';

export const OPERATORS = {
  '=': 'is',
  '!=': 'is not',
  '>': 'is greater than',
  '>=': 'is at least',
  '<': 'is less than',
  '<=': 'is at most',
  in: 'is one of',
  'not in': 'is none of',
  like: 'matches',
  'not like': 'does not match',
  'is null': 'has no value',
  'is not null': 'has a value',
} as const;

export type Operator = keyof typeof OPERATORS;

/** The REST and command-line spellings of operators that differ from the message form. */
const SIGNS: Record<string, Operator> = {
  '?=': 'in',
  '!?=': 'not in',
  '~=': 'like',
  '!~=': 'not like',
  'not null': 'is not null',
};

export interface Condition {
  /** A field, or a path to one: `name`, `backupStorage.zone.name`. */
  name: string;
  op: Operator;
  /** Absent for the null tests. */
  value?: string;
  /** Of in and not in: the values one by one, where they were given so. */
  values?: string[];
}

/** The most characters of one condition. */
const LONGEST = 65_536;

const NAME = /^\s*([A-Za-z_][A-Za-z0-9_.]*)/;
// Leftmost operator, longest match there (zstack-api.md 1.11).
const SIGN = /^\s*(!\?=|!~=|\?=|~=|!=|>=|<=|=|>|<)/;
const NULL_TEST = /^\s+(is\s+null|is\s+not\s+null|not\s+null)\s*$/i;

/** Parses `name~=centos%`, `description is null`, or takes a `{name, op, value}` object as it comes in messages. */
export function parseCondition(written: unknown): Condition {
  if (typeof written === 'object' && written !== null) return conditionFromObject(written);
  const text = String(written);
  if (text.length > LONGEST) {
    throw new IngotError(
      'SYS.1007',
      `a condition may have at most ${LONGEST} characters, but one has ${text.length}`,
    );
  }
  const name = NAME.exec(text);
  if (!name?.[1]) throw malformed(text, 0, 'a field name is expected here');
  const rest = text.slice(name[0].length);
  const nullTest = NULL_TEST.exec(rest);
  if (nullTest?.[1]) {
    return { name: name[1], op: operatorOf(nullTest[1].toLowerCase().replace(/\s+/g, ' ')) };
  }
  const sign = SIGN.exec(rest);
  if (!sign?.[1])
    throw malformed(text, name[0].length, 'an operator such as =, !=, >, ~=, ?= is expected here');
  return { name: name[1], op: operatorOf(sign[1]), value: rest.slice(sign[0].length) };
}

function conditionFromObject(object: object): Condition {
  const { name, op, value } = object as Record<string, unknown>;
  if (typeof name !== 'string' || typeof op !== 'string') {
    throw new IngotError(
      'SYS.1007',
      `a condition needs 'name' and 'op', but is ${shorten(JSON.stringify(object))}`,
    );
  }
  const operator = operatorOf(op.trim());
  if (operator === 'is null' || operator === 'is not null') return { name, op: operator };
  const about = `the condition on '${shorten(name)}' with '${operator}'`;
  if (value === undefined || value === null) throw new IngotError('SYS.1007', `${about} needs a 'value'`);
  const items = operator === 'in' || operator === 'not in' ? [value].flat() : [value];
  const odd = items.find((item) => typeof item === 'object');
  if (odd !== undefined) {
    throw new IngotError(
      'SYS.1007',
      `${about} takes text, a number, true or false, but has ${shorten(JSON.stringify(odd))}`,
    );
  }
  if (Array.isArray(value)) {
    return { name, op: operator, value: items.map(escapeItem).join(','), values: items.map(String) };
  }
  return { name, op: operator, value: String(value) };
}

/** A list item as it stands in a comma list. */
export function escapeItem(item: unknown): string {
  return String(item).replaceAll('\\', '\\\\').replaceAll(',', '\\,');
}

/** The operator that a spelling stands for; SYS.1007 where there is none. */
export function operatorOf(spelling: string): Operator {
  const op = SIGNS[spelling] ?? spelling;
  if (Object.hasOwn(OPERATORS, op)) return op as Operator;
  const known = [...Object.keys(OPERATORS), ...Object.keys(SIGNS)];
  throw new IngotError(
    'SYS.1007',
    `there is no operator '${shorten(spelling)}'${didYouMean(spelling, known)}`,
    { elaboration: `There are: ${known.join(' ')}` },
  );
}

function malformed(text: string, position: number, problem: string): IngotError {
  return new IngotError(
    'SYS.1007',
    `the condition '${shorten(text)}' can't be read: at position ${position + 1}, ${problem}`,
  );
}
