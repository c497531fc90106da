/** AddImageToBackupStorage: more copies of an image that is there, and new ones in place of damaged ones. */
import type { SqlTransaction } from '../database/database.ts';
import { hold, letGo } from '../job/holds.ts';
import type { JobOperation } from '../job/operation.ts';
import { IngotError, toErrorBody } from '../kernel/errors.ts';
import type { Trash } from '../primary-storage/trash.ts';
import { requireInventory } from '../query/find.ts';
import { type CopyFailure, insertCopy, noneHasIt, requireUsableStorage } from './copies.ts';
import { bringFromCopies, type CopyingState, endCopying, undoCopying } from './copying.ts';
import { Image } from './image.ts';
import type { AddImageToBackupStorage } from './messages.ts';
import type { ReadingParts } from './read-copies.ts';
import { imageWithCopies, noCopyToRead } from './ready-copies.ts';
import { copiesOf } from './removal.ts';

export function addImageToBackupStorage(
  parts: ReadingParts & { trash: Trash },
): JobOperation<typeof AddImageToBackupStorage, CopyingState> {
  return {
    async admit({ id, parameters: { uuid, backupStorageUuids } }, tx) {
      const found = await imageWithCopies(tx, uuid);
      if (found.copies.length === 0) throw noCopyToRead(found);
      await hold(tx, { table: 'image', uuid, mode: 'change', job: id });
      return { target: uuid, checkpoint: await place(parts, tx, uuid, new Set(backupStorageUuids)) };
    },

    async run(job) {
      const { checkpoint, call } = job;
      const { imageUuid, failures } = checkpoint;
      if (checkpoint.copies.length === 0) {
        return async (tx) => {
          await letGo(tx, call.id);
          const inventory = await requireInventory(tx, Image, imageUuid);
          return { inventory, ...(failures.length > 0 && { failures }) };
        };
      }
      const landing = await bringFromCopies(parts, job);
      const end = await endCopying(parts, job.checkpoint, landing, job.signal);
      return async (tx) => {
        await letGo(tx, call.id);
        return end(tx);
      };
    },

    async undo(job) {
      const end = await undoCopying(parts, job.checkpoint);
      return async (tx) => {
        await letGo(tx, job.call.id);
        await end(tx);
      };
    },

    ended: () => void parts.trash.empty(),
  };
}

/** A row for each copy to be. Where there is a good one already, nothing is to be done. */
async function place(
  parts: ReadingParts,
  tx: SqlTransaction,
  imageUuid: string,
  storageUuids: ReadonlySet<string>,
): Promise<CopyingState> {
  const there = await copiesOf(tx, imageUuid);
  // All of an image's copies have the same path, each on its own storage.
  const path = there[0]?.path ?? '';
  const failures: CopyFailure[] = [];
  const state: CopyingState = { imageUuid, copies: [], failures, renewed: [] };
  let good = 0;
  for (const storageUuid of storageUuids) {
    const known = there.find(({ backupStorageUuid }) => backupStorageUuid === storageUuid);
    if (known?.status === 'Ready' && known.damage === null) {
      good++;
      continue;
    }
    try {
      await requireUsableStorage(tx, storageUuid);
      if (known && known.status !== 'Ready') throw notThere(storageUuid, known.status);
      if (!known) {
        const driver = await parts.storages.driver(storageUuid, tx);
        await insertCopy(tx, imageUuid, { storageUuid, path }, driver, parts.clock.now());
      }
    } catch (error) {
      if (!(error instanceof IngotError) || error.code === 'SYS.1003') throw error;
      failures.push({ backupStorageUuid: storageUuid, error: toErrorBody(error) });
      continue;
    }
    state.copies.push({ storageUuid, path });
    if (known) state.renewed.push(storageUuid);
  }
  if (state.copies.length === 0 && good === 0) throw noneHasIt(failures);
  return state;
}

function notThere(storageUuid: string, status: string): IngotError {
  return new IngotError('SYS.1006', `the copy on backup storage ${storageUuid} is ${status}`, {
    retryable: true,
    ...(status === 'Deleted' && { elaboration: 'Bring it back with RecoverImage, or expunge it first.' }),
  });
}
