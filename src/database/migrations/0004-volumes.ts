import { type CreateTableBuilder, type Kysely, sql } from 'kysely';
import type { Syntax } from '../syntax.ts';
import { tagsGoWith } from '../tags-go-with.ts';

/** Primary storages with their image cache, volumes, snapshots, and what jobs hold. */
export async function up(kysely: Kysely<unknown>, syntax: Syntax): Promise<void> {
  const schema = kysely.schema;

  await schema
    .createTable('primaryStorage')
    .$call(named)
    .addColumn('zoneUuid', 'text', (column) => column.notNull().references('zone.uuid'))
    .addColumn('url', 'text', (column) => column.notNull())
    .addColumn('mountPath', 'text', (column) => column.notNull())
    .addColumn('type', 'text', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('status', 'text', (column) => column.notNull())
    .addColumn('totalCapacity', 'bigint', (column) => column.notNull())
    .addColumn('availableCapacity', 'bigint', (column) => column.notNull())
    .addColumn('totalPhysicalCapacity', 'bigint', (column) => column.notNull())
    .addColumn('availablePhysicalCapacity', 'bigint', (column) => column.notNull())
    .addColumn('systemUsedCapacity', 'bigint', (column) => column.notNull())
    .addColumn('overProvisioning', 'integer', (column) => column.notNull())
    .execute();

  await schema
    .createTable('imageCache')
    .addColumn('id', syntax.name === 'sqlite' ? 'integer' : 'serial', (column) =>
      syntax.name === 'sqlite' ? column.primaryKey().autoIncrement() : column.primaryKey(),
    )
    .addColumn('primaryStorageUuid', 'text', (column) =>
      column.notNull().references('primaryStorage.uuid').onDelete('cascade'),
    )
    .addColumn('imageUuid', 'text', (column) => column.notNull())
    .addColumn('installUrl', 'text', (column) => column.notNull())
    .addColumn('mediaType', 'text', (column) => column.notNull())
    .addColumn('size', 'bigint', (column) => column.notNull())
    .addColumn('md5sum', 'text')
    .addColumn('sha256sum', 'text', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('path', 'text', (column) => column.notNull())
    .addColumn('format', 'text', (column) => column.notNull())
    .addColumn('virtualSize', 'bigint', (column) => column.notNull())
    .addColumn('fingerprint', 'text')
    .addColumn('jobUuid', 'text')
    .$call(dates)
    .addUniqueConstraint('imageCacheOfImage', ['primaryStorageUuid', 'imageUuid'])
    .execute();

  await schema
    .createTable('diskOffering')
    .$call(named)
    .addColumn('diskSize', 'bigint', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('type', 'text', (column) => column.notNull())
    .execute();

  await schema
    .createTable('volume')
    .$call(named)
    .addColumn('primaryStorageUuid', 'text', (column) => column.references('primaryStorage.uuid'))
    .addColumn('vmInstanceUuid', 'text')
    .addColumn('diskOfferingUuid', 'text')
    .addColumn('rootImageUuid', 'text')
    .addColumn('installPath', 'text')
    .addColumn('type', 'text', (column) => column.notNull())
    .addColumn('format', 'text')
    .addColumn('size', 'bigint', (column) => column.notNull())
    .addColumn('actualSize', 'bigint', (column) => column.notNull())
    .addColumn('deviceId', 'integer')
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('status', 'text', (column) => column.notNull())
    .addColumn('isShareable', 'boolean', (column) => column.notNull())
    .addColumn('lastDetachDate', 'bigint')
    .addColumn('lastAttachDate', 'bigint')
    .addColumn('path', 'text')
    .addColumn('baseImageUuid', 'text')
    .addColumn('baseSnapshotUuid', 'text')
    .execute();

  await schema
    .createTable('volumeSnapshotTree')
    .addColumn('uuid', 'text', (column) => column.primaryKey())
    .addColumn('volumeUuid', 'text', (column) =>
      column.notNull().references('volume.uuid').onDelete('cascade'),
    )
    .addColumn('current', 'boolean', (column) => column.notNull())
    .addColumn('status', 'text', (column) => column.notNull())
    .$call(dates)
    .execute();

  await schema
    .createTable('volumeSnapshot')
    .$call(named)
    .addColumn('type', 'text', (column) => column.notNull())
    .addColumn('volumeUuid', 'text', (column) =>
      column.notNull().references('volume.uuid').onDelete('cascade'),
    )
    .addColumn('treeUuid', 'text', (column) =>
      column.notNull().references('volumeSnapshotTree.uuid').onDelete('cascade'),
    )
    .addColumn('parentUuid', 'text')
    .addColumn('primaryStorageUuid', 'text', (column) => column.notNull().references('primaryStorage.uuid'))
    .addColumn('primaryStorageInstallPath', 'text', (column) => column.notNull())
    .addColumn('volumeType', 'text', (column) => column.notNull())
    .addColumn('format', 'text', (column) => column.notNull())
    .addColumn('latest', 'boolean', (column) => column.notNull())
    .addColumn('size', 'bigint', (column) => column.notNull())
    .addColumn('distance', 'integer', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('status', 'text', (column) => column.notNull())
    .addColumn('path', 'text', (column) => column.notNull())
    .addColumn('virtualSize', 'bigint', (column) => column.notNull())
    .execute();

  await schema
    .createTable('volumeSnapshotBackupStorageRef')
    .addColumn('volumeSnapshotUuid', 'text', (column) =>
      column.notNull().references('volumeSnapshot.uuid').onDelete('cascade'),
    )
    .addColumn('backupStorageUuid', 'text', (column) => column.notNull().references('backupStorage.uuid'))
    .addColumn('installPath', 'text', (column) => column.notNull())
    .addColumn('status', 'text', (column) => column.notNull())
    .addColumn('size', 'bigint', (column) => column.notNull())
    .addColumn('sha256Sum', 'text')
    .addColumn('path', 'text', (column) => column.notNull())
    .$call(dates)
    .addPrimaryKeyConstraint('volumeSnapshotBackupStorageRefKey', ['volumeSnapshotUuid', 'backupStorageUuid'])
    .execute();

  await schema
    .createTable('trash')
    .addColumn('storageUuid', 'text', (column) => column.notNull())
    .addColumn('path', 'text', (column) => column.notNull())
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('createDate', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('trashKey', ['storageUuid', 'path'])
    .execute();

  await schema
    .createTable('jobHold')
    .addColumn('resourceUuid', 'text', (column) => column.notNull())
    .addColumn('jobUuid', 'text', (column) => column.notNull())
    .addColumn('mode', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('jobHoldKey', ['resourceUuid', 'jobUuid'])
    .execute();

  for (const table of TAGGED) await tagsGoWith(kysely, syntax, table);
  for (const table of ['volume', 'volumeSnapshot']) {
    const keys = [syntax.indexed(sql.ref('name'), 255), sql.ref('createDate'), sql.ref('uuid')];
    await sql`create index ${sql.id(`${table}_name_createDate_uuid`)} on ${sql.table(table)} (${sql.join(keys)})`.execute(
      kysely,
    );
  }
  for (const [table, ...columns] of INDEXES) {
    await schema
      .createIndex(`${table}_${columns.join('_')}`)
      .on(table)
      .columns(columns)
      .execute();
  }
}

const TAGGED = ['primaryStorage', 'diskOffering', 'volume', 'volumeSnapshotTree', 'volumeSnapshot'];

const INDEXES = [
  ['imageCache', 'imageUuid'],
  ['volume', 'createDate', 'uuid'],
  ['volume', 'rootImageUuid', 'uuid'],
  ['volume', 'primaryStorageUuid', 'baseImageUuid'],
  ['volume', 'vmInstanceUuid', 'uuid'],
  ['volumeSnapshotTree', 'volumeUuid', 'uuid'],
  ['volumeSnapshot', 'createDate', 'uuid'],
  ['volumeSnapshot', 'volumeUuid', 'uuid'],
  ['volumeSnapshot', 'treeUuid', 'uuid'],
  ['volumeSnapshot', 'primaryStorageUuid', 'uuid'],
  ['volumeSnapshotBackupStorageRef', 'backupStorageUuid', 'volumeSnapshotUuid'],
  ['jobHold', 'jobUuid'],
] as const;

function named<T extends string, C extends string>(table: CreateTableBuilder<T, C>) {
  return table
    .addColumn('uuid', 'text', (column) => column.primaryKey())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('description', 'text')
    .$call(dates);
}

function dates<T extends string, C extends string>(table: CreateTableBuilder<T, C>) {
  return table
    .addColumn('createDate', 'bigint', (column) => column.notNull())
    .addColumn('lastOpDate', 'bigint', (column) => column.notNull());
}
