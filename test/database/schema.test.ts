import assert from 'node:assert/strict';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Account, Session } from '../../src/account/account.ts';
import { resources } from '../../src/catalogue.ts';
import { openDatabase } from '../../src/database/database.ts';
import { IngotError } from '../../src/kernel/errors.ts';
import type { Field } from '../../src/kernel/field.ts';
import { inventoryRelations, type Resource } from '../../src/kernel/resource.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';
import { freshDatabase, onBothDatabases } from './both-databases.ts';

const RESOURCES: Resource[] = [...new Set<Resource>([Account, ...resources.values()])].filter(
  (resource) => resource !== Session,
);
/** Kysely's own two; sessions, which keep a digest of what they are declared with; web hooks and others, which nobody queries. */
const OTHERS = [
  'migration',
  'migrationLock',
  'session',
  'webHook',
  'jobHold',
  'trash',
  'imageDescription',
  'imageUpload',
];

/** Types that hold each value of the field, as either database names them. */
function typesFor(field: Field): string[] {
  if (field.kind === 'boolean') return ['boolean', 'bool'];
  if (field.kind === 'date') return ['bigint', 'int8'];
  if (field.kind === 'integer') {
    return field.max > 2 ** 31 - 1 && field.unit === 'bytes'
      ? ['bigint', 'int8']
      : ['integer', 'int4', 'bigint'];
  }
  return ['text'];
}

onBothDatabases((kind, open) => {
  describe('the tables', () => {
    it('are those of the declared resources, column by column, and no more', async () => {
      const database = await open();
      const tables = await database.sql.introspection.getTables();
      assert.deepEqual(
        tables.map((table) => table.name).sort(),
        [...RESOURCES.map((resource) => resource.table), ...OTHERS].sort(),
      );
      for (const resource of RESOURCES) {
        const table = tables.find(({ name }) => name === resource.table);
        const declared: Record<string, Field> = { ...resource.fields, ...resource.columns };
        assert.deepEqual(
          table?.columns.map(({ name }) => name).sort(),
          Object.keys(declared).sort(),
          resource.name,
        );
        for (const { name, dataType, isNullable } of table?.columns ?? []) {
          const field = declared[name];
          assert.ok(field);
          const where = `${resource.name}.${name}: ${dataType}`;
          assert.ok(typesFor(field).includes(dataType.toLowerCase()), where);
          // A primary key of SQLite's may hold nothing, as far as SQLite is concerned.
          if (kind === 'sqlite' && resource.key.includes(name)) continue;
          assert.equal(isNullable, field.presence === 'optional', where);
        }
      }
    });

    it('have what every relation joins over', async () => {
      const database = await open();
      const tables = await database.sql.introspection.getTables();
      const columnsOf = (table: string) =>
        tables.find(({ name }) => name === table)?.columns.map(({ name }) => name) ?? [];
      for (const resource of RESOURCES) {
        for (const [name, relation] of Object.entries(resource.relations)) {
          assert.ok(columnsOf(resource.table).includes(relation.local), `${resource.name}.${name}`);
          assert.ok(columnsOf(relation.to.table).includes(relation.foreign), `${resource.name}.${name}`);
        }
        // What lists inside inventories are sorted by.
        for (const [, relation] of inventoryRelations(resource)) {
          for (const column of ['createDate', ...relation.to.key]) assert.ok(relation.to.fields[column]);
        }
      }
    });

    it('stay as they are when they are brought up to date once more', async () => {
      const at = await freshDatabase(kind);
      const database = await open(at);
      await database.sql
        .insertInto('zone')
        .values({
          uuid: 'z',
          name: 'kept',
          description: null,
          state: 'Enabled',
          type: 'zstack',
          isDefault: false,
          createDate: 1,
          lastOpDate: 1,
        })
        .execute();
      const before = await database.sql.introspection.getTables();
      const again = await open(at);
      assert.deepEqual(await again.sql.introspection.getTables(), before);
      assert.deepEqual(await again.sql.selectFrom('zone').select('name').execute(), [{ name: 'kept' }]);
    });

    it('are made once, however many processes begin at the same time', async () => {
      const at = await freshDatabase(kind);
      const openings = kind === 'postgres' ? 5 : 1;
      const opened = await Promise.all(Array.from({ length: openings }, () => open(at)));
      for (const database of opened) {
        assert.deepEqual(await database.sql.selectFrom('image').select('uuid').execute(), []);
      }
    });
  });
});

describe('a database that can not be opened', () => {
  it('is named in the error, without its password', async () => {
    await assert.rejects(openDatabase('postgres://ingot:secret@127.0.0.1:1/images'), {
      code: 'SYS.1010',
      message:
        /^the database postgres:\/\/ingot:\*\*\*@127\.0\.0\.1:1\/images could not be opened: .*ECONNREFUSED/,
    });
    for (const address of [
      'postgres://ingot@127.0.0.1:1/images?password=secret',
      'postgres://ingot:sec@secret@127.0.0.1:1/images',
      'postgres://ingot:1/secret@127.0.0.1:1/images',
      'postgres://ingot:p/secret@127.0.0.1:1/images',
      'mysql://ingot:secret@127.0.0.1/images',
      'mysql:ingot:secret@127.0.0.1/images',
    ]) {
      await assert.rejects(openDatabase(address), (error) => {
        assert.ok(error instanceof IngotError);
        assert.doesNotMatch(JSON.stringify(error.toBody()), /secret/);
        assert.equal(error.code, address.startsWith('mysql') ? 'SYS.1007' : 'SYS.1010');
        return true;
      });
    }
    await assert.rejects(openDatabase(`${temporaryDirectory()}/missing/ingot.sqlite`), {
      code: 'SYS.1010',
      message: /missing\/ingot\.sqlite could not be opened: unable to open database file/,
    });
  });
});

describe("SQLite's files", () => {
  it('are for their owner alone', async () => {
    const directory = temporaryDirectory();
    const database = await openDatabase(join(directory, 'ingot.sqlite'));
    try {
      const modes = readdirSync(directory).map((name) => [
        name,
        statSync(join(directory, name)).mode & 0o777,
      ]);
      assert.deepEqual(
        modes.sort(),
        ['ingot.sqlite', 'ingot.sqlite-shm', 'ingot.sqlite-wal'].map((name) => [name, 0o600]),
      );
    } finally {
      await database.close();
    }
  });
});
