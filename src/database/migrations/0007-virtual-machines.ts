import { type CreateTableBuilder, type Kysely, sql } from 'kysely';
import type { Syntax } from '../syntax.ts';
import { tagsGoWith } from '../tags-go-with.ts';

/** Hosts, what virtual machines come in, and the machines with their interfaces and drives. */
export async function up(kysely: Kysely<unknown>, syntax: Syntax): Promise<void> {
  const { schema } = kysely;
  await schema
    .createTable('host')
    .$call(named)
    .addColumn('zoneUuid', 'text', (column) => column.notNull().references('zone.uuid'))
    .addColumn('managementIp', 'text', (column) => column.notNull())
    .addColumn('hypervisorType', 'text', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('status', 'text', (column) => column.notNull())
    .addColumn('architecture', 'text', (column) => column.notNull())
    .addColumn('accelerator', 'text', (column) => column.notNull())
    .addColumn('acceleratorReason', 'text', (column) => column.notNull())
    .addColumn('hypervisorVersion', 'text')
    .addColumn('totalCpuCapacity', 'integer', (column) => column.notNull())
    .addColumn('availableCpuCapacity', 'integer', (column) => column.notNull())
    .addColumn('totalMemoryCapacity', 'bigint', (column) => column.notNull())
    .addColumn('availableMemoryCapacity', 'bigint', (column) => column.notNull())
    .execute();

  await schema
    .createTable('instanceOffering')
    .$call(named)
    .addColumn('cpuNum', 'integer', (column) => column.notNull())
    .addColumn('cpuSpeed', 'integer', (column) => column.notNull())
    .addColumn('memorySize', 'bigint', (column) => column.notNull())
    .addColumn('allocatorStrategy', 'text', (column) => column.notNull())
    .addColumn('sortKey', 'integer', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('type', 'text', (column) => column.notNull())
    .execute();

  await schema
    .createTable('vmInstance')
    .$call(named)
    .addColumn('zoneUuid', 'text', (column) => column.notNull().references('zone.uuid'))
    .addColumn('imageUuid', 'text', (column) => column.notNull())
    .addColumn('hostUuid', 'text')
    .addColumn('lastHostUuid', 'text')
    .addColumn('instanceOfferingUuid', 'text')
    .addColumn('rootVolumeUuid', 'text', (column) => column.notNull())
    .addColumn('platform', 'text', (column) => column.notNull())
    .addColumn('architecture', 'text', (column) => column.notNull())
    .addColumn('guestOsType', 'text')
    .addColumn('type', 'text', (column) => column.notNull())
    .addColumn('hypervisorType', 'text', (column) => column.notNull())
    .addColumn('allocatorStrategy', 'text', (column) => column.notNull())
    .addColumn('cpuNum', 'integer', (column) => column.notNull())
    .addColumn('cpuSpeed', 'integer', (column) => column.notNull())
    .addColumn('memorySize', 'bigint', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('stateReason', 'text')
    .execute();

  await schema
    .createTable('vmNic')
    .$call(partOfMachine)
    .addColumn('mac', 'text', (column) => column.notNull())
    .addColumn('driverType', 'text', (column) => column.notNull())
    .addColumn('type', 'text', (column) => column.notNull())
    .addColumn('bridge', 'text')
    .addColumn('hypervisorType', 'text', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .execute();

  await schema
    .createTable('vmCdRom')
    .$call(partOfMachine)
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('description', 'text')
    .addColumn('isoUuid', 'text')
    .addColumn('isoInstallPath', 'text')
    .addColumn('primaryStorageUuid', 'text')
    .execute();

  for (const table of ['host', 'instanceOffering', 'vmInstance']) await tagsGoWith(kysely, syntax, table);
  const keys = [syntax.indexed(sql.ref('name'), 255), sql.ref('createDate'), sql.ref('uuid')];
  await sql`create index ${sql.id('vmInstance_name_createDate_uuid')} on ${sql.table('vmInstance')} (${sql.join(keys)})`.execute(
    kysely,
  );
  for (const [table, ...columns] of INDEXES) {
    await schema
      .createIndex(`${table}_${columns.join('_')}`)
      .on(table)
      .columns(columns)
      .execute();
  }
}

const INDEXES = [
  ['vmInstance', 'createDate', 'uuid'],
  ['vmInstance', 'imageUuid', 'uuid'],
  ['vmInstance', 'hostUuid', 'uuid'],
  ['vmNic', 'vmInstanceUuid', 'uuid'],
  ['vmCdRom', 'vmInstanceUuid', 'uuid'],
  ['vmCdRom', 'isoUuid', 'uuid'],
] as const;

function named<T extends string, C extends string>(table: CreateTableBuilder<T, C>) {
  return table
    .addColumn('uuid', 'text', (column) => column.primaryKey())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('description', 'text')
    .$call(dates);
}

function partOfMachine<T extends string, C extends string>(table: CreateTableBuilder<T, C>) {
  return table
    .addColumn('uuid', 'text', (column) => column.primaryKey())
    .addColumn('vmInstanceUuid', 'text', (column) =>
      column.notNull().references('vmInstance.uuid').onDelete('cascade'),
    )
    .addColumn('deviceId', 'integer', (column) => column.notNull())
    .$call(dates);
}

function dates<T extends string, C extends string>(table: CreateTableBuilder<T, C>) {
  return table
    .addColumn('createDate', 'bigint', (column) => column.notNull())
    .addColumn('lastOpDate', 'bigint', (column) => column.notNull());
}
