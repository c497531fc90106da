/** DeleteImage: from the named storages or all; gone with its last copy (image chapter, Delete Image). */

import type { BackupStorages } from '../backup-storage/backup-storages.ts';
import type { Database, SqlTransaction } from '../database/database.ts';
import type { Settings } from '../global-config/settings.ts';
import type { JobOperation } from '../job/operation.ts';
import type { JobRunner } from '../job/runner.ts';
import { type Clock, sleep } from '../kernel/clock.ts';
import { IngotError } from '../kernel/errors.ts';
import type { Log } from '../kernel/log.ts';
import type { DeleteImage } from './messages.ts';
import {
  copiesOf,
  forgetCopies,
  type Leaving,
  markCopies,
  removeBytes,
  removingJob,
  restoreCopies,
} from './removal.ts';
import { DELETION_POLICY } from './settings.ts';

interface Checkpoint {
  imageUuid: string;
  /** What loses its bytes; nothing where copies are only marked Deleted. */
  leaving: Leaving[];
  enforcing: boolean;
  /** The job that is taking the image in, and has to end first. */
  takingIn?: string;
}

export function deleteImage(parts: {
  database: Database;
  storages: BackupStorages;
  settings: Settings;
  runner: () => JobRunner;
  clock: Clock;
  log: Log;
}): JobOperation<typeof DeleteImage, Checkpoint> {
  return {
    async admit({ parameters: { uuid, backupStorageUuids, deleteMode } }, tx) {
      const image = await tx.selectFrom('image').selectAll().where('uuid', '=', uuid).executeTakeFirst();
      if (!image) throw new IngotError('SYS.1003', `there is no Image with the uuid ${uuid}`);
      const enforcing = deleteMode === 'Enforcing';
      const checkpoint = { imageUuid: uuid, leaving: [], enforcing };
      if (image.status === 'Downloading' || image.status === 'Creating') {
        if (backupStorageUuids && !enforcing) {
          throw new IngotError(
            'SYS.1006',
            `image '${image.name}' is ${image.status}; it can be deleted as a whole, but not from single backup storages`,
            { retryable: true, elaboration: "Leave out 'backupStorageUuids', or wait until it is Ready." },
          );
        }
        const takingIn = await cancelTakingIn(parts.runner(), tx, uuid);
        if (takingIn) return { target: uuid, checkpoint: { ...checkpoint, takingIn } };
      }
      const there = await copiesOf(tx, uuid);
      const copying = await cancelCopying(parts.runner(), tx, there, backupStorageUuids);
      // What is being made goes with the job that makes it.
      const all = copying ? there.filter(({ status }) => status !== 'Downloading') : there;
      const stillThere = backupStorageUuids?.filter((each) => !copying?.storages.includes(each));
      const chosen = stillThere ? pickCopies(image.name, all, stillThere, enforcing) : all;
      const takingIn = copying && { takingIn: copying.job };
      const policy = enforcing ? 'Direct' : await parts.settings.get(DELETION_POLICY);
      if (policy !== 'Direct') {
        const kept = chosen.filter((copy) => copy.status === 'Ready');
        await markCopies(tx, kept, 'Deleted', parts.clock.now());
        return { target: uuid, checkpoint: { ...checkpoint, ...takingIn } };
      }
      await markCopies(tx, chosen, 'Deleted', parts.clock.now());
      return { target: uuid, checkpoint: { ...checkpoint, ...takingIn, leaving: chosen.map(leavingOf) } };
    },

    async run(job) {
      const { leaving, enforcing, takingIn, imageUuid } = job.checkpoint;
      if (takingIn) await untilGone(parts, takingIn, imageUuid, job.signal);
      const left = await removeBytes(parts, leaving, enforcing);
      return async (tx) => {
        await forgetCopies(tx, leaving, left);
        return {};
      };
    },

    async undo(job) {
      const restore = await restoreCopies(parts, job.checkpoint.leaving);
      return async (tx) => {
        // Another job that takes them away has the last word.
        const other = await removingJob(tx, job.checkpoint.imageUuid, job.call.id);
        if (!other) await restore(tx);
      };
    },
  };
}

export function leavingOf({ imageUuid, backupStorageUuid, path, size, status }: Leaving): Leaving {
  return { imageUuid, backupStorageUuid, path, size, status };
}

/** Cancels a job that is making copies which are to go, before they are there; its undoing removes them. */
async function cancelCopying(
  runner: JobRunner,
  tx: SqlTransaction,
  copies: Awaited<ReturnType<typeof copiesOf>>,
  wanted: string[] | undefined,
): Promise<{ job: string; storages: string[] } | undefined> {
  const storages = copies
    .filter(({ status }) => status === 'Downloading')
    .map(({ backupStorageUuid }) => backupStorageUuid);
  const [copy] = copies;
  if (!copy || (wanted && !wanted.some((uuid) => storages.includes(uuid)))) return undefined;
  const job = await tx
    .selectFrom('longJob')
    .select('uuid')
    .where('targetResourceUuid', '=', copy.imageUuid)
    .where('jobName', '=', 'APIAddImageToBackupStorageMsg')
    .where('state', 'in', ['Waiting', 'Running', 'Canceling'])
    .executeTakeFirst();
  if (!job) return undefined;
  await runner.cancel(job.uuid, tx);
  return { job: job.uuid, storages };
}

/** Cancels the job that takes the image in; its undoing removes everything. */
async function cancelTakingIn(
  runner: JobRunner,
  tx: SqlTransaction,
  imageUuid: string,
): Promise<string | undefined> {
  const job = await tx
    .selectFrom('longJob')
    .select('uuid')
    .where('targetResourceUuid', '=', imageUuid)
    .where('jobName', '!=', 'APIDeleteImageMsg')
    .where('state', 'in', ['Waiting', 'Running', 'Canceling'])
    .executeTakeFirst();
  if (!job) return undefined;
  try {
    await runner.cancel(job.uuid, tx);
  } catch (error) {
    // It ended in the same moment.
    if (error instanceof IngotError && error.code === 'LONG_JOB.1001') throw becameReady(imageUuid);
    throw error;
  }
  return job.uuid;
}

async function untilGone(
  parts: { database: Database; runner: () => JobRunner },
  jobUuid: string,
  imageUuid: string,
  signal: AbortSignal,
): Promise<void> {
  parts.runner().noticeCancelled(jobUuid);
  for (;;) {
    const row = await parts.database.sql
      .selectFrom('longJob')
      .select('state')
      .where('uuid', '=', jobUuid)
      .executeTakeFirst();
    if (!row || row.state === 'Canceled' || row.state === 'Failed') return;
    if (row.state === 'Succeeded') {
      throw becameReady(imageUuid);
    }
    await sleep(50, signal);
  }
}

function becameReady(imageUuid: string): IngotError {
  return new IngotError(
    'SYS.1004',
    `image ${imageUuid} became Ready while it was being deleted; delete it again`,
    { retryable: true },
  );
}

function pickCopies<R extends { backupStorageUuid: string }>(
  imageName: string,
  all: R[],
  wanted: string[],
  enforcing: boolean,
): R[] {
  const missing = wanted.find((uuid) => !all.some((ref) => ref.backupStorageUuid === uuid));
  if (missing !== undefined && !enforcing) {
    throw new IngotError('SYS.1007', `image '${imageName}' has no copy on backup storage ${missing}`, {
      opaque: { parameter: 'backupStorageUuids' },
    });
  }
  return all.filter((ref) => wanted.includes(ref.backupStorageUuid));
}
