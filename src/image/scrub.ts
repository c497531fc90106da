/** ScrubBackupStorage: reads the copies on a storage again, slowly, and compares them with what they should be. */
import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import type { BackupStorageDriver } from '../backup-storage/driver.ts';
import { openObject } from '../backup-storage/object-reader.ts';
import type { SqlTransaction } from '../database/database.ts';
import type { Settings } from '../global-config/settings.ts';
import { hold, letGo } from '../job/holds.ts';
import type { Job, JobOperation } from '../job/operation.ts';
import { sleep } from '../kernel/clock.ts';
import { IngotError, isSystemError, toIngotError } from '../kernel/errors.ts';
import { bringFromCopies, type CopyingState, endCopying, undoCopying } from './copying.ts';
import { noteChecked, noteDamage } from './damage.ts';
import type { ScrubBackupStorage } from './messages.ts';
import type { ReadingParts } from './read-copies.ts';
import { copiesOf } from './removal.ts';
import { SCRUB_RATE } from './settings.ts';

type ScrubJob = Job<typeof ScrubBackupStorage, ScrubState>;
type ScrubParts = ReadingParts & { settings: Settings };

interface Finding {
  imageUuid: string;
  imageName: string;
  damage: string;
  repaired: boolean;
  /** Why it was not, where that was asked for. */
  error?: string;
}

interface ScrubState {
  storageUuid: string;
  /** Copies that were read before this are left out. Milliseconds since 1970. */
  before: number;
  /** The image whose copy was looked at last; they are in the order of their uuids. */
  last: string;
  copies: number;
  bytes: number;
  findings: Finding[];
  /** What is just being written again, and why. */
  repairing?: CopyingState & { damage: string };
}

const READ_BYTES = 1024 * 1024;
/** How often a copy is read that can't be for a reason that may pass. */
const ATTEMPTS = 3;
/** More would make the job's row, which is written after each copy, too large. */
const MOST_FINDINGS = 1000;

export function scrubBackupStorage(parts: ScrubParts): JobOperation<typeof ScrubBackupStorage, ScrubState> {
  return {
    async admit({ parameters: { uuid, olderThan } }, tx) {
      const storage = await requireStorage(tx, uuid);
      if (storage.status !== 'Connected') {
        const details = `backup storage '${storage.name}' (${uuid}) is ${storage.status}; it can't be read`;
        throw new IngotError('SYS.1006', details, { retryable: true });
      }
      const before = parts.clock.now() - olderThan * 1000;
      const checkpoint = { storageUuid: uuid, before, last: '', copies: 0, bytes: 0, findings: [] };
      return { target: uuid, checkpoint };
    },

    async run(job) {
      let bytesTotal = job.checkpoint.bytes + (await bytesLeft(parts, job.checkpoint));
      for (let copy = await nextCopy(parts, job); copy; copy = await nextCopy(parts, job)) {
        job.signal.throwIfAborted();
        const begun = job.checkpoint.bytes;
        const damage = await examine(parts, copy, job.signal, (bytes) => {
          bytesTotal = Math.max(bytesTotal, begun + bytes);
          job.report({ bytesDone: begun + bytes, bytesTotal });
        });
        const finding = await conclude(parts, job, copy, damage);
        const { repairing: _, ...state } = job.checkpoint;
        const findings = finding ? [...state.findings, finding].slice(-MOST_FINDINGS) : state.findings;
        await job.save({
          ...state,
          findings,
          last: copy.imageUuid,
          copies: state.copies + 1,
          bytes: begun + copy.size,
        });
        // Not before: it is due no longer then, and a job that goes on after a death would leave it out.
        await noteChecked(parts, { imageUuid: copy.imageUuid, storageUuid: copy.backupStorageUuid }, damage);
      }
      const { copies, bytes, findings } = job.checkpoint;
      const repairedCopies = findings.filter((finding) => finding.repaired).length;
      return async (tx) => {
        await letGo(tx, job.call.id);
        return {
          checkedCopies: copies,
          checkedBytes: bytes,
          damagedCopies: findings.length,
          repairedCopies,
          findings: findings.map((finding) => ({ ...finding })),
        };
      };
    },

    async undo(job) {
      const { repairing } = job.checkpoint;
      const end = repairing && (await undoCopying(parts, repairing));
      return async (tx) => {
        await letGo(tx, job.call.id);
        await end?.(tx);
      };
    },
  };
}

async function requireStorage(tx: SqlTransaction, uuid: string) {
  const storage = await tx
    .selectFrom('backupStorage')
    .select(['name', 'status'])
    .where('uuid', '=', uuid)
    .executeTakeFirst();
  if (storage) return storage;
  throw new IngotError('SYS.1003', `there is no BackupStorage with the uuid ${uuid}`);
}

function dueCopies({ database }: ScrubParts, { storageUuid, before, last }: ScrubState) {
  return database.sql
    .selectFrom('imageBackupStorageRef as ref')
    .innerJoin('image', 'image.uuid', 'ref.imageUuid')
    .where('ref.backupStorageUuid', '=', storageUuid)
    .where('ref.status', '=', 'Ready')
    .where('ref.imageUuid', '>', last)
    .where(sql<boolean>`coalesce(${sql.ref('ref.checkDate')}, ${sql.ref('ref.createDate')}) <= ${before}`);
}

function nextCopy(parts: ScrubParts, job: ScrubJob) {
  return dueCopies(parts, job.checkpoint)
    .select([
      'ref.imageUuid',
      'ref.backupStorageUuid',
      'ref.path',
      'ref.size',
      'image.name',
      'image.sha256Sum',
    ])
    .orderBy('ref.imageUuid')
    .limit(1)
    .executeTakeFirst();
}

async function bytesLeft(parts: ScrubParts, state: ScrubState): Promise<number> {
  const { sum } = await dueCopies(parts, state)
    .select(sql<number>`coalesce(sum(${sql.ref('ref.size')}), 0)`.as('sum'))
    .executeTakeFirstOrThrow();
  return Number(sum);
}

type DueCopy = NonNullable<Awaited<ReturnType<typeof nextCopy>>>;

/** What is wrong with the copy; undefined where nothing is. Rejects where the storage can't be reached, or not well. */
export async function examine(
  parts: Pick<ScrubParts, 'storages' | 'settings'>,
  copy: Pick<DueCopy, 'backupStorageUuid' | 'path' | 'size' | 'sha256Sum'>,
  signal: AbortSignal,
  report: (bytes: number) => void,
): Promise<string | undefined> {
  const driver = await parts.storages.driver(copy.backupStorageUuid);
  for (let attempt = 1; ; attempt++) {
    try {
      const size = await driver.size(copy.path);
      if (size === undefined) return 'it is gone';
      if (size !== copy.size) return `it has ${size} bytes, not ${copy.size}`;
      const found = await slowDigest(parts, driver, copy.path, signal, report);
      if (copy.sha256Sum === null || found === copy.sha256Sum) return undefined;
      return `its SHA-256 is ${found}, not ${copy.sha256Sum}`;
    } catch (thrown) {
      signal.throwIfAborted();
      await driver.ping();
      const error = toIngotError(thrown);
      // What passes, such as a connection that was cut, says nothing of the copy.
      if (error.retryable && attempt < ATTEMPTS) await sleep(attempt * 1000, signal);
      else if (error.retryable && !isOfTheDisk(thrown)) throw error;
      // Where the storage is well, it is the copy that is not.
      else return `it can't be read: ${error.details}`;
    }
  }
}

/** Where a disk of this machine still can't read a sector after several attempts, it won't at the next. */
function isOfTheDisk(thrown: unknown): boolean {
  return isSystemError(thrown) && thrown.code === 'EIO';
}

/** SHA-256 of the object, read no faster than the setting says. */
async function slowDigest(
  { settings }: Pick<ScrubParts, 'settings'>,
  driver: BackupStorageDriver,
  path: string,
  signal: AbortSignal,
  report: (bytes: number) => void,
): Promise<string> {
  const hash = createHash('sha256');
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  const reader = await openObject(driver, path, 0);
  const began = performance.now();
  try {
    for (let bytes = 0; ; ) {
      const length = await reader.read(buffer);
      signal.throwIfAborted();
      hash.update(buffer.subarray(0, length));
      bytes += length;
      report(bytes);
      if (length < buffer.length) return hash.digest('hex');
      const rate = await settings.get(SCRUB_RATE);
      const ahead = rate === 0 ? 0 : (bytes / rate) * 1000 - (performance.now() - began);
      if (ahead > 0) await sleep(ahead, signal);
    }
  } finally {
    await reader.close();
  }
}

/** Keeps what was found, and where that is asked for makes it good. */
async function conclude(
  parts: ScrubParts,
  job: ScrubJob,
  copy: DueCopy,
  damage: string | undefined,
): Promise<Finding | undefined> {
  const { imageUuid, backupStorageUuid: storageUuid } = copy;
  if (damage === undefined) return repairedBefore(parts, job, copy);
  await noteDamage(parts, { imageUuid, storageUuid }, damage);
  // One that was deleted meanwhile is nobody's loss.
  if (!(await isReady(parts, copy))) return undefined;
  const finding = { imageUuid, imageName: copy.name, damage, repaired: false };
  if (!job.call.parameters.repair) return finding;
  try {
    await repair(parts, job, copy, damage);
    return { ...finding, repaired: true };
  } catch (error) {
    job.signal.throwIfAborted();
    const { details } = toIngotError(error);
    parts.log.warn(
      { image: imageUuid, storage: storageUuid, err: error },
      'a damaged copy could not be repaired',
    );
    return { ...finding, error: details };
  }
}

/** The finding that a process which died had made good already; undefined where there was none. */
async function repairedBefore(
  { database }: ScrubParts,
  { call, checkpoint }: ScrubJob,
  { imageUuid, name }: DueCopy,
): Promise<Finding | undefined> {
  const { repairing } = checkpoint;
  if (repairing?.imageUuid !== imageUuid) return undefined;
  // It may have died holding the image.
  await database.transaction((tx) => letGo(tx, call.id));
  return { imageUuid, imageName: name, damage: repairing.damage, repaired: true };
}

async function isReady(
  { database }: ScrubParts,
  { imageUuid, backupStorageUuid }: DueCopy,
): Promise<boolean> {
  const row = await database.sql
    .selectFrom('imageBackupStorageRef')
    .select('status')
    .where('imageUuid', '=', imageUuid)
    .where('backupStorageUuid', '=', backupStorageUuid)
    .executeTakeFirst();
  return row?.status === 'Ready';
}

/** Writes the copy again from another one; it is as it was until all of the new one is there. */
async function repair(parts: ScrubParts, job: ScrubJob, copy: DueCopy, damage: string): Promise<void> {
  const { imageUuid, backupStorageUuid: storageUuid, path } = copy;
  await parts.database.transaction(async (tx) => {
    await hold(tx, { table: 'image', uuid: imageUuid, mode: 'change', job: job.call.id });
    const there = await copiesOf(tx, imageUuid);
    const known = there.find(({ backupStorageUuid }) => backupStorageUuid === storageUuid);
    if (known?.status !== 'Ready') throw new IngotError('SYS.1006', 'the copy was deleted meanwhile');
  });
  let state: CopyingState = {
    imageUuid,
    copies: [{ storageUuid, path }],
    failures: [],
    renewed: [storageUuid],
  };
  try {
    await job.save({ ...job.checkpoint, repairing: { ...state, damage } });
    const landing = await bringFromCopies(parts, {
      call: job.call,
      signal: job.signal,
      report: () => {},
      get checkpoint() {
        return state;
      },
      // A death costs this one copy's way so far.
      save: async (next) => {
        state = next;
      },
    });
    const end = await endCopying(parts, state, landing, job.signal);
    await parts.database.transaction(async (tx) => {
      await letGo(tx, job.call.id);
      await end(tx);
    });
    parts.log.info({ image: imageUuid, storage: storageUuid }, 'a damaged copy was repaired');
  } catch (error) {
    // Another process may have the job by now, and the image with it.
    job.signal.throwIfAborted();
    // Where that fails too, the end of the job lets go.
    await parts.database.transaction((tx) => letGo(tx, job.call.id)).catch(() => {});
    throw error;
  }
}
