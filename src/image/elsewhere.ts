/** An image whose caller named no storage, and that the one which was chosen has no room for: on to another one. */
import type { BackupStorages } from '../backup-storage/backup-storages.ts';
import { candidateStorages, pickStorage } from '../backup-storage/choose.ts';
import type { Database } from '../database/database.ts';
import type { Job } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import { IngotError } from '../kernel/errors.ts';
import { throwAway } from '../primary-storage/trash.ts';
import type { AddImageState } from './add-state.ts';
import { forgetCopy, insertCopy } from './copies.ts';
import type { AddImage } from './messages.ts';

/** Fulfilled with whether there is another one, and the job may begin anew there. */
export async function moveElsewhere(
  parts: { database: Database; storages: BackupStorages; clock: Clock },
  job: Job<typeof AddImage, AddImageState>,
  error: unknown,
): Promise<boolean> {
  const { imageUuid, copies, passedOver = [] } = job.checkpoint;
  const [copy] = copies;
  if (job.call.parameters.backupStorageUuids !== undefined || !copy || !isFull(error)) return false;
  if (job.signal.aborted) return false;
  const tried = [...passedOver, copy.storageUuid];
  const next = await parts.database.transaction(async (tx) => {
    await job.requireLease(tx);
    // How large it is may be known only now that there was no room for it.
    const left = (await candidateStorages(tx, bytesIn(error))).filter(({ uuid }) => !tried.includes(uuid));
    const storageUuid = pickStorage(left);
    if (storageUuid === undefined) return undefined;
    const elsewhere = { ...copy, storageUuid };
    await forgetCopy(tx, imageUuid, copy.storageUuid);
    await throwAway(tx, 'backup', copy.storageUuid, [copy.path]);
    await insertCopy(
      tx,
      imageUuid,
      elsewhere,
      await parts.storages.driver(storageUuid, tx),
      parts.clock.now(),
    );
    const state: AddImageState = { imageUuid, copies: [elsewhere], failures: [], passedOver: tried };
    // With the rows, so that a death in between leaves no job that speaks of a copy without one.
    await tx
      .updateTable('longJob')
      .set({ checkpoint: JSON.stringify(state) })
      .where('uuid', '=', job.call.id)
      .execute();
    return state;
  });
  if (!next) return false;
  await job.save(next);
  return true;
}

function isFull(error: unknown): boolean {
  if (!(error instanceof IngotError)) return false;
  return error.code === 'BS.1006' || (error.causes.length > 0 && error.causes.every(isFull));
}

/** What did not fit, as far as the error says it. */
function bytesIn(error: unknown): number {
  if (!(error instanceof IngotError)) return 0;
  const { bytes } = error.opaque ?? {};
  return Math.max(typeof bytes === 'number' ? bytes : 0, ...error.causes.map(bytesIn));
}
