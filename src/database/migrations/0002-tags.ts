/** Tags, and an index for each field that people filter or sort by. */
import { type Kysely, sql } from 'kysely';
import type { Syntax } from '../syntax.ts';
import { createTagFunction, tagsGoWith } from '../tags-go-with.ts';

export async function up(kysely: Kysely<unknown>, syntax: Syntax): Promise<void> {
  for (const name of ['userTag', 'systemTag']) {
    await kysely.schema
      .createTable(name)
      .addColumn('uuid', 'text', (column) => column.primaryKey())
      .addColumn('resourceUuid', 'text', (column) => column.notNull())
      .addColumn('resourceType', 'text', (column) => column.notNull())
      .addColumn('tag', 'text', (column) => column.notNull())
      .addColumn('type', 'text', (column) => column.notNull())
      .$call((table) =>
        name === 'systemTag' ? table.addColumn('inherent', 'boolean', (column) => column.notNull()) : table,
      )
      .addColumn('createDate', 'bigint', (column) => column.notNull())
      .addColumn('lastOpDate', 'bigint', (column) => column.notNull())
      .execute();
  }
  await createTagFunction(kysely, syntax);
  for (const table of ['zone', 'backupStorage', 'image']) await tagsGoWith(kysely, syntax, table);

  for (const name of OUTDATED) await kysely.schema.dropIndex(name).execute();
  for (const [table, ...columns] of INDEXES) {
    const keys = columns.map((column) => {
      const [name = '', ...traits] = column.split(' ');
      const longest = traits.includes('long') ? Number.POSITIVE_INFINITY : 255;
      const key = traits.includes('text') ? syntax.indexed(sql.ref(name), longest) : sql.ref(name);
      // As lists are sorted: no value comes before any. SQLite's indexes are so by themselves.
      return traits.includes('optional') && syntax.name === 'postgres' ? sql`${key} nulls first` : key;
    });
    const names = columns.map((column) => column.split(' ')[0]);
    await sql`create index ${sql.id([table, ...names].join('_'))} on ${sql.table(table)} (${sql.join(keys)})`.execute(
      kysely,
    );
  }
}

/** Of 0001: without the tail that makes a search by them come out in order, or not folded as searches are. */
const OUTDATED = [
  'image_name',
  'image_guestOsType',
  'image_status_createDate',
  'image_mediaType_createDate',
  'image_sha256Sum',
  'image_md5Sum',
];

/** Every list ends in this order, so that the rows of one value come out of its index sorted. */
const AGE = ['createDate', 'uuid'] as const;

const INDEXES: readonly (readonly [table: string, ...columns: string[]])[] = [
  ['image', 'name text', ...AGE],
  ['image', 'guestOsType text optional', ...AGE],
  ['image', 'url long text', ...AGE],
  ['image', 'md5Sum text optional', ...AGE],
  ['image', 'sha256Sum text optional', ...AGE],
  ['image', 'state', ...AGE],
  ['image', 'status', ...AGE],
  ['image', 'mediaType', ...AGE],
  ['image', 'platform', ...AGE],
  ['image', 'architecture', ...AGE],
  ['image', 'format optional', ...AGE],
  ['image', 'system', ...AGE],
  ['image', 'virtio', ...AGE],
  ['image', 'size', ...AGE],
  ['image', 'actualSize', ...AGE],
  ['image', 'lastOpDate', ...AGE],
  ['imageBackupStorageRef', 'installPath long text', 'imageUuid'],
  ['imageBackupStorageRef', 'status', 'imageUuid'],
  ['imageBackupStorageRef', 'createDate', 'imageUuid'],
  ['longJob', 'name text', ...AGE],
  ['longJob', 'jobName text', ...AGE],
  ['longJob', 'state', ...AGE],
  ['longJob', 'targetResourceUuid', ...AGE],
  ['longJob', 'accountUuid', ...AGE],
  ['longJob', 'apiId'],
  ['longJob', 'lastOpDate', 'uuid'],
  ...['userTag', 'systemTag'].flatMap((table) => [
    [table, 'tag long text', 'resourceUuid'] as const,
    [table, 'resourceUuid', ...AGE] as const,
    [table, 'resourceType', ...AGE] as const,
    [table, ...AGE] as const,
  ]),
];
