/** The reference: the bench's questions in SQL written by hand, each with its images' copies, as the service answers. */
import { DatabaseSync } from 'node:sqlite';
import pg from 'pg';

export interface PlainSql {
  list(limit: number, start?: number): unknown;
  byName(name: string): unknown;
  byUuid(uuid: string): unknown;
  close(): unknown;
}

const IMAGE = `"uuid", "name", "description", "state", "status", "size", "actualSize", "md5Sum", "sha256Sum", "url",
  "mediaType", "guestOsType", "platform", "architecture", "type", "format", "system", "virtio", "createDate", "lastOpDate"`;
const COPY = '"imageUuid", "backupStorageUuid", "installPath", "status", "createDate", "lastOpDate"';
const ORDER = 'order by "createDate", "uuid"';

export function plainSqlite(path: string): PlainSql {
  const database = new DatabaseSync(path, { readOnly: true });
  const list = database.prepare(`select ${IMAGE} from "image" ${ORDER} limit ? offset ?`);
  const byName = database.prepare(
    `select ${IMAGE} from "image" where "name" = ? collate nocase ${ORDER} limit 1000`,
  );
  const byUuid = database.prepare(`select ${IMAGE} from "image" where "uuid" = ?`);
  const copies = new Map<number, ReturnType<typeof database.prepare>>();
  const withCopies = (images: Record<string, unknown>[]) => {
    const uuids = images.map((image) => image.uuid as string);
    let statement = copies.get(uuids.length);
    if (!statement) {
      const marks = uuids.map(() => '?').join();
      statement = database.prepare(
        `select ${COPY} from "imageBackupStorageRef" where "imageUuid" in (${marks}) order by "createDate", "imageUuid", "backupStorageUuid"`,
      );
      copies.set(uuids.length, statement);
    }
    return [images, statement.all(...uuids)];
  };
  return {
    list: (limit, start = 0) => withCopies(list.all(limit, start)),
    byName: (name) => withCopies(byName.all(name)),
    byUuid: (uuid) => withCopies(byUuid.all(uuid)),
    close: () => database.close(),
  };
}

export async function plainPostgres(url: string): Promise<PlainSql> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const ask = async (name: string, where: string, ...values: unknown[]) => {
    const { rows } = await client.query({
      name,
      text: `select ${IMAGE} from "image" ${where}`,
      values,
    });
    const copies = await client.query({
      name: 'copies',
      text: `select ${COPY} from "imageBackupStorageRef" where "imageUuid" = any($1) order by "createDate", "imageUuid", "backupStorageUuid"`,
      values: [rows.map((row) => row.uuid)],
    });
    return [rows, copies.rows];
  };
  return {
    list: (limit, start = 0) => ask('list', `${ORDER} limit $1 offset $2`, limit, start),
    byName: (name) =>
      ask(
        'byName',
        `where lower("name" collate "C") = lower($1::text collate "C") ${ORDER} limit 1000`,
        name,
      ),
    byUuid: (uuid) => ask('byUuid', 'where "uuid" = $1', uuid),
    close: () => client.end(),
  };
}
