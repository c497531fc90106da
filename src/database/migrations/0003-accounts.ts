import { type CreateTableBuilder, type Kysely, sql } from 'kysely';

/** The built-in administrator, who owns what was there before there were owners. */
const ADMIN = '36c27e8ff05c4780bf6d2fa65700f22e';

export async function up(kysely: Kysely<unknown>): Promise<void> {
  const schema = kysely.schema;

  await schema
    .createTable('accountResourceRef')
    .addColumn('resourceUuid', 'text', (column) => column.primaryKey())
    .addColumn('accountUuid', 'text', (column) => column.notNull())
    .addColumn('resourceType', 'text', (column) => column.notNull())
    .addColumn('concreteResourceType', 'text', (column) => column.notNull())
    .$call(dates)
    .execute();
  await schema
    .createIndex('accountResourceRef_accountUuid')
    .on('accountResourceRef')
    .columns(['accountUuid', 'resourceType', 'createDate'])
    .execute();

  await schema
    .createTable('sharedResource')
    .addColumn('uuid', 'text', (column) => column.primaryKey())
    .addColumn('ownerAccountUuid', 'text', (column) => column.notNull())
    .addColumn('receiverAccountUuid', 'text', (column) =>
      column.references('account.uuid').onDelete('cascade'),
    )
    .addColumn('toPublic', 'boolean', (column) => column.notNull())
    .addColumn('resourceUuid', 'text', (column) => column.notNull())
    .addColumn('resourceType', 'text', (column) => column.notNull())
    .$call(dates)
    .execute();
  await schema
    .createIndex('sharedResource_resourceUuid')
    .on('sharedResource')
    .columns(['resourceUuid', 'receiverAccountUuid'])
    .execute();
  await schema
    .createIndex('sharedResource_receiverAccountUuid')
    .on('sharedResource')
    .column('receiverAccountUuid')
    .execute();

  await schema
    .createTable('quota')
    .addColumn('uuid', 'text', (column) => column.primaryKey())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('identityUuid', 'text', (column) =>
      column.notNull().references('account.uuid').onDelete('cascade'),
    )
    .addColumn('identityType', 'text', (column) => column.notNull())
    .addColumn('value', 'bigint', (column) => column.notNull())
    .$call(dates)
    .addUniqueConstraint('quota_identityUuid_name', ['identityUuid', 'name'])
    .execute();

  await schema
    .createTable('accessKey')
    .addColumn('uuid', 'text', (column) => column.primaryKey())
    .addColumn('description', 'text')
    .addColumn('accountUuid', 'text', (column) =>
      column.notNull().references('account.uuid').onDelete('cascade'),
    )
    .addColumn('userUuid', 'text', (column) => column.notNull())
    .addColumn('AccessKeyID', 'text', (column) => column.notNull().unique())
    .addColumn('secret', 'text', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .$call(dates)
    .execute();
  await schema.createIndex('accessKey_accountUuid').on('accessKey').column('accountUuid').execute();

  await schema
    .createTable('globalConfig')
    .addColumn('category', 'text', (column) => column.notNull())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('description', 'text', (column) => column.notNull())
    .addColumn('defaultValue', 'text', (column) => column.notNull())
    .addColumn('value', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('globalConfigKey', ['category', 'name'])
    .execute();

  await schema
    .createTable('managementNode')
    .addColumn('uuid', 'text', (column) => column.primaryKey())
    .addColumn('hostName', 'text', (column) => column.notNull())
    .addColumn('joinDate', 'bigint', (column) => column.notNull())
    .addColumn('heartBeat', 'bigint', (column) => column.notNull())
    .execute();

  await schema
    .createTable('webHook')
    .addColumn('jobUuid', 'text', (column) => column.primaryKey())
    .addColumn('url', 'text', (column) => column.notNull())
    .addColumn('node', 'text', (column) => column.notNull())
    .addColumn('attempts', 'integer', (column) => column.notNull())
    .addColumn('nextAttempt', 'bigint', (column) => column.notNull())
    .execute();
  await schema.createIndex('webHook_nextAttempt').on('webHook').column('nextAttempt').execute();

  await schema.alterTable('longJob').addColumn('description', 'text').execute();
  await schema.alterTable('longJob').addColumn('deadline', 'bigint').execute();
  await schema.createIndex('session_accountUuid').on('session').column('accountUuid').execute();
  // The expunger asks for old copies that are marked Deleted; there are few.
  await schema
    .createIndex('imageBackupStorageRef_status')
    .on('imageBackupStorageRef')
    .columns(['status', 'lastOpDate'])
    .execute();

  for (const [table, type, concrete] of [
    ['image', 'ImageVO', 'org.zstack.header.image.ImageVO'],
    ['zone', 'ZoneVO', 'org.zstack.header.zone.ZoneVO'],
    ['backupStorage', 'BackupStorageVO', 'org.zstack.header.storage.backup.BackupStorageVO'],
  ] as const) {
    await sql`insert into ${sql.table('accountResourceRef')}
      (${sql.join(['resourceUuid', 'accountUuid', 'resourceType', 'concreteResourceType', 'createDate', 'lastOpDate'].map((name) => sql.ref(name)))})
      select ${sql.ref('uuid')}, ${sql.lit(ADMIN)}, ${sql.lit(type)}, ${sql.lit(concrete)}, ${sql.ref('createDate')}, ${sql.ref('createDate')}
      from ${sql.table(table)}`.execute(kysely);
  }
}

function dates<T extends string, C extends string>(table: CreateTableBuilder<T, C>) {
  return table
    .addColumn('createDate', 'bigint', (column) => column.notNull())
    .addColumn('lastOpDate', 'bigint', (column) => column.notNull());
}
