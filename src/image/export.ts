/** Exports: an address that needs no session because nobody can guess it. No byte is moved for one. */
import { randomBytes } from 'node:crypto';
import type { SqlTransaction } from '../database/database.ts';
import type { ChangeOperation } from '../job/operation.ts';
import { IngotError } from '../kernel/errors.ts';
import type { AnsweredFile } from '../kernel/message.ts';
import { requireInventory } from '../query/find.ts';
import { fileOf } from './download.ts';
import { Image } from './image.ts';
import type { DeleteExportedImageFromBackupStorage, ExportImageFromBackupStorage } from './messages.ts';
import type { ReadingParts } from './read-copies.ts';
import { imageWithCopies } from './ready-copies.ts';

const KEY_BYTES = 32;

export function exportImageFromBackupStorage(parts: {
  publicUrl: () => string;
}): ChangeOperation<typeof ExportImageFromBackupStorage> {
  return async ({ parameters: { imageUuid, backupStorageUuid, exportFormat } }, tx) => {
    const image = await requireInventory(tx, Image, imageUuid);
    const copy = await copyOn(tx, imageUuid, backupStorageUuid);
    const where = `image '${image.name}' (${imageUuid})`;
    if (copy?.status !== 'Ready') {
      const state = copy ? `the copy there is ${copy.status}` : 'it has no copy there';
      throw new IngotError(
        'SYS.1006',
        `${where} can't be exported from backup storage ${backupStorageUuid}: ${state}`,
      );
    }
    if (exportFormat !== undefined && exportFormat !== image.format) {
      throw new IngotError(
        'SYS.1013',
        `${where} is ${image.format}, and is exported as it is, not as ${exportFormat}`,
        { elaboration: "Leave out 'exportFormat', and convert what you have fetched with qemu-img convert." },
      );
    }
    const exportMd5Sum = image.md5Sum;
    const more = exportMd5Sum === undefined ? {} : { exportMd5Sum };
    if (copy.exportUrl !== null) return { imageUrl: copy.exportUrl, ...more, success: true };
    const exportKey = randomBytes(KEY_BYTES).toString('base64url');
    const exportUrl = `${parts.publicUrl()}/exports/${exportKey}/${plainName(image.name)}.${image.format}`;
    await tx
      .updateTable('imageBackupStorageRef')
      .set({ exportKey, exportUrl, exportMd5Sum: exportMd5Sum ?? null })
      .where('imageUuid', '=', imageUuid)
      .where('backupStorageUuid', '=', backupStorageUuid)
      .execute();
    return { imageUrl: exportUrl, ...more, success: true };
  };
}

/** Letters, digits and little else: it goes through shells and proxies of all kinds. */
function plainName(name: string): string {
  return name.replace(/[^A-Za-z0-9._-]+/g, '-').replace(/^[.-]+|-+$/g, '') || 'image';
}

export function deleteExportedImageFromBackupStorage(): ChangeOperation<
  typeof DeleteExportedImageFromBackupStorage
> {
  return async ({ parameters: { imageUuid, backupStorageUuid } }, tx) => {
    await tx
      .updateTable('imageBackupStorageRef')
      .set({ exportKey: null, exportUrl: null, exportMd5Sum: null })
      .where('imageUuid', '=', imageUuid)
      .where('backupStorageUuid', '=', backupStorageUuid)
      .execute();
    return {};
  };
}

/** What was exported under the key: from the copy that was, or from another one where that can't be read. */
export async function exportedFile(parts: ReadingParts, key: string): Promise<AnsweredFile | undefined> {
  const copy = await parts.database.sql
    .selectFrom('imageBackupStorageRef')
    .select(['imageUuid', 'backupStorageUuid'])
    .where('exportKey', '=', key)
    .where('status', '=', 'Ready')
    .executeTakeFirst();
  if (!copy) return undefined;
  const found = await imageWithCopies(parts.database.sql, copy.imageUuid);
  const exported = (storageUuid: string) => Number(storageUuid === copy.backupStorageUuid);
  const copies = found.copies.toSorted(
    (one, other) => exported(other.storageUuid) - exported(one.storageUuid),
  );
  return fileOf(parts, { ...found, copies });
}

function copyOn(tx: SqlTransaction, imageUuid: string, storageUuid: string) {
  return tx
    .selectFrom('imageBackupStorageRef')
    .selectAll()
    .where('imageUuid', '=', imageUuid)
    .where('backupStorageUuid', '=', storageUuid)
    .executeTakeFirst();
}
