/**
 * A large installation, made by the database itself and the same in both: for each image three copies and five
 * tags. Numbers spread by multiplication, so that no column is in the order of another.
 */
import { hash } from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';
import pg from 'pg';

export const ZONES = 5;
export const STORAGES = 20;
/** What `backupStorage.name=storage-18` and `backupStorage.zone.name=edge` lead to: few images have a copy there. */
export const RARE = 20_000;

const BORN = 1_700_000_000_000;

/** `number(name, count)` stands for a table `n(i)` of 0 to count - 1. */
interface Dialect {
  series(count: number): string;
  /** 32 hex digits out of a text. */
  uuid(text: string): string;
  true: string;
  false: string;
  text(expression: string): string;
}

const POSTGRES: Dialect = {
  series: (count) => `generate_series(0, cast(${count - 1} as bigint)) as n(i)`,
  uuid: (text) => `md5(${text})`,
  true: 'true',
  false: 'false',
  text: (expression) => `cast(${expression} as text)`,
};

const SQLITE: Dialect = {
  series: (count) =>
    `(with recursive s(i) as (select 0 union all select i + 1 from s where i < ${count - 1}) select i from s) as n`,
  uuid: (text) => `md5(${text})`,
  true: '1',
  false: '0',
  text: (expression) => `cast(${expression} as text)`,
};

function statements(d: Dialect, images: number): string[] {
  const id = (kind: string, number: string) => d.uuid(`'${kind}-' || ${d.text(number)}`);
  const one = (expression: string, values: readonly string[]) =>
    `case ${values
      .slice(0, -1)
      .map((value, i) => `when ${expression} = ${i} then '${value}'`)
      .join(' ')} else '${values.at(-1)}' end`;
  const dates = (number: string) => `${BORN} + ${number} * 1000, ${BORN} + ${number} * 1000 + 500`;
  const storageOf = [
    '(i % 18)',
    '((i + 5) % 18)',
    // Every so often the third copy is on the rare storage.
    `(case when i % ${RARE} = 7 then 18 else (i + 11) % 18 end)`,
  ];
  const size = '((i * 7919) % 1000003) * 65536';
  return [
    `insert into zone (uuid, name, description, state, type, "isDefault", "createDate", "lastOpDate")
     select ${id('zone', 'i')}, ${one('i', ['z0', 'z1', 'z2', 'z3', 'edge'])}, null, 'Enabled', 'zstack', ${d.false}, ${dates('i')}
     from ${d.series(ZONES)}`,
    `insert into "backupStorage" (uuid, name, description, url, "totalCapacity", "availableCapacity", type, state, status, "createDate", "lastOpDate")
     select ${id('storage', 'i')}, 'storage-' || ${d.text('i')}, null, '/srv/storage-' || ${d.text('i')}, 1099511627776, 1099511627776, 'LocalBackupStorage', 'Enabled', 'Connected', ${dates('i')}
     from ${d.series(STORAGES)}`,
    `insert into "backupStorageZoneRef" ("backupStorageUuid", "zoneUuid", "createDate", "lastOpDate")
     select ${id('storage', 'i')}, ${id('zone', '(case when i >= 18 then 4 else i % 4 end)')}, ${dates('i')}
     from ${d.series(STORAGES)}`,
    `insert into image (uuid, name, description, state, status, size, "actualSize", "md5Sum", "sha256Sum", url, "mediaType", "guestOsType", platform, architecture, type, format, system, virtio, "createDate", "lastOpDate")
     select ${id('image', 'i')}, ${one('i % 7', ['centos', 'rocky', 'ubuntu', 'debian', 'suse', 'fedora', 'windows'])} || '-' || ${d.text('(i * 7919) % 1000003')},
       case when i % 3 = 0 then null else 'made for team ' || ${d.text('i % 200')} end,
       case when i % 10 = 0 then 'Disabled' else 'Enabled' end, case when i % 97 = 0 then 'Downloading' else 'Ready' end,
       ${size}, (${size}) / 3, ${id('md5', 'i')}, ${id('sha-a', 'i')} || ${id('sha-b', 'i')},
       'https://images.example/' || ${d.text('i')} || '.qcow2', ${one('i % 11', ['DataVolumeTemplate', 'ISO', 'RootVolumeTemplate'])},
       case when i % 13 = 0 then null else 'os-' || ${d.text('i % 50')} end, ${one('i % 5', ['Windows', 'Other', 'Linux'])},
       ${one('i % 8', ['aarch64', 'x86_64'])}, 'zstack', ${one('i % 4', ['raw', 'qcow2'])}, ${truthOf(d, 'i % 1000')}, ${d.true}, ${dates('i')}
     from ${d.series(images)}`,
    ...storageOf.map(
      (storage) =>
        `insert into "imageBackupStorageRef" ("imageUuid", "backupStorageUuid", "installPath", status, path, size, "createDate", "lastOpDate")
         select ${id('image', 'i')}, ${id('storage', storage)}, '/srv/storage-' || ${d.text(storage)} || '/templates/' || ${id('image', 'i')} || '.template',
           'Ready', 'templates/' || ${id('image', 'i')}, ${size}, ${dates('i')}
         from ${d.series(images)}`,
    ),
    ...[
      `'team-' || ${d.text('i % 200')}`,
      `case when i % 5000 = 11 then 'golden-image' else 'build-' || ${d.text('i')} end`,
    ].map(
      (tag, which) =>
        `insert into "userTag" (uuid, "resourceUuid", "resourceType", tag, type, "createDate", "lastOpDate")
         select ${id(`user-tag-${which}`, 'i')}, ${id('image', 'i')}, 'ImageVO', ${tag}, 'User', ${dates('i')}
         from ${d.series(images)}`,
    ),
    ...[
      `case when i % 8 = 0 then 'bootMode::UEFI' else 'bootMode::Legacy' end`,
      `'buildapp::app-' || ${d.text('i % 1000')}`,
      `case when i % 10000 = 3 then 'applianceType::vrouter' else 'sourceType::upload' end`,
    ].map(
      (tag, which) =>
        `insert into "systemTag" (uuid, "resourceUuid", "resourceType", tag, type, inherent, "createDate", "lastOpDate")
         select ${id(`system-tag-${which}`, 'i')}, ${id('image', 'i')}, 'ImageVO', ${tag}, 'System', ${d.false}, ${dates('i')}
         from ${d.series(images)}`,
    ),
  ];
}

function truthOf(d: Dialect, expression: string): string {
  return `case when ${expression} = 0 then ${d.true} else ${d.false} end`;
}

/** Fills an SQLite file that has the service's tables. Indexes are made again afterwards, which is much quicker. */
export function seedSqlite(path: string, images: number): void {
  const database = new DatabaseSync(path);
  database.exec(
    'pragma journal_mode = off; pragma synchronous = off; pragma cache_size = -1000000; pragma temp_store = memory; begin',
  );
  database.function('md5', { deterministic: true }, (text) => hash('md5', String(text)));
  const indexes = database
    .prepare(`select name, sql from sqlite_master where type = 'index' and sql is not null`)
    .all() as { name: string; sql: string }[];
  for (const { name } of indexes) database.exec(`drop index "${name}"`);
  for (const statement of statements(SQLITE, images)) database.exec(statement);
  for (const { sql } of indexes) database.exec(sql);
  database.exec('commit; pragma journal_mode = wal');
  database.close();
}

/** Fills a PostgreSQL database that has the service's tables. */
export async function seedPostgres(url: string, images: number): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<{ indexname: string; indexdef: string }>(
      `select indexname, indexdef from pg_indexes where schemaname = 'public'
       and tablename in ('image', 'imageBackupStorageRef', 'userTag', 'systemTag')
       and indexname not in (select conname from pg_constraint)`,
    );
    await client.query(`set maintenance_work_mem = '512MB'`);
    for (const { indexname } of rows) await client.query(`drop index "${indexname}"`);
    for (const statement of statements(POSTGRES, images)) await client.query(statement);
    for (const { indexdef } of rows) await client.query(indexdef);
    await client.query('vacuum analyze');
  } finally {
    await client.end();
  }
}
