/** The reference: hand-written SQL through the bare drivers, each image with its copies and its system tags. */
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import pg from 'pg';
import type { Question } from './questions.ts';

export interface Plain {
  /** Uuids of the images found. */
  ask(question: Question, turn: number, images: number): Promise<string[]> | string[];
  close(): unknown;
}

const IMAGE = `i.uuid, i.name, i.description, i.state, i.status, i.size, i."actualSize", i."md5Sum", i."sha256Sum", i.url,
  i."mediaType", i."guestOsType", i.platform, i.architecture, i.type, i.format, i.system, i.virtio, i."createDate", i."lastOpDate"`;
const COPY = '"imageUuid", "backupStorageUuid", "installPath", status, "createDate", "lastOpDate"';
const TAG = 'uuid, "resourceUuid", "resourceType", tag, type, inherent, "createDate", "lastOpDate"';

export function plainSqlite(path: string): Plain {
  const database = new DatabaseSync(path, { readOnly: true });
  database.exec('pragma cache_size = -65536');
  const statements = new Map<string, StatementSync>();
  const all = (sql: string, ...values: SQLInputValue[]) => {
    let statement = statements.get(sql);
    if (!statement) {
      statement = database.prepare(sql);
      statements.set(sql, statement);
    }
    return statement.all(...values) as Record<string, unknown>[];
  };
  return {
    ask(question, turn, images) {
      const { sql, values } = question.plain(turn, images);
      const text = sql.replace(/fold\(([^)]+)\)/g, '$1 collate nocase').replace(/few\(/, 'i.uuid in (');
      const found = all(`select ${IMAGE} from image as i ${text}`, ...(values as SQLInputValue[]));
      const uuids = found.map((image) => image.uuid as string);
      const list = JSON.stringify(uuids);
      all(
        `select ${COPY} from "imageBackupStorageRef" where "imageUuid" in (select value from json_each(?)) order by "createDate"`,
        list,
      );
      all(
        `select ${TAG} from "systemTag" where "resourceUuid" in (select value from json_each(?)) order by "createDate", uuid`,
        list,
      );
      return uuids;
    },
    close: () => database.close(),
  };
}

export async function plainPostgres(url: string): Promise<Plain> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return {
    async ask(question, turn, images) {
      const { sql, values } = question.plain(turn, images);
      let number = 0;
      const text = sql
        .replace(/fold\(([^)]+)\) = \?/g, 'lower($1 collate "C") = lower(cast(? as text) collate "C")')
        .replace(/i\.name like \?/g, 'lower(i.name collate "C") like ?')
        .replace(/few\((.*)\) order/s, 'i.uuid = any(array($1)) order')
        .replace(/\?/g, () => `$${++number}`);
      const { rows } = await client.query(`select ${IMAGE} from image as i ${text}`, values);
      const uuids = rows.map((image) => image.uuid as string);
      const lists = [uuids];
      await client.query(
        `select ${COPY} from "imageBackupStorageRef" where "imageUuid" = any($1) order by "createDate"`,
        lists,
      );
      await client.query(
        `select ${TAG} from "systemTag" where "resourceUuid" = any($1) order by "createDate", uuid`,
        lists,
      );
      return uuids;
    },
    close: () => client.end(),
  };
}
