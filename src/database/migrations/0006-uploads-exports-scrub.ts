import type { Kysely } from 'kysely';

export async function up(kysely: Kysely<unknown>): Promise<void> {
  const schema = kysely.schema;

  // One column a statement: SQLite adds no more at once.
  for (const column of ['exportUrl', 'exportMd5Sum', 'exportKey', 'damage'] as const) {
    await schema.alterTable('imageBackupStorageRef').addColumn(column, 'text').execute();
  }
  await schema.alterTable('imageBackupStorageRef').addColumn('checkDate', 'bigint').execute();
  await schema
    .createIndex('imageBackupStorageRef_exportKey')
    .on('imageBackupStorageRef')
    .column('exportKey')
    .execute();

  await schema
    .createTable('imageUpload')
    .addColumn('key', 'text', (column) => column.primaryKey())
    .addColumn('imageUuid', 'text', (column) => column.notNull().references('image.uuid').onDelete('cascade'))
    .addColumn('jobUuid', 'text', (column) => column.notNull())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('url', 'text', (column) => column.notNull())
    .addColumn('size', 'bigint')
    .addColumn('createDate', 'bigint', (column) => column.notNull())
    .execute();
  for (const column of ['imageUuid', 'name'] as const) {
    await schema.createIndex(`imageUpload_${column}`).on('imageUpload').column(column).execute();
  }
}
