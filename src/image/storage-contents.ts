/** Images as the contents of backup storages: what deleting a storage has to know. */
import type { StorageContents } from '../backup-storage/delete.ts';
import { IngotError } from '../kernel/errors.ts';
import { throwAway } from '../primary-storage/trash.ts';
import { filesOf } from './description.ts';
import { settleStatus } from './removal.ts';

export const imagesOnStorages: StorageContents = {
  async requireIdle(tx, storageUuid) {
    const busy = await tx
      .selectFrom('imageBackupStorageRef')
      .innerJoin('image', 'image.uuid', 'imageBackupStorageRef.imageUuid')
      .select(['image.uuid', 'image.name'])
      .where('backupStorageUuid', '=', storageUuid)
      .where('imageBackupStorageRef.status', 'in', ['Creating', 'Downloading'])
      .executeTakeFirst();
    if (!busy) return;
    throw new IngotError(
      'SYS.1006',
      `image '${busy.name}' (${busy.uuid}) is just being written to the backup storage; wait, or cancel it`,
      { retryable: true },
    );
  },

  async takeOut(tx, storageUuid) {
    const gone = await tx
      .selectFrom('imageBackupStorageRef')
      .select(['imageUuid', 'path'])
      .where('backupStorageUuid', '=', storageUuid)
      .execute();
    const copies = tx
      .selectFrom('imageBackupStorageRef')
      .select('imageUuid')
      .where('backupStorageUuid', '=', storageUuid);
    const elsewhere = tx
      .selectFrom('imageBackupStorageRef')
      .select('imageUuid')
      .where('backupStorageUuid', '!=', storageUuid);
    // The references go with their images, and those of the images that stay, after them.
    await tx.deleteFrom('image').where('uuid', 'in', copies).where('uuid', 'not in', elsewhere).execute();
    await tx.deleteFrom('imageBackupStorageRef').where('backupStorageUuid', '=', storageUuid).execute();
    await throwAway(
      tx,
      'backup',
      storageUuid,
      gone.flatMap(({ path }) => filesOf(path)),
    );
    for (const { imageUuid } of gone) await settleStatus(tx, imageUuid);
  },
};
