/**
 * Jobs that a backup of the database has caught under way. The service went on with them then, and this database knows
 * nothing of it: what they made visible since is an image like any other that was stored after the backup, and for
 * RebuildFromStorage to register. Gone on with, such a job would write over it, or remove it when it fails.
 */
import type { AuditLog } from '../audit/audit-log.ts';
import type { BackupStorages } from '../backup-storage/backup-storages.ts';
import type { Database, SqlTransaction } from '../database/database.ts';
import { letGo } from '../job/holds.ts';
import { OPEN_STATES } from '../job/job-rows.ts';
import { messageNameOf } from '../job/long-job.ts';
import { IngotError } from '../kernel/errors.ts';
import type { AddImageState } from './add-state.ts';
import { type Copy, forgetCopy } from './copies.ts';
import type { CopyingState } from './copying.ts';

interface Parts {
  database: Database;
  storages: BackupStorages;
  audit: AuditLog;
  now: () => number;
}

/** Ends those of them that made a copy visible, or may have. Fulfilled with a sentence for each. */
export async function endPassedJobs(parts: Parts): Promise<string[]> {
  const open = await parts.database.sql
    .selectFrom('longJob')
    .select(['uuid', 'jobName', 'checkpoint'])
    .where('state', 'in', OPEN_STATES)
    .execute();
  const told: string[] = [];
  for (const { uuid, jobName, checkpoint } of open) {
    const state = makingOf(JSON.parse(checkpoint ?? 'null'));
    const found = state && (await firstThere(parts.storages, state.fresh));
    if (!state || !found) continue;
    const sentence = `${messageNameOf({ jobName })} (job ${uuid}) was under way when the backup was made, and ${found}`;
    await parts.database.transaction(async (tx) => {
      await forget(tx, state);
      await letGo(tx, uuid);
      const error = new IngotError('LONG_JOB.1002', `${sentence}; it was ended`, {
        elaboration: 'RebuildFromStorage registers what it made.',
      }).toBody();
      await tx
        .updateTable('longJob')
        .set({
          state: 'Failed',
          jobResult: JSON.stringify({ error }),
          leaseUntil: null,
          parameters: null,
          checkpoint: null,
          lastOpDate: parts.now(),
        })
        .where('uuid', '=', uuid)
        .execute();
      await parts.audit.ended(tx, uuid, 'Failed', { error });
    });
    told.push(sentence);
  }
  return told;
}

interface Making {
  imageUuid: string;
  /** Copies where there was none before. */
  fresh: Copy[];
}

/** What the job makes, where it makes copies of an image. */
function makingOf(checkpoint: unknown): Making | undefined {
  const state = checkpoint as Partial<AddImageState & CopyingState> | null;
  if (!state?.imageUuid || !Array.isArray(state.copies)) return undefined;
  const { imageUuid, copies, renewed = [] } = state;
  return { imageUuid, fresh: copies.filter(({ storageUuid }) => !renewed.includes(storageUuid)) };
}

/** Says of the first copy that is there, or may be, where. */
async function firstThere(storages: BackupStorages, copies: readonly Copy[]): Promise<string | undefined> {
  for (const { storageUuid, path } of copies) {
    try {
      const size = await (await storages.driver(storageUuid)).size(path);
      if (size !== undefined)
        return `what it made is on backup storage ${storageUuid} (${path}, ${size} bytes)`;
    } catch (error) {
      const { message } = error as Error;
      return `what it may have made on backup storage ${storageUuid} (${path}) can't be looked for: ${message}`;
    }
  }
  return undefined;
}

async function forget(tx: SqlTransaction, { imageUuid, fresh }: Making): Promise<void> {
  for (const { storageUuid } of fresh) await forgetCopy(tx, imageUuid, storageUuid);
  await tx
    .deleteFrom('image')
    .where('uuid', '=', imageUuid)
    .where('status', 'in', ['Downloading', 'Creating'])
    .execute();
}
