/**
 * RebuildFromStorage: registers images again from what stands beside their copies, after the database was lost. The
 * bytes are read whole (described-bytes.ts).
 */
import { Account, ADMIN_UUID } from '../account/account.ts';
import { own } from '../account/ownership.ts';
import type { BackupStorages } from '../backup-storage/backup-storages.ts';
import { takeRoom } from '../backup-storage/capacity.ts';
import type { BackupStorageDriver } from '../backup-storage/driver.ts';
import type { Database, SqlTransaction } from '../database/database.ts';
import type { Settings } from '../global-config/settings.ts';
import type { Job, JobOperation } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import { IngotError, toIngotError } from '../kernel/errors.ts';
import type { Log } from '../kernel/log.ts';
import { bornAt } from '../kernel/properties.ts';
import type { Resource } from '../kernel/resource.ts';
import type { SecretBox } from '../kernel/secret-box.ts';
import { isUuid } from '../kernel/uuid.ts';
import { isThrownAway } from '../primary-storage/trash.ts';
import { findInventory, requireFreeUuid } from '../query/find.ts';
import { addSystemTag, addUserTag } from '../tag/tags.ts';
import { shownUrl } from './add.ts';
import { requireUsableStorage } from './copies.ts';
import { requireDescribedBytes, unfit } from './described-bytes.ts';
import {
  DESCRIPTION_SUFFIX,
  describedCopy,
  filesOf,
  LONGEST_DESCRIPTION,
  readDescription,
} from './description.ts';
import { Image } from './image.ts';
import type { RebuildFromStorage } from './messages.ts';

interface Parts {
  database: Database;
  storages: BackupStorages;
  secrets: SecretBox;
  clock: Clock;
  log: Log;
  /** A directory for files that end with the process. */
  scratch: string;
  settings: Pick<Settings, 'get'>;
  resources: ReadonlyMap<string, Resource>;
}

interface Refused {
  path: string;
  reason: string;
}

interface Checkpoint {
  storageUuid: string;
  registered: number;
  known: number;
  refused: Refused[];
  /** The last description that was dealt with; they come in the order of their names. */
  done: string;
}

/** Refusals that are told; a storage full of others' files has more. */
const MOST_REFUSED = 100;
const PATH = /^templates\/acct-[0-9a-f]{32}\/([0-9a-f]{32})\/\1\.template$/;

type Described = ReturnType<typeof readDescription>;
type RebuildJob = Job<typeof RebuildFromStorage, Checkpoint>;

export function rebuildFromStorage(parts: Parts): JobOperation<typeof RebuildFromStorage, Checkpoint> {
  return {
    async admit({ parameters: { uuid } }, tx) {
      await requireUsableStorage(tx, uuid);
      return {
        target: uuid,
        checkpoint: { storageUuid: uuid, registered: 0, known: 0, refused: [], done: '' },
      };
    },

    async run(job) {
      const driver = await parts.storages.driver(job.checkpoint.storageUuid);
      const paths: string[] = [];
      for await (const { path, partial } of driver.list('templates/')) {
        if (!partial && path.endsWith(DESCRIPTION_SUFFIX)) paths.push(path);
      }
      for (const path of paths.sort()) {
        job.signal.throwIfAborted();
        if (path > job.checkpoint.done) await job.save(await dealWith(parts, job, driver, path));
      }
      const { registered, known, refused } = job.checkpoint;
      return async () => ({ registered, known, refused });
    },

    /** What was registered is right, and stays. */
    async undo() {
      return async () => {};
    },
  };
}

async function dealWith(
  parts: Parts,
  job: RebuildJob,
  driver: BackupStorageDriver,
  path: string,
): Promise<Checkpoint> {
  const before = job.checkpoint;
  try {
    const outcome = await registerOne(parts, job, driver, path);
    return { ...before, [outcome]: before[outcome] + 1, done: path };
  } catch (error) {
    job.signal.throwIfAborted();
    // Anything else is no fault of the file's, nor is a storage that is away for a while.
    if (!(error instanceof IngotError) || error.code === 'SYS.1000' || error.retryable) throw error;
    const refused = [...before.refused, { path, reason: error.details }].slice(0, MOST_REFUSED);
    return { ...before, refused, done: path };
  }
}

async function registerOne(
  parts: Parts,
  job: RebuildJob,
  driver: BackupStorageDriver,
  path: string,
): Promise<'registered' | 'known'> {
  const { storageUuid } = job.checkpoint;
  const copyPath = describedCopy(path) ?? '';
  const [, imageUuid = ''] = PATH.exec(copyPath) ?? [];
  const described = read(await textOf(driver, path), parts.secrets);
  const { image, signed } = described;
  // The place is believed, and the file only where it says the same.
  if (!isUuid(imageUuid) || image.uuid !== imageUuid)
    throw unfit('it describes another image than its place says');
  if (!signed && !job.call.parameters.acceptForeign) {
    throw unfit(
      'it is not signed with the key of this installation; acceptForeign=true takes it all the same',
    );
  }
  if (await hasCopy(parts.database, imageUuid, storageUuid)) return 'known';
  // Before it is read: as long as no row says that there is a copy, nothing of it can be thrown away anew.
  if (await isThrownAway(parts.database.sql, storageUuid, filesOf(copyPath))) {
    throw unfit('it was deleted, and is being removed');
  }
  await requireDescribedBytes(parts, job, driver, copyPath, described);
  const copy = { storageUuid, path: copyPath, location: driver.location(copyPath) };
  await parts.database.transaction((tx) => register(parts, tx, described, copy));
  return 'registered';
}

function read(text: string, secrets: SecretBox): Described {
  try {
    return readDescription(text, secrets);
  } catch (error) {
    throw unfit(error instanceof SyntaxError ? 'it is no JSON' : toIngotError(error).details);
  }
}

async function textOf(driver: BackupStorageDriver, path: string): Promise<string> {
  const size = (await driver.size(path)) ?? 0;
  if (size > LONGEST_DESCRIPTION) throw unfit(`it has ${size} bytes, and none has so many`);
  const pieces: Uint8Array[] = [];
  for await (const piece of driver.read(path, { end: LONGEST_DESCRIPTION })) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces).toString('utf8');
}

async function hasCopy({ sql }: Database, imageUuid: string, storageUuid: string): Promise<boolean> {
  const row = await sql
    .selectFrom('imageBackupStorageRef')
    .select('status')
    .where('imageUuid', '=', imageUuid)
    .where('backupStorageUuid', '=', storageUuid)
    .executeTakeFirst();
  return row !== undefined;
}

async function register(
  parts: Parts,
  tx: SqlTransaction,
  { image, status, owner, userTags, systemTags, signed }: Described,
  copy: { storageUuid: string; path: string; location: string },
): Promise<void> {
  const now = parts.clock.now();
  const known = await tx
    .selectFrom('image')
    .select('sha256Sum')
    .where('uuid', '=', image.uuid)
    .executeTakeFirst();
  if (known && known.sha256Sum !== image.sha256Sum) {
    throw unfit('an image of this uuid is known, and has other bytes');
  }
  await takeRoom(tx, copy.storageUuid, image.actualSize);
  if (!known) {
    await requireFreeUuid(tx, parts.resources.values(), image.uuid);
    await tx
      .insertInto('image')
      .values({ ...image, url: shownUrl(image.url), status })
      .execute();
    const account = owner && (await findInventory(tx, Account, owner.uuid));
    await own(tx, Image, image.uuid, account?.uuid ?? ADMIN_UUID, now);
    const tagged = { resource: Image, uuid: image.uuid };
    for (const tag of new Set(userTags)) await addUserTag(tx, tagged, tag, now);
    for (const { tag, inherent } of systemTags) {
      if (signed || !inherent) await addSystemTag(tx, tagged, tag, now, { inherent });
      // Another service's word; this one can't vouch for it.
      else parts.log.info({ image: image.uuid, tag }, "another service's tag was left out");
    }
  }
  await tx
    .insertInto('imageBackupStorageRef')
    .values({
      imageUuid: image.uuid,
      backupStorageUuid: copy.storageUuid,
      installPath: copy.location,
      path: copy.path,
      status,
      size: image.actualSize,
      ...bornAt(now),
    })
    .execute();
  // One copy in use makes the image so.
  if (known && status === 'Ready') {
    await tx
      .updateTable('image')
      .set({ status: 'Ready', lastOpDate: now })
      .where('uuid', '=', image.uuid)
      .execute();
  }
}
