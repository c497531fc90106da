/** AddImage: an image from a URL, on one or several backup storages (image chapter, Add Image). */
import type { BackupStorages } from '../backup-storage/backup-storages.ts';
import { chooseStorage } from '../backup-storage/choose.ts';
import type { Database, SqlTransaction } from '../database/database.ts';
import type { Settings } from '../global-config/settings.ts';
import type { Call, Job, JobOperation, LastStep } from '../job/operation.ts';
import type { JobRunner } from '../job/runner.ts';
import type { Clock } from '../kernel/clock.ts';
import { IngotError, toErrorBody } from '../kernel/errors.ts';
import type { Log } from '../kernel/log.ts';
import { maskedUrl } from '../kernel/masked-url.ts';
import type { Message } from '../kernel/message.ts';
import { bornAt } from '../kernel/properties.ts';
import type { InventoryOf, Resource } from '../kernel/resource.ts';
import { newUuid } from '../kernel/uuid.ts';
import { type Trash, throwAway } from '../primary-storage/trash.ts';
import { requireFreeUuid, requireInventory } from '../query/find.ts';
import type { AddImageState, Landing, Taken } from './add-state.ts';
import { commitCopies } from './commit.ts';
import {
  type Copy,
  type CopyFailure,
  copyPath,
  forgetCopy,
  insertCopy,
  noneHasIt,
  requireUsableStorage,
  reserve,
} from './copies.ts';
import { moveElsewhere } from './elsewhere.ts';
import { hostArchitecture, isParavirtual } from './guest.ts';
import { Image } from './image.ts';
import type { AddImage } from './messages.ts';
import { requireSource, sourceUrl, type TransferSettings } from './source.ts';
import { takeIn } from './take-in.ts';
import { requireFittingMediaType } from './update.ts';
import type { AwaitedUpload, Uploads } from './upload/uploads.ts';

export interface AddImageParts {
  database: Database;
  storages: BackupStorages;
  clock: Clock;
  log: Log;
  /** A directory for files that end with the process. */
  scratch: string;
  transfer: TransferSettings;
  trash: Trash;
  settings: Pick<Settings, 'get'>;
  resources: ReadonlyMap<string, Resource>;
  runner: () => JobRunner;
  uploads: Uploads;
  /** What takes an upload's bytes, as a job that follows on AddImage. */
  receiver: Message;
}

export function addImage(parts: AddImageParts): JobOperation<typeof AddImage, AddImageState> {
  return {
    waitsFor: 'source',

    async admit(call, tx) {
      const { parameters, caller } = call;
      // An ISO may be declared raw, as the chapter knows no format iso; its bytes are an iso all the same.
      const format =
        parameters.mediaType === 'ISO' && parameters.format === 'raw' ? 'iso' : parameters.format;
      const mediaType = parameters.mediaType ?? (format === 'iso' ? 'ISO' : undefined);
      requireSource(parameters.url, parts.transfer);
      requireFittingMediaType(mediaType, format, parameters.system);
      if (parameters.resourceUuid)
        await requireFreeUuid(tx, parts.resources.values(), parameters.resourceUuid);
      const imageUuid = parameters.resourceUuid ?? newUuid();
      const path = copyPath(caller.accountUuid, imageUuid);
      const { usable, failures } = await chooseStorages(tx, parameters.backupStorageUuids);
      const now = parts.clock.now();
      await insertImage(tx, call, imageUuid, now);
      const copies = usable.map((storageUuid) => ({ storageUuid, path }));
      for (const copy of copies) {
        await insertCopy(tx, imageUuid, copy, await parts.storages.driver(copy.storageUuid, tx), now);
      }
      const checkpoint = { imageUuid, copies, failures };
      if (!isUpload(parameters.url)) return { target: imageUuid, checkpoint };
      const { url, uploadSize: size } = parameters;
      const upload = await parts.uploads.await(tx, {
        uuid: imageUuid,
        url,
        now,
        ...(size !== undefined && { size }),
      });
      // ZStack's clients look for the address here.
      await tx
        .updateTable('imageBackupStorageRef')
        .set({ installPath: upload.url })
        .where('imageUuid', '=', imageUuid)
        .where('backupStorageUuid', '=', copies[0]?.storageUuid ?? '')
        .execute();
      return { target: imageUuid, checkpoint: { ...checkpoint, upload } };
    },

    async run(job) {
      const { upload } = job.checkpoint;
      if (upload) return awaitUpload(parts, job, upload);
      for (;;) {
        try {
          return await endTakingIn(parts, job.checkpoint, await takeIn(parts, job), job.signal);
        } catch (error) {
          if (!(await moveElsewhere(parts, job, error))) throw error;
        }
      }
    },

    undo: (job) => undoTakingIn(parts, job.checkpoint),
    ended: () => void parts.trash.empty(),
  };
}

const isUpload = (url: string) => /^upload:/i.test(url);

/** The call ends with the address to send the bytes to; another job waits for them, from the same moment on. */
function awaitUpload(
  parts: AddImageParts,
  { call, checkpoint }: Job<typeof AddImage, AddImageState>,
  upload: AwaitedUpload,
): LastStep<typeof AddImage> {
  return async (tx) => {
    await parts
      .runner()
      .follow(
        tx,
        { id: upload.job, message: parts.receiver, parameters: call.parameters, caller: call.caller },
        { target: checkpoint.imageUuid, checkpoint },
      );
    return {
      inventory: await requireInventory(tx, Image, checkpoint.imageUuid),
      uploadUrl: upload.url,
      uploadJobUuid: upload.job,
      ...(checkpoint.failures.length > 0 && { failures: checkpoint.failures }),
    };
  };
}

/** Makes what was taken in visible, and returns the last step. Rejects when no storage has it. */
export async function endTakingIn(
  parts: Pick<AddImageParts, 'database' | 'storages' | 'clock'>,
  { imageUuid, copies, failures: refused }: AddImageState,
  taken: Landing,
  signal: AbortSignal,
): Promise<(tx: SqlTransaction) => Promise<{ inventory: InventoryOf<typeof Image> }>> {
  const { landed, failures } = await commitCopies(parts, copies, taken, signal);
  const all = [...refused, ...taken.failures, ...failures];
  if (landed.length === 0) throw noneHasIt(all);
  return async (tx) => {
    const gone = await withoutRow(tx, imageUuid, landed);
    const told = [...all, ...gone];
    if (gone.length === landed.length) throw noneHasIt(told);
    for (const copy of copies) {
      const { storageUuid } = copy;
      if (landed.includes(storageUuid) && !isIn(gone, copy)) {
        await makeCopyReady(tx, imageUuid, storageUuid, taken.bytes, parts.clock.now());
        continue;
      }
      // Only with this step: until it stands, another process may have the job, and have made the copy visible.
      await forgetCopy(tx, imageUuid, storageUuid);
      await throwAwayAll(tx, [copy]);
    }
    await makeImageReady(tx, imageUuid, taken, parts.clock.now());
    const inventory = await requireInventory(tx, Image, imageUuid);
    return { inventory, ...(told.length > 0 && { failures: told }) };
  };
}

/** Takes back all that taking an image in has begun; what it returns is the last step. */
export async function undoTakingIn(
  parts: Pick<AddImageParts, 'database' | 'storages'>,
  { imageUuid, copies }: AddImageState,
): Promise<(tx: SqlTransaction) => Promise<void>> {
  const left = await removeAll(parts, copies);
  return async (tx) => {
    await throwAwayAll(tx, left);
    for (const copy of copies) await forgetCopy(tx, imageUuid, copy.storageUuid);
    await tx.deleteFrom('image').where('uuid', '=', imageUuid).execute();
  };
}

/** The named storages, those that can't take the image aside; or one chosen at random. */
export async function chooseStorages(
  tx: SqlTransaction,
  named: string[] | undefined,
  choose: () => Promise<string> = () => chooseStorage(tx, 0),
): Promise<{ usable: string[]; failures: CopyFailure[] }> {
  if (named === undefined) return { usable: [await choose()], failures: [] };
  const usable: string[] = [];
  const failures: CopyFailure[] = [];
  for (const uuid of new Set(named)) {
    try {
      await requireUsableStorage(tx, uuid);
      usable.push(uuid);
    } catch (error) {
      // A uuid that names nothing is a mistake in the call, and not a storage that fails.
      if (error instanceof IngotError && error.code === 'SYS.1003') throw error;
      failures.push({ backupStorageUuid: uuid, error: toErrorBody(error) });
    }
  }
  if (usable.length === 0) throw noneHasIt(failures);
  return { usable, failures };
}

async function insertImage(
  tx: SqlTransaction,
  call: Call<typeof AddImage>,
  uuid: string,
  now: number,
): Promise<void> {
  const { parameters } = call;
  await tx
    .insertInto('image')
    .values({
      uuid,
      name: parameters.name,
      description: parameters.description ?? null,
      state: 'Enabled',
      status: 'Downloading',
      size: 0,
      actualSize: 0,
      md5Sum: null,
      sha256Sum: null,
      url: shownUrl(parameters.url),
      mediaType: parameters.mediaType ?? (parameters.format === 'iso' ? 'ISO' : 'RootVolumeTemplate'),
      guestOsType: parameters.guestOsType ?? null,
      platform: parameters.platform,
      architecture: parameters.architecture ?? hostArchitecture(),
      type: parameters.type,
      format: parameters.format ?? null,
      system: parameters.system,
      virtio: parameters.virtio ?? isParavirtual(parameters.platform),
      ...bornAt(now),
    })
    .execute();
}

/** Of a URL with stars in it, longer by them, what a field of it may hold. */
const LONGEST_URL = 2048;

/** A path as the URL that it stands for, anything else to the letter, without its password. */
export function shownUrl(url: string): string {
  return maskedUrl(url.startsWith('/') ? sourceUrl(url).href : url).slice(0, LONGEST_URL);
}

/** Those of the storages that were deleted by force while the image was being written to them. */
export async function withoutRow(
  tx: SqlTransaction,
  imageUuid: string,
  landed: readonly string[],
): Promise<CopyFailure[]> {
  const rows = await tx
    .selectFrom('imageBackupStorageRef')
    .select('backupStorageUuid')
    .where('imageUuid', '=', imageUuid)
    .execute();
  const known = new Set(rows.map((row) => row.backupStorageUuid));
  return landed
    .filter((uuid) => !known.has(uuid))
    .map((backupStorageUuid) => {
      const error = new IngotError('SYS.1006', `backup storage ${backupStorageUuid} was deleted meanwhile`);
      return { backupStorageUuid, error: error.toBody() };
    });
}

export function isIn(failures: readonly CopyFailure[], { storageUuid }: Copy): boolean {
  return failures.some(({ backupStorageUuid }) => backupStorageUuid === storageUuid);
}

/** A copy that was deleted while it was being renewed stays deleted. */
export async function makeCopyReady(
  tx: SqlTransaction,
  imageUuid: string,
  storageUuid: string,
  bytes: number,
  now: number,
): Promise<void> {
  await reserve(tx, imageUuid, storageUuid, bytes);
  await tx
    .updateTable('imageBackupStorageRef')
    .set({ status: 'Ready', damage: null, lastOpDate: now })
    .where('imageUuid', '=', imageUuid)
    .where('backupStorageUuid', '=', storageUuid)
    .where('status', '!=', 'Deleted')
    .execute();
}

async function makeImageReady(tx: SqlTransaction, uuid: string, taken: Taken, now: number): Promise<void> {
  await tx
    .updateTable('image')
    .set({
      status: 'Ready',
      size: taken.virtualSize,
      actualSize: taken.bytes,
      md5Sum: taken.md5,
      sha256Sum: taken.sha256,
      format: taken.format,
      mediaType: taken.mediaType,
      lastOpDate: now,
    })
    .where('uuid', '=', uuid)
    .execute();
}

/** Removes what there may be of the copies; fulfilled with those whose storage did not let it. */
export async function removeAll(
  parts: Pick<AddImageParts, 'database' | 'storages'>,
  copies: readonly Copy[],
): Promise<Copy[]> {
  const left = await Promise.all(
    copies.map((copy) =>
      removeBytes(parts, copy).then(
        () => [],
        () => [copy],
      ),
    ),
  );
  return left.flat();
}

/** Removed after the transaction, or when its storage is back. */
export async function throwAwayAll(tx: SqlTransaction, copies: readonly Copy[]): Promise<void> {
  for (const { storageUuid, path } of copies) await throwAway(tx, 'backup', storageUuid, [path]);
}

async function removeBytes(parts: Pick<AddImageParts, 'database' | 'storages'>, copy: Copy): Promise<void> {
  const known = await parts.database.sql
    .selectFrom('backupStorage')
    .select('uuid')
    .where('uuid', '=', copy.storageUuid)
    .executeTakeFirst();
  // Gone with its storage.
  if (!known) return;
  await (await parts.storages.driver(copy.storageUuid)).remove(copy.path);
}
