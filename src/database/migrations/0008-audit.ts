import { type Kysely, sql } from 'kysely';
import type { Syntax } from '../syntax.ts';

/** The audit log, and what is written of images beside their copies. */
export async function up(kysely: Kysely<unknown>, syntax: Syntax): Promise<void> {
  const schema = kysely.schema;

  await schema
    .createTable('audit')
    .addColumn('uuid', 'text', (column) => column.primaryKey())
    .addColumn('apiName', 'text', (column) => column.notNull())
    .addColumn('jobUuid', 'text', (column) => column.notNull())
    .addColumn('accountUuid', 'text')
    .addColumn('accountName', 'text')
    .addColumn('clientIp', 'text')
    .addColumn('resourceType', 'text')
    .addColumn('resourceUuid', 'text')
    .addColumn('parameters', 'text', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('error', 'text')
    .addColumn('createDate', 'bigint', (column) => column.notNull())
    .addColumn('endDate', 'bigint')
    .execute();
  for (const columns of [
    ['createDate', 'uuid'],
    ['accountUuid', 'createDate'],
    ['resourceUuid', 'createDate'],
    ['jobUuid'],
  ]) {
    await schema.createIndex(`audit_${columns[0]}`).on('audit').columns(columns).execute();
  }

  await schema
    .createTable('imageDescription')
    .addColumn('imageUuid', 'text', (column) => column.notNull())
    .addColumn('backupStorageUuid', 'text', (column) => column.notNull())
    // Counts the changes to what is described; `written` is how far they stand in the file.
    .addColumn('revision', 'integer', (column) => column.notNull())
    .addColumn('written', 'integer', (column) => column.notNull())
    // Until when a process may be writing the file, or none shall try.
    .addColumn('claimedUntil', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('imageDescriptionKey', ['imageUuid', 'backupStorageUuid'])
    .addForeignKeyConstraint(
      'imageDescriptionOf',
      ['imageUuid', 'backupStorageUuid'],
      'imageBackupStorageRef',
      ['imageUuid', 'backupStorageUuid'],
      (constraint) => constraint.onDelete('cascade'),
    )
    .execute();
  // What is to be written is looked for often: few of each storage that can be reached, however many of the others.
  await sql`create index "imageDescription_outdated" on "imageDescription" ("backupStorageUuid", "imageUuid") where "written" < "revision"`.execute(
    kysely,
  );
  await sql`insert into "imageDescription" ("imageUuid", "backupStorageUuid", "revision", "written", "claimedUntil")
    select "imageUuid", "backupStorageUuid", 1, 0, 0 from "imageBackupStorageRef"`.execute(kysely);
  for (const [name, { on, what }] of Object.entries(TRIGGERS)) await trigger(kysely, syntax, name, on, what);
}

const changed = (image: string) =>
  `update "imageDescription" set "revision" = "revision" + 1 where "imageUuid" = ${image}`;
const ofResource = (row: 'new' | 'old') =>
  `${changed(`${row}."resourceUuid"`)} and ${row}."resourceType" = 'ImageVO'`;

/** Whatever changes what is described of an image makes its descriptions outdated, however it is changed. */
const TRIGGERS: Record<string, { on: string; what: string }> = {
  imageDescription_new: {
    on: 'insert on "imageBackupStorageRef"',
    what: `insert into "imageDescription" ("imageUuid", "backupStorageUuid", "revision", "written", "claimedUntil")
      values (new."imageUuid", new."backupStorageUuid", 1, 0, 0)`,
  },
  imageDescription_image: { on: 'update on "image"', what: changed('new."uuid"') },
  imageDescription_ref: { on: 'update on "imageBackupStorageRef"', what: changed('new."imageUuid"') },
  imageDescription_owner: { on: 'update on "accountResourceRef"', what: ofResource('new') },
  ...Object.fromEntries(
    ['userTag', 'systemTag'].flatMap((table) => [
      [`imageDescription_${table}New`, { on: `insert on "${table}"`, what: ofResource('new') }],
      [`imageDescription_${table}Changed`, { on: `update on "${table}"`, what: ofResource('new') }],
      [`imageDescription_${table}Gone`, { on: `delete on "${table}"`, what: ofResource('old') }],
    ]),
  ),
};

async function trigger(
  kysely: Kysely<unknown>,
  syntax: Syntax,
  name: string,
  on: string,
  what: string,
): Promise<void> {
  const id = sql.id(name);
  if (syntax.name === 'sqlite') {
    await sql`create trigger ${id} after ${sql.raw(on)} begin ${sql.raw(what)}; end`.execute(kysely);
    return;
  }
  await sql`create function ${id}() returns trigger language plpgsql as ${sql.raw(`$$ begin ${what}; return null; end $$`)}`.execute(
    kysely,
  );
  await sql`create trigger ${id} after ${sql.raw(on)} for each row execute function ${id}()`.execute(kysely);
}
