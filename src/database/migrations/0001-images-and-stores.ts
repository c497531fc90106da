import { type CreateTableBuilder, type Kysely, sql } from 'kysely';
import type { Syntax } from '../syntax.ts';

export async function up(kysely: Kysely<unknown>, syntax: Syntax): Promise<void> {
  const schema = kysely.schema;

  await schema
    .createTable('account')
    .addColumn('uuid', 'text', (column) => column.primaryKey())
    .addColumn('name', 'text', (column) => column.notNull().unique())
    .addColumn('description', 'text')
    .addColumn('type', 'text', (column) => column.notNull())
    .addColumn('passwordHash', 'text', (column) => column.notNull())
    .$call(dates)
    .execute();

  await schema
    .createTable('session')
    .addColumn('digest', 'text', (column) => column.primaryKey())
    .addColumn('accountUuid', 'text', (column) =>
      column.notNull().references('account.uuid').onDelete('cascade'),
    )
    .addColumn('expiredDate', 'bigint', (column) => column.notNull())
    .addColumn('createDate', 'bigint', (column) => column.notNull())
    .execute();

  await schema
    .createTable('zone')
    .addColumn('uuid', 'text', (column) => column.primaryKey())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('description', 'text')
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('type', 'text', (column) => column.notNull())
    .addColumn('isDefault', 'boolean', (column) => column.notNull())
    .$call(dates)
    .execute();

  await schema
    .createTable('backupStorage')
    .addColumn('uuid', 'text', (column) => column.primaryKey())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('description', 'text')
    .addColumn('url', 'text', (column) => column.notNull())
    .addColumn('totalCapacity', 'bigint', (column) => column.notNull())
    .addColumn('availableCapacity', 'bigint', (column) => column.notNull())
    .addColumn('type', 'text', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('status', 'text', (column) => column.notNull())
    .$call(dates)
    .execute();

  await schema
    .createTable('backupStorageZoneRef')
    .addColumn('backupStorageUuid', 'text', (column) =>
      column.notNull().references('backupStorage.uuid').onDelete('cascade'),
    )
    .addColumn('zoneUuid', 'text', (column) => column.notNull().references('zone.uuid').onDelete('cascade'))
    .$call(dates)
    .addPrimaryKeyConstraint('backupStorageZoneRefKey', ['backupStorageUuid', 'zoneUuid'])
    .execute();

  await schema
    .createTable('image')
    .addColumn('uuid', 'text', (column) => column.primaryKey())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('description', 'text')
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('status', 'text', (column) => column.notNull())
    .addColumn('size', 'bigint', (column) => column.notNull())
    .addColumn('actualSize', 'bigint', (column) => column.notNull())
    .addColumn('md5Sum', 'text')
    .addColumn('sha256Sum', 'text')
    .addColumn('url', 'text', (column) => column.notNull())
    .addColumn('mediaType', 'text', (column) => column.notNull())
    .addColumn('guestOsType', 'text')
    .addColumn('platform', 'text', (column) => column.notNull())
    .addColumn('architecture', 'text', (column) => column.notNull())
    .addColumn('type', 'text', (column) => column.notNull())
    .addColumn('format', 'text')
    .addColumn('system', 'boolean', (column) => column.notNull())
    .addColumn('virtio', 'boolean', (column) => column.notNull())
    .$call(dates)
    .execute();

  await schema
    .createTable('imageBackupStorageRef')
    .addColumn('imageUuid', 'text', (column) => column.notNull().references('image.uuid').onDelete('cascade'))
    .addColumn('backupStorageUuid', 'text', (column) => column.notNull().references('backupStorage.uuid'))
    .addColumn('installPath', 'text', (column) => column.notNull())
    .addColumn('status', 'text', (column) => column.notNull())
    .addColumn('path', 'text', (column) => column.notNull())
    .addColumn('size', 'bigint', (column) => column.notNull())
    .$call(dates)
    .addPrimaryKeyConstraint('imageBackupStorageRefKey', ['imageUuid', 'backupStorageUuid'])
    // An image's copies then lie beside each other, and the table is its own index.
    .$call((table) => (syntax.name === 'sqlite' ? table.modifyEnd(sql`without rowid`) : table))
    .execute();

  await schema
    .createTable('longJob')
    .addColumn('uuid', 'text', (column) => column.primaryKey())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('apiId', 'text', (column) => column.notNull())
    .addColumn('jobName', 'text', (column) => column.notNull())
    .addColumn('jobData', 'text', (column) => column.notNull())
    .addColumn('jobResult', 'text')
    .addColumn('targetResourceUuid', 'text')
    .addColumn('managementNodeUuid', 'text')
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('progress', 'integer', (column) => column.notNull())
    .addColumn('bytesDone', 'bigint', (column) => column.notNull())
    .addColumn('bytesTotal', 'bigint')
    .addColumn('bytesResumed', 'bigint', (column) => column.notNull())
    .addColumn('executeTime', 'integer')
    .addColumn('accountUuid', 'text', (column) => column.notNull())
    .addColumn('parameters', 'text')
    .addColumn('checkpoint', 'text')
    .addColumn('leaseUntil', 'bigint')
    .addColumn('attempts', 'integer', (column) => column.notNull())
    .addColumn('startDate', 'bigint')
    .$call(dates)
    .execute();

  // Equality ignores case, so the index holds the folded text; the sort that every query ends in comes second.
  for (const [table, column] of FOLDED) {
    await sql`create index ${sql.ref(`${table}_${column}`)} on ${sql.table(table)} (${syntax.fold(sql.ref(column))})`.execute(
      kysely,
    );
  }
  for (const [table, ...columns] of PLAIN) {
    await schema
      .createIndex(`${table}_${columns.join('_')}`)
      .on(table)
      .columns(columns)
      .execute();
  }
}

/** Text that is searched by equality (zone and storage tables are small, and need none). */
const FOLDED = [
  ['image', 'name'],
  ['image', 'guestOsType'],
] as const;

const PLAIN = [
  ['image', 'createDate', 'uuid'],
  ['image', 'status', 'createDate'],
  ['image', 'mediaType', 'createDate'],
  ['image', 'sha256Sum'],
  ['image', 'md5Sum'],
  ['imageBackupStorageRef', 'backupStorageUuid', 'imageUuid'],
  ['backupStorageZoneRef', 'zoneUuid', 'backupStorageUuid'],
  ['longJob', 'state', 'leaseUntil'],
  ['longJob', 'createDate', 'uuid'],
  ['session', 'expiredDate'],
] as const;

function dates<T extends string, C extends string>(table: CreateTableBuilder<T, C>) {
  return table
    .addColumn('createDate', 'bigint', (column) => column.notNull())
    .addColumn('lastOpDate', 'bigint', (column) => column.notNull());
}
