/** What backup storages hold, held against the rows: every object belongs to something, and the sums are right. */
import type { Database } from '../database/database.ts';
import { describedCopy, descriptionPath } from '../image/description.ts';
import { checkDescriptions, expectedDescriptions } from '../image/fsck.ts';
import { findAndMend, type Inspection } from '../kernel/finding.ts';
import { formatSize } from '../kernel/format.ts';
import { snapshotCopies } from '../snapshot/fsck.ts';
import type { BackupStorageDriver } from './driver.ts';

/** Every object on the storage has a row, or a job that answers for it. */
export async function checkObjects(
  database: Database,
  inspection: Inspection,
  {
    storage,
    driver,
    removeUnregistered,
  }: {
    storage: { uuid: string; name: string };
    driver: BackupStorageDriver;
    /** Removes images, too, that have all they need to be registered again. */
    removeUnregistered: boolean;
  },
): Promise<void> {
  const { repair, inWork, find, count } = inspection;
  const rows = await database.sql
    .selectFrom('imageBackupStorageRef')
    .select(['path', 'status'])
    .where('backupStorageUuid', '=', storage.uuid)
    .execute();
  const statusOf = new Map(rows.map((row) => [row.path, row.status]));
  const copies = await snapshotCopies(database, storage.uuid);
  const trash = await database.sql
    .selectFrom('trash')
    .select('path')
    .where('storageUuid', '=', storage.uuid)
    .execute();
  const thrownAway = new Set(trash.map(({ path }) => path));
  const others = new Set(copies.map(({ path }) => path));
  const descriptions = await expectedDescriptions(database, storage.uuid);
  await checkDescriptions(database, inspection, { storage, driver, expected: descriptions });
  for (const { path, size, ready, snapshotUuid } of copies) {
    if (inWork.has(path) || (ready && (await driver.size(path)) === size)) continue;
    if (repair) await forgetSnapshotCopy(database, snapshotUuid, storage.uuid);
    find(
      ready ? 'missing-bytes' : 'half-done',
      `the copy of snapshot ${snapshotUuid} on backup storage '${storage.name}' is not there, or not whole: ${driver.location(path)}`,
      repair,
    );
  }
  for await (const object of driver.list('')) {
    count();
    if (inWork.has(object.path) || thrownAway.has(object.path)) continue;
    if (others.has(object.path) && !object.partial) continue;
    const description = descriptions.get(object.path);
    // What is still to be written may be half written.
    if (description && (description.outdated || !object.partial)) continue;
    const copyPath = describedCopy(object.path);
    if (copyPath !== undefined && inWork.has(copyPath)) continue;
    const status = statusOf.get(object.path);
    if (
      !object.partial &&
      status === undefined &&
      (await isUnregistered(driver, object.path, removeUnregistered))
    ) {
      const sentence = `backup storage '${storage.name}' holds an image that the database does not know: ${driver.location(object.path)}`;
      const remedy = 'RebuildFromStorage registers it, --remove-unregistered removes it';
      if (!removeUnregistered) find('unregistered', `${sentence}; ${remedy}`);
      else await findAndMend(inspection, 'unregistered', sentence, () => driver.remove(object.path));
      continue;
    }
    if ((status === 'Ready' || status === 'Deleted') && !object.partial) continue;
    const what = object.partial ? `an unfinished ${formatSize(object.size)}` : formatSize(object.size);
    const sentence = `backup storage '${storage.name}' holds ${what} that belongs to nothing: ${driver.location(object.path)}${object.partial ? ' (.part)' : ''}`;
    const isBeside = status !== undefined || others.has(object.path) || description !== undefined;
    if (!isBeside) {
      await findAndMend(inspection, 'stray-bytes', sentence, () => driver.remove(object.path));
    } else if (object.partial) {
      // Removing it would take with it what it was to replace.
      const mend = async () => (await driver.create(object.path)).abort();
      await findAndMend(inspection, 'stray-bytes', sentence, mend);
    } else find('stray-bytes', sentence);
  }
}

/** Whether it is one of the two, an image's copy and its description, that are both there: their rows may be lost. */
async function isUnregistered(
  driver: BackupStorageDriver,
  path: string,
  removeUnregistered: boolean,
): Promise<boolean> {
  const beside = describedCopy(path) ?? descriptionPath(path);
  if (beside === undefined) return false;
  // Removing them, the second of the two is alone.
  return removeUnregistered || (await driver.size(beside)) !== undefined;
}

async function forgetSnapshotCopy(
  database: Database,
  snapshotUuid: string,
  storageUuid: string,
): Promise<void> {
  await database.sql
    .deleteFrom('volumeSnapshotBackupStorageRef')
    .where('volumeSnapshotUuid', '=', snapshotUuid)
    .where('backupStorageUuid', '=', storageUuid)
    .execute();
}

/** availableCapacity is totalCapacity less what the copies take, to the byte. */
export async function checkCapacities(database: Database, { repair, find }: Inspection): Promise<void> {
  const sums = await database.sql
    .selectFrom('backupStorage as storage')
    .leftJoin('imageBackupStorageRef as ref', 'ref.backupStorageUuid', 'storage.uuid')
    .select((select) => [
      'storage.uuid',
      'storage.name',
      'storage.totalCapacity',
      'storage.availableCapacity',
      select.fn.coalesce(select.fn.sum<number>('ref.size'), select.lit(0)).as('taken'),
    ])
    .groupBy(['storage.uuid', 'storage.name', 'storage.totalCapacity', 'storage.availableCapacity'])
    .execute();
  for (const storage of sums) {
    const copies = await snapshotCopies(database, storage.uuid);
    const ofSnapshots = copies.reduce((sum, { size }) => sum + size, 0);
    const right = storage.totalCapacity - Number(storage.taken) - ofSnapshots;
    if (storage.availableCapacity === right) continue;
    if (repair) {
      await database.sql
        .updateTable('backupStorage')
        .set({ availableCapacity: right })
        .where('uuid', '=', storage.uuid)
        .execute();
    }
    find(
      'wrong-capacity',
      `backup storage '${storage.name}' says ${storage.availableCapacity} bytes are available, but ${right} are`,
      repair,
    );
  }
}
