/** The query grammar: what is nearly an expression, as text and as separate conditions. */
import fc from 'fast-check';
import { POSTGRES_SYNTAX } from '../../src/database/postgres.ts';
import { SQLITE_SYNTAX } from '../../src/database/sqlite.ts';
import { Image } from '../../src/image/image.ts';
import { IngotError } from '../../src/kernel/errors.ts';
import { readFilter } from '../../src/query/filter.ts';
import { readOrder } from '../../src/query/order.ts';
import { resolve } from '../../src/query/resolve.ts';
import { target } from './target.ts';

interface Input {
  where: string;
  conditions: string[];
  sort: string;
}

const NAMES = [
  'name',
  'uuid',
  'size',
  'state',
  'createDate',
  'system',
  '__userTag__',
  '__systemTag__',
  'backupStorage.zone.name',
  'backupStorageRefs.installPath',
  'volume.vmNicUuid',
  '.',
  'a..b',
  '__proto__',
  'constructor',
];
const SIGNS = [
  '=',
  '!=',
  '>',
  '>=',
  '<',
  '<=',
  '~=',
  '!~=',
  '?=',
  '!?=',
  ' like ',
  ' not like ',
  ' in ',
  ' not in ',
  ' is null',
  ' is not null',
  ' not null',
  '==',
  '<>',
  '=~',
];
const VALUES = [
  '1',
  '-1',
  '10G',
  '1e309',
  'true',
  'null',
  "'it''s'",
  '"x"',
  '%',
  '\\',
  "'",
  '(',
  ')',
  '(a,b)',
  ',',
  '2026-01-01',
  'Jan 1, 2026',
  '9'.repeat(40),
  '\u0000',
  '🦊',
  '\ud800',
  '.*',
  "';--",
];
const JOINTS = [' and ', ' or ', ' not ', 'NOT(', '(', ')', ' AND\n', ' ', ''];

export const queryText: fc.Arbitrary<string> = fc
  .array(
    fc.oneof(
      fc
        .tuple(fc.constantFrom(...NAMES), fc.constantFrom(...SIGNS), fc.constantFrom(...VALUES))
        .map((part) => part.join('')),
      fc.constantFrom(...JOINTS),
      fc.constantFrom(...NAMES, ...SIGNS, ...VALUES),
      fc.string({ maxLength: 8, unit: 'binary' }),
    ),
    { maxLength: 12 },
  )
  .map((parts) => parts.join(''));

const deep = fc
  .tuple(fc.constantFrom('(', 'not ', 'not(', 'a=1 and (', '((a=1)or'), fc.nat(5000), queryText)
  .map(([part, times, rest]) => part.repeat(times) + rest);

export const queryTarget = target<Input>({
  name: 'query',
  inputs: fc.record({
    where: fc.oneof({ weight: 9, arbitrary: queryText }, { weight: 1, arbitrary: deep }),
    conditions: fc.array(queryText, { maxLength: 3 }),
    sort: queryText,
  }),
  run({ where, conditions, sort }) {
    for (const [all, text] of [
      [[], where],
      [conditions, undefined],
      [conditions, where],
    ] as const) {
      inOrder(() => {
        const expression = readFilter(all, text);
        for (const syntax of [SQLITE_SYNTAX, POSTGRES_SYNTAX]) resolve(Image, expression, syntax);
      });
    }
    inOrder(() => readOrder(Image, sort, 'asc'));
  },
});

/** It may be refused, as what it is: a wrong argument. */
function inOrder(step: () => void): void {
  try {
    step();
  } catch (error) {
    if (!(error instanceof IngotError) || !['SYS.1007', 'SYS.1003'].includes(error.code)) throw error;
  }
}
