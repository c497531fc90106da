/** Ten questions as they are typically asked, and the SQL that somebody who knows the data would write for each. */
import { hash } from 'node:crypto';

const MIB = 2 ** 20;

export interface Question {
  name: string;
  /** Parameters of QueryImage; every turn asks for something else. */
  parameters: (turn: number, images: number) => Record<string, unknown>;
  /** What follows `from image as i`, with `?` for each value. */
  plain: (turn: number, images: number) => { sql: string; values: unknown[] };
}

const LIMIT = 20;
const page = { limit: LIMIT };
const AGE = `order by i."createDate", i.uuid limit ${LIMIT}`;
const NEWEST = `order by i."createDate" desc, i.uuid desc limit ${LIMIT}`;

const some = (turn: number, images: number) => (turn * 7919) % images;
const uuidOf = (i: number) => hash('md5', `image-${i}`);
const NAMES = ['centos', 'rocky', 'ubuntu', 'debian', 'suse', 'fedora', 'windows'];
const nameOf = (i: number) => `${NAMES[i % 7]}-${(i * 7919) % 1_000_003}`;

/**
 * Written once for both: SQLite's `collate nocase` is the other's `lower(… collate "C")`. And `few(select …)` is what
 * makes each of them find these rows first; a plain `in` PostgreSQL takes for many, and walks the whole table.
 */
export const folded = (column: string) => `fold(${column})`;

export const QUESTIONS: readonly Question[] = [
  {
    name: 'by uuid',
    parameters: (turn, images) => ({ conditions: [`uuid=${uuidOf(some(turn, images))}`], ...page }),
    plain: (turn, images) => ({ sql: 'where i.uuid = ?', values: [uuidOf(some(turn, images))] }),
  },
  {
    name: 'by name',
    parameters: (turn, images) => ({ conditions: [`name=${nameOf(some(turn, images))}`], ...page }),
    plain: (turn, images) => ({
      sql: `where ${folded('i.name')} = ? ${AGE}`,
      values: [nameOf(some(turn, images))],
    }),
  },
  {
    name: 'status and media type, newest first',
    parameters: () => ({ conditions: ['status=Ready', 'mediaType=ISO'], sortBy: '-createDate', ...page }),
    plain: () => ({
      sql: `where i.status = ? and i."mediaType" = ? ${NEWEST}`,
      values: ['Ready', 'ISO'],
    }),
  },
  {
    name: 'size over a bound, largest first',
    parameters: (turn) => ({ conditions: [`size>${40_000 + turn}M`], sortBy: '-size', ...page }),
    plain: (turn) => ({
      sql: `where i.size > ? order by i.size desc, i."createDate" desc, i.uuid desc limit ${LIMIT}`,
      values: [(40_000 + turn) * MIB],
    }),
  },
  {
    name: 'where: two prefixes or, a size, a status',
    parameters: (turn) => ({
      where: `(name~=centos-${turn % 10}% OR name~=rocky-${turn % 10}%) AND size<30G AND status=Ready`,
      ...page,
    }),
    plain: (turn) => ({
      sql: `where (i.name like ? or i.name like ?) and i.size < ? and i.status = ? ${AGE}`,
      values: [`centos-${turn % 10}%`, `rocky-${turn % 10}%`, 30 * 1024 * MIB, 'Ready'],
    }),
  },
  {
    name: 'backupStorage.name (join of 2, many)',
    parameters: (turn) => ({ conditions: [`backupStorage.name=storage-${turn % 18}`], ...page }),
    plain: (turn) => ({
      sql: `where exists (select 1 from "imageBackupStorageRef" r join "backupStorage" b on b.uuid = r."backupStorageUuid"
        where r."imageUuid" = i.uuid and ${folded('b.name')} = ?) ${AGE}`,
      values: [`storage-${turn % 18}`],
    }),
  },
  {
    name: 'backupStorage.zone.name (join of 4, many)',
    parameters: (turn) => ({
      conditions: [`backupStorage.zone.name=z${turn % 4}`],
      sortBy: '-createDate',
      ...page,
    }),
    plain: (turn) => ({
      sql: `where exists (select 1 from "imageBackupStorageRef" r
        join "backupStorageZoneRef" zr on zr."backupStorageUuid" = r."backupStorageUuid"
        join zone z on z.uuid = zr."zoneUuid"
        where r."imageUuid" = i.uuid and ${folded('z.name')} = ?) ${NEWEST}`,
      values: [`z${turn % 4}`],
    }),
  },
  {
    name: 'backupStorage.zone.name (join of 4, few)',
    parameters: () => ({ conditions: ['backupStorage.zone.name=edge'], ...page }),
    plain: () => ({
      sql: `where few(select r."imageUuid" from "imageBackupStorageRef" r
        join "backupStorageZoneRef" zr on zr."backupStorageUuid" = r."backupStorageUuid"
        join zone z on z.uuid = zr."zoneUuid" where ${folded('z.name')} = ?) ${AGE}`,
      values: ['edge'],
    }),
  },
  {
    name: '__userTag__ (few)',
    parameters: () => ({ conditions: ['__userTag__=golden-image'], ...page }),
    plain: () => ({
      sql: `where few(select t."resourceUuid" from "userTag" t where ${folded('t.tag')} = ?) ${AGE}`,
      values: ['golden-image'],
    }),
  },
  {
    name: '__systemTag__ (many), a status, and not a tag',
    parameters: (turn) => ({
      conditions: ['__systemTag__=bootMode::UEFI', 'status=Ready', `__userTag__!=team-${turn % 200}`],
      ...page,
    }),
    plain: (turn) => ({
      sql: `where i.status = ? and exists (select 1 from "systemTag" s where s."resourceUuid" = i.uuid and s.tag = ?)
        and not exists (select 1 from "userTag" t where t."resourceUuid" = i.uuid and ${folded('t.tag')} = ?) ${AGE}`,
      values: ['Ready', 'bootMode::UEFI', `team-${turn % 200}`],
    }),
  },
];
