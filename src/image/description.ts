/**
 * What is written of an image beside each of its copies, so that it can be registered again when the database is
 * lost: two lines of JSON, what is known of it and this installation's signature of the first line.
 */
import { sql } from 'kysely';
import type { BackupStorageDriver } from '../backup-storage/driver.ts';
import type { Sql } from '../database/database.ts';
import { sleep } from '../kernel/clock.ts';
import type { Field, Fields } from '../kernel/field.ts';
import { parseValue } from '../kernel/parse.ts';
import type { RowOf } from '../kernel/resource.ts';
import type { SecretBox } from '../kernel/secret-box.ts';
import { TAG } from '../query/tag.ts';
import { Image } from './image.ts';

const TEMPLATE = '.template';
export const DESCRIPTION_SUFFIX = '.ingot.json';
/** What the signature is of, so that it is good for nothing else. */
const PURPOSE = 'image description 1';
/** Bytes; a hundred tags of 2048 characters are fewer. */
export const LONGEST_DESCRIPTION = 1_048_576;
/** Tags of both kinds that somebody else's description may have: each is looked for among those before it. */
const MOST_TAGS = 1000;

interface ImageDescription {
  /** Of this form. */
  ingot: 1;
  image: RowOf<typeof Image>;
  /** Whether the copy is in use or marked deleted. */
  status: 'Ready' | 'Deleted';
  owner?: { uuid: string; name: string };
  userTags: string[];
  systemTags: { tag: string; inherent: boolean }[];
}

/** Beside the copy; undefined where the path is not that of an image's copy. */
export function descriptionPath(copyPath: string): string | undefined {
  return copyPath.endsWith(TEMPLATE) ? copyPath.slice(0, -TEMPLATE.length) + DESCRIPTION_SUFFIX : undefined;
}

/** What a copy consists of: its own file, and the one beside it. */
export function filesOf(copyPath: string): string[] {
  const description = descriptionPath(copyPath);
  return description === undefined ? [copyPath] : [copyPath, description];
}

/** The path of the copy that a description is of. */
export function describedCopy(path: string): string | undefined {
  return path.endsWith(DESCRIPTION_SUFFIX) ? path.slice(0, -DESCRIPTION_SUFFIX.length) + TEMPLATE : undefined;
}

/** What is to be written of the image, undefined where it or the copy is gone. */
export async function describe(
  on: Sql,
  imageUuid: string,
  storageUuid: string,
): Promise<ImageDescription | undefined> {
  const image = await on.selectFrom('image').selectAll().where('uuid', '=', imageUuid).executeTakeFirst();
  const copy = await on
    .selectFrom('imageBackupStorageRef')
    .select('status')
    .where('imageUuid', '=', imageUuid)
    .where('backupStorageUuid', '=', storageUuid)
    .executeTakeFirst();
  if (!image || (copy?.status !== 'Ready' && copy?.status !== 'Deleted')) return undefined;
  const owner = await on
    .selectFrom('accountResourceRef')
    .innerJoin('account', 'account.uuid', 'accountResourceRef.accountUuid')
    .select(['account.uuid', 'account.name'])
    .where('resourceUuid', '=', imageUuid)
    .executeTakeFirst();
  const userTags = await on
    .selectFrom('userTag')
    .select('tag')
    .where('resourceUuid', '=', imageUuid)
    .execute();
  const systemTags = await on
    .selectFrom('systemTag')
    .select(['tag', 'inherent'])
    .where('resourceUuid', '=', imageUuid)
    .execute();
  return {
    ingot: 1,
    image,
    status: copy.status,
    ...(owner && { owner }),
    userTags: userTags.map(({ tag }) => tag),
    systemTags,
  };
}

export function writeDescription(description: ImageDescription, secrets: SecretBox): string {
  const text = JSON.stringify(description);
  return `${text}\n${JSON.stringify({ signature: secrets.sign(text, PURPOSE) })}\n`;
}

/** What stands in a description; whether it is ours is said by `signed`. Throws an Error that says what is wrong. */
export function readDescription(text: string, secrets: SecretBox): ImageDescription & { signed: boolean } {
  const [first = '', second = '{}'] = text.split('\n');
  const members = membersOf(JSON.parse(first));
  if (members.ingot !== 1) throw new Error('it is of a form that this version does not know');
  const { signature } = membersOf(JSON.parse(second || '{}'));
  const { status } = members;
  if (status !== 'Ready' && status !== 'Deleted')
    throw new Error('it does not say whether the copy is in use');
  const signed = typeof signature === 'string' && secrets.isSigned(first, signature, PURPOSE);
  const userTags = listOf(members.userTags);
  const systemTags = listOf(members.systemTags);
  const tags = userTags.length + systemTags.length;
  if (!signed && tags > MOST_TAGS) throw new Error(`it has ${tags} tags, and may have at most ${MOST_TAGS}`);
  return {
    ingot: 1,
    image: imageOf(membersOf(members.image)),
    status,
    ...ownerIn(members.owner),
    userTags: userTags.map(tagOf),
    systemTags: systemTags.map((each) => {
      const { tag, inherent } = membersOf(each);
      // The service's own may quote a guest, control characters and all.
      return inherent === true ? { tag: textOf(tag), inherent } : { tag: tagOf(tag), inherent: false };
    }),
    signed,
  };
}

/** As the declaration has it: nothing is believed only because it is there. */
function imageOf(members: Record<string, unknown>): RowOf<typeof Image> {
  const fields: Fields = Image.fields;
  const row = Object.entries(fields).map(([name, field]) => [name, fieldIn(name, field, members[name])]);
  return Object.fromEntries(row) as RowOf<typeof Image>;
}

function fieldIn(name: string, field: Field, value: unknown): unknown {
  if (value !== undefined && value !== null) return parseValue(name, field, value);
  if (field.presence === 'optional') return null;
  if (field.default !== undefined) return field.default;
  throw new Error(`'${name}' is missing`);
}

function ownerIn(value: unknown): Pick<ImageDescription, 'owner'> {
  if (value === undefined) return {};
  const { uuid, name } = membersOf(value);
  return { owner: { uuid: textOf(uuid), name: textOf(name) } };
}

function membersOf(value: unknown): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw new Error('it is not what a description is made of');
}

const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

const tagOf = (value: unknown) => parseValue('tag', TAG, value) as string;

function textOf(value: unknown): string {
  if (typeof value === 'string' && value.length <= 2048) return value;
  throw new Error('a text in it is none, or too long');
}

/** Fulfilled when nobody is writing beside the copy any more; for who is about to remove it, and has said so in the rows. */
export async function whenDescribed(
  on: Sql,
  imageUuid: string,
  storageUuid: string,
  now: () => number,
): Promise<void> {
  for (;;) {
    const row = await on
      .selectFrom('imageDescription')
      .select('claimedUntil')
      .where('imageUuid', '=', imageUuid)
      .where('backupStorageUuid', '=', storageUuid)
      .executeTakeFirst();
    if (!row || row.claimedUntil <= now()) return;
    await sleep(20);
  }
}

/** Removes a copy and what stands beside it. */
export async function removeWithDescription(driver: BackupStorageDriver, path: string): Promise<void> {
  for (const file of filesOf(path)) await driver.remove(file);
}

/** What is pending: anything that changed since it was written last. */
export const isOutdated = sql<boolean>`${sql.ref('written')} < ${sql.ref('revision')}`;

interface ImageDescriptionRow {
  imageUuid: string;
  backupStorageUuid: string;
  /** Goes up by itself with every change to what is described. */
  revision: number;
  /** The revision that the file has. */
  written: number;
  /** A process may be writing the file until then. */
  claimedUntil: number;
}

declare module '../database/database.ts' {
  interface Tables {
    imageDescription: ImageDescriptionRow;
  }
}
