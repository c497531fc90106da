/** Copies made from copies: the pass, its end and its undoing, for whoever wants more of them or new ones. */
import { objectDigest } from '../backup-storage/object-digest.ts';
import type { SqlTransaction } from '../database/database.ts';
import type { Job } from '../job/operation.ts';
import { IngotError, toIngotError } from '../kernel/errors.ts';
import type { Message } from '../kernel/message.ts';
import type { InventoryOf } from '../kernel/resource.ts';
import { requireInventory } from '../query/find.ts';
import { isIn, makeCopyReady, removeAll, throwAwayAll, withoutRow } from './add.ts';
import type { AddImageState, Landing } from './add-state.ts';
import { commitCopies } from './commit.ts';
import { type Copy, forgetCopy, noneHasIt } from './copies.ts';
import { copiesSource } from './copies-source.ts';
import { noteDamage } from './damage.ts';
import { Image } from './image.ts';
import type { ReadingParts } from './read-copies.ts';
import { type ImageWithCopies, imageWithCopies, noCopyToRead } from './ready-copies.ts';
import { settleStatus } from './removal.ts';
import { bringIn } from './take-in.ts';

/** The taking in of an image that is there already. */
export interface CopyingState extends AddImageState {
  /** Of the storages, those that have a damaged copy, which is there until the new one is. */
  renewed: string[];
}

type CopyingJob = Pick<Job<Message, CopyingState>, 'call' | 'checkpoint' | 'signal' | 'report' | 'save'>;

/** What came is not the image: a copy is damaged in a way that only its digest shows. */
class WrongBytes extends IngotError {}

/** Brings the bytes from the best copy to all the new ones, and compares their digest before anyone may read them. */
export async function bringFromCopies(parts: ReadingParts, job: CopyingJob): Promise<Landing> {
  for (;;) {
    const found = await imageWithCopies(parts.database.sql, job.checkpoint.imageUuid);
    // What is under way already needs no source.
    if (found.copies.length === 0 && !job.checkpoint.taken) throw noCopyToRead(found);
    const { sha256Sum, format, size: virtualSize, mediaType } = found.image;
    try {
      return await bringIn(
        parts,
        {
          call: job.call,
          signal: job.signal,
          report: job.report,
          get checkpoint() {
            return job.checkpoint;
          },
          save: (next) => job.save({ ...job.checkpoint, ...next }),
        },
        {
          source: () => copiesSource(parts, found),
          judge: ({ sha256 }) => {
            if (sha256 === sha256Sum) return { format, virtualSize, mediaType };
            throw new WrongBytes('SYS.1016', `the bytes have the SHA-256 ${sha256}, not ${sha256Sum}`);
          },
        },
      );
    } catch (error) {
      if (!(error instanceof WrongBytes)) throw error;
      // With the damaged ones known, the next round reads from the others.
      if ((await findDamaged(parts, found, job.signal)) === 0) throw error;
      const { transfer: _, ...rest } = job.checkpoint;
      await job.save(rest);
    }
  }
}

/** Reads every copy, and notes those whose digest is another. Fulfilled with how many these are. */
async function findDamaged(
  parts: ReadingParts,
  { image, copies }: ImageWithCopies,
  signal: AbortSignal,
): Promise<number> {
  let damaged = 0;
  for (const { storageUuid, path } of copies) {
    try {
      const found = await objectDigest(await parts.storages.driver(storageUuid), path, { signal });
      if (found === image.sha256Sum) continue;
      const damage = `its SHA-256 is ${found}, not ${image.sha256Sum}`;
      await noteDamage(parts, { imageUuid: image.uuid, storageUuid }, damage);
      damaged++;
    } catch (error) {
      signal.throwIfAborted();
      parts.log.warn({ storage: storageUuid, err: toIngotError(error) }, 'a copy could not be read');
    }
  }
  return damaged;
}

/** Makes the new copies visible, and returns the last step. Rejects where there is none. */
export async function endCopying(
  parts: ReadingParts,
  { imageUuid, copies, failures: refused, renewed }: CopyingState,
  landing: Landing,
  signal: AbortSignal,
): Promise<(tx: SqlTransaction) => Promise<{ inventory: InventoryOf<typeof Image> }>> {
  const { landed, failures } = await commitCopies(parts, copies, landing, signal);
  const all = [...refused, ...landing.failures, ...failures];
  if (landed.length === 0) throw noneHasIt(all);
  const isNew = ({ storageUuid }: Copy) => !renewed.includes(storageUuid);
  return async (tx) => {
    const gone = await withoutRow(tx, imageUuid, landed);
    const told = [...all, ...gone];
    if (gone.length === landed.length) throw noneHasIt(told);
    for (const copy of copies) {
      const { storageUuid } = copy;
      if (landed.includes(storageUuid) && !isIn(gone, copy)) {
        await makeCopyReady(tx, imageUuid, storageUuid, landing.bytes, parts.clock.now());
      } else if (isIn(gone, copy) || isNew(copy)) {
        await forgetCopy(tx, imageUuid, storageUuid);
        await throwAwayAll(tx, [copy]);
      }
    }
    await settleStatus(tx, imageUuid);
    const inventory = await requireInventory(tx, Image, imageUuid);
    return { inventory, ...(told.length > 0 && { failures: told }) };
  };
}

/**
 * Takes back what was begun. Copies that were to be renewed stay as damaged as they were; of one that was deleted
 * meanwhile nothing stays, though it was visible already.
 */
export async function undoCopying(
  parts: ReadingParts,
  { imageUuid, copies, renewed }: CopyingState,
): Promise<(tx: SqlTransaction) => Promise<void>> {
  const isOld = ({ storageUuid }: Copy) => renewed.includes(storageUuid);
  const [old, fresh] = [copies.filter(isOld), copies.filter((copy) => !isOld(copy))];
  // What a storage that is away keeps of one, the next renewal writes over.
  for (const { storageUuid, path } of old) await dropPart(parts, storageUuid, path).catch(() => {});
  const left = await removeAll(parts, fresh);
  return async (tx) => {
    const gone = await withoutRow(
      tx,
      imageUuid,
      old.map(({ storageUuid }) => storageUuid),
    );
    await throwAwayAll(tx, [...left, ...old.filter((copy) => isIn(gone, copy))]);
    for (const { storageUuid } of fresh) await forgetCopy(tx, imageUuid, storageUuid);
    await settleStatus(tx, imageUuid);
  };
}

/** Removes what an unfinished writer has left beside a copy, and not the copy. */
async function dropPart(parts: ReadingParts, storageUuid: string, path: string): Promise<void> {
  const known = await parts.database.sql
    .selectFrom('backupStorage')
    .select('uuid')
    .where('uuid', '=', storageUuid)
    .executeTakeFirst();
  if (!known) return;
  const writer = await (await parts.storages.driver(storageUuid)).create(path);
  await writer.abort();
}
