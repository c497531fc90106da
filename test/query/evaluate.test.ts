/** The query engine against a plain evaluation in memory: the same rows, in the same order, on both databases. */
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import fc from 'fast-check';
import type { Database } from '../../src/database/database.ts';
import { Image } from '../../src/image/image.ts';
import { query } from '../../src/query/query.ts';
import { onBothDatabases } from '../database/both-databases.ts';
import { imageRow, insertCopy, insertStorage } from './fill.ts';

type Row = ReturnType<typeof imageRow>;
/** A row and the names of the storages that have a copy. */
type Stored = Row & { storages: string[] };
type Value = string | number | boolean | null;
interface Test {
  name: string;
  op: string;
  value: string;
}

const STORAGES = ['one', 'Two', 'three'];
// Few letters, so that much is equal.
const word = fc.string({ unit: fc.constantFrom('a', 'B', 'b', 'é', '_', '%'), minLength: 1, maxLength: 3 });
const row = fc
  .record({
    name: word,
    description: fc.option(word),
    guestOsType: fc.option(fc.constantFrom('Linux', 'linux', 'BSD')),
    size: fc.integer({ min: 0, max: 4 }),
    state: fc.constantFrom('Enabled' as const, 'Disabled' as const),
    system: fc.boolean(),
    createDate: fc.integer({ min: 1_000_000_000_000, max: 1_000_000_000_003 }),
    storages: fc.subarray(STORAGES),
  })
  .map(({ storages, ...values }) => ({ ...imageRow(values), storages }) satisfies Stored);

const textTest = fc.record({
  name: fc.constantFrom('name', 'description', 'guestOsType', 'state', 'backupStorage.name'),
  op: fc.constantFrom(
    '=',
    '!=',
    '>',
    '>=',
    '<',
    '<=',
    'in',
    'not in',
    'like',
    'not like',
    'is null',
    'is not null',
  ),
  value: fc.oneof(word, fc.constantFrom('linux', 'ENABLED', 'one', 'tWO', 'a,b', 'b%', '_', '\\%')),
});
const numberTest = fc.record({
  name: fc.constantFrom('size', 'createDate'),
  op: fc.constantFrom('=', '!=', '>', '>=', '<', '<=', 'is null', 'is not null'),
  value: fc.integer({ min: 0, max: 4 }).map(String),
});
const test: fc.Arbitrary<Test> = fc
  .oneof(
    textTest,
    numberTest,
    fc.record({
      name: fc.constant('system'),
      op: fc.constantFrom('=', '!='),
      value: fc.constantFrom('true', 'false'),
    }),
  )
  .map((one) => (one.name === 'createDate' ? { ...one, value: `100000000000${one.value}` } : one));

const fold = (text: string) => text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());

function compare(one: Value, other: Value): number {
  if (typeof one === 'string' && typeof other === 'string') {
    return Buffer.compare(Buffer.from(fold(one)), Buffer.from(fold(other)));
  }
  return Number(one) - Number(other);
}

function matches(text: string, pattern: string): boolean {
  let expression = '';
  for (let i = 0; i < pattern.length; i++) {
    let letter = pattern[i] as string;
    if (letter === '%') expression += '.*';
    else if (letter === '_') expression += '.';
    else {
      if (letter === '\\' && i + 1 < pattern.length) letter = pattern[++i] as string;
      expression += RegExp.escape(fold(letter));
    }
  }
  return new RegExp(`^${expression}$`, 'su').test(fold(text));
}

function holds(value: Value, { op, value: written }: Test): boolean {
  if (op === 'is null') return value === null;
  if (op === 'is not null') return value !== null;
  if (value === null) return false;
  const read = (text: string): Value =>
    typeof value === 'number' ? Number(text) : typeof value === 'boolean' ? text === 'true' : text;
  const isOneOf = () => written.split(',').some((item) => compare(value, read(item)) === 0);
  switch (op) {
    case '=':
      return compare(value, read(written)) === 0;
    case '!=':
      return compare(value, read(written)) !== 0;
    case '>':
      return compare(value, read(written)) > 0;
    case '>=':
      return compare(value, read(written)) >= 0;
    case '<':
      return compare(value, read(written)) < 0;
    case '<=':
      return compare(value, read(written)) <= 0;
    case 'in':
      return isOneOf();
    case 'not in':
      return !isOneOf();
    case 'like':
      return matches(String(value), written);
    default:
      return !matches(String(value), written);
  }
}

function evaluate(rows: Stored[], tests: Test[], sortBy: keyof Row, desc: boolean): string[] {
  const found = rows.filter((each) =>
    tests.every((one) =>
      one.name === 'backupStorage.name'
        ? each.storages.some((name) => holds(name, one))
        : holds(each[one.name as keyof Row], one),
    ),
  );
  found.sort((one, other) => {
    const [a, b] = [one[sortBy], other[sortBy]];
    const byField = a === null || b === null ? Number(a !== null) - Number(b !== null) : compare(a, b);
    return byField || one.createDate - other.createDate || compare(one.uuid, other.uuid);
  });
  if (desc) found.reverse();
  return found.map(({ uuid }) => uuid);
}

onBothDatabases((_kind, open) => {
  let database: Database;
  const storageUuids = new Map<string, string>();
  before(async () => {
    database = await open();
    for (const name of STORAGES) storageUuids.set(name, await insertStorage(database, name));
  });

  async function store(rows: Stored[]): Promise<void> {
    await database.sql.deleteFrom('imageBackupStorageRef').execute();
    await database.sql.deleteFrom('image').execute();
    for (const { storages, ...values } of rows) {
      await database.sql.insertInto('image').values(values).execute();
      for (const name of storages) await insertCopy(database, values.uuid, storageUuids.get(name) ?? '');
    }
  }

  describe('any conditions over any rows', () => {
    it('find what a plain evaluation finds, in the same order', async () => {
      const questions = fc.array(
        fc.record({
          tests: fc.array(test, { maxLength: 3 }),
          sortBy: fc.constantFrom('name', 'description', 'size', 'system', 'createDate', 'uuid'),
          desc: fc.boolean(),
        }),
        { minLength: 12, maxLength: 12 },
      );
      let found = 0;
      await fc.assert(
        fc.asyncProperty(fc.array(row, { minLength: 6, maxLength: 12 }), questions, async (rows, asked) => {
          await store(rows);
          for (const { tests, sortBy, desc } of asked) {
            const { inventories = [] } = await query(database, Image, {
              conditions: tests,
              sortBy,
              sortDirection: desc ? 'desc' : 'asc',
            });
            const uuids = inventories.map(({ uuid }) => String(uuid));
            assert.deepEqual(uuids, evaluate(rows, tests, sortBy as keyof Row, desc), JSON.stringify(tests));
            found += uuids.length;
          }
        }),
        { numRuns: 25 },
      );
      assert.ok(found > 100, `only ${found} rows were ever found`);
    });
  });
});
