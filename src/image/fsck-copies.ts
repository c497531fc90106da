/** Images, their copies and their rows held against each other. */
import { createHash } from 'node:crypto';
import type { BackupStorages } from '../backup-storage/backup-storages.ts';
import type { BackupStorageDriver } from '../backup-storage/driver.ts';
import type { Database } from '../database/database.ts';
import { type Finding, findAndMend, type Inspection } from '../kernel/finding.ts';
import { removeWithDescription } from './description.ts';

interface Parts {
  database: Database;
  storages: BackupStorages;
}

/** Copies that have all their bytes: Deleted ones can be brought back until they are expunged. */
const KEPT = ['Ready', 'Deleted'] as const;

/** Nothing is half done without a job that goes on with it. */
export async function checkHalfDone(parts: Parts, inspection: Inspection): Promise<void> {
  const { database, storages } = parts;
  const { inWork } = inspection;
  for (const image of await database.sql
    .selectFrom('image')
    .selectAll()
    .where('status', 'not in', KEPT)
    .execute()) {
    if (inWork.has(image.uuid)) continue;
    await findAndMend(
      inspection,
      'half-done',
      `image '${image.name}' (${image.uuid}) is ${image.status}, but no job works on it`,
      () => forgetImage(parts, image.uuid),
    );
  }
  const copies = await database.sql
    .selectFrom('imageBackupStorageRef as ref')
    .innerJoin('image', 'image.uuid', 'ref.imageUuid')
    .select(['ref.imageUuid', 'ref.backupStorageUuid', 'ref.path', 'ref.status', 'image.name'])
    .where('ref.status', 'not in', KEPT)
    .where('image.status', 'in', KEPT)
    .execute();
  for (const copy of copies) {
    if (inWork.has(copy.imageUuid)) continue;
    const storageUuid = copy.backupStorageUuid;
    await findAndMend(
      inspection,
      'half-done',
      `a copy of image '${copy.name}' (${copy.imageUuid}) on backup storage ${storageUuid} is ${copy.status}, but no job works on it`,
      async () => removeCopy(database, copy, storageUuid, await storages.driver(storageUuid)),
    );
  }
}

/** No image that is Ready is without a copy. Fulfilled with how many images there were. */
export async function checkImagesWithoutCopy(parts: Parts, inspection: Inspection): Promise<number> {
  const { database } = parts;
  const count = await database.sql
    .selectFrom('image')
    .select((select) => select.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow();
  const without = await database.sql
    .selectFrom('image')
    .select(['uuid', 'name'])
    .where('status', '=', 'Ready')
    .where('uuid', 'not in', (inner) =>
      inner.selectFrom('imageBackupStorageRef').select('imageUuid').where('status', '=', 'Ready'),
    )
    .execute();
  for (const image of without) {
    await findAndMend(
      inspection,
      'no-copy',
      `image '${image.name}' (${image.uuid}) is Ready, but no backup storage has it`,
      () => forgetImage(parts, image.uuid),
    );
  }
  return count.count;
}

async function forgetImage({ database, storages }: Parts, uuid: string): Promise<void> {
  const refs = await database.sql
    .selectFrom('imageBackupStorageRef')
    .selectAll()
    .where('imageUuid', '=', uuid)
    .execute();
  for (const ref of refs) await removeWithDescription(await storages.driver(ref.backupStorageUuid), ref.path);
  await database.sql.deleteFrom('image').where('uuid', '=', uuid).execute();
}

/** Every row that says Ready has its bytes. */
export async function checkCopies(
  database: Database,
  inspection: Inspection,
  { storage, driver }: { storage: { uuid: string; name: string }; driver: BackupStorageDriver },
): Promise<void> {
  const copies = await database.sql
    .selectFrom('imageBackupStorageRef as ref')
    .innerJoin('image', 'image.uuid', 'ref.imageUuid')
    .select(['ref.imageUuid', 'ref.path', 'ref.size', 'image.name', 'image.sha256Sum'])
    .where('ref.backupStorageUuid', '=', storage.uuid)
    .where('ref.status', 'in', KEPT)
    .execute();
  for (const copy of copies) {
    if (inspection.inWork.has(copy.path)) continue;
    const where = `image '${copy.name}' (${copy.imageUuid}) on backup storage '${storage.name}'`;
    const problem = await problemOf(copy, driver, inspection.deep);
    if (!problem) continue;
    await findAndMend(inspection, problem.kind, `${where}: ${problem.says}`, () =>
      removeCopy(database, copy, storage.uuid, driver),
    );
  }
}

async function problemOf(
  copy: { path: string; size: number; sha256Sum: string | null },
  driver: BackupStorageDriver,
  deep: boolean,
): Promise<{ kind: Finding['kind']; says: string } | undefined> {
  const size = await driver.size(copy.path);
  const at = driver.location(copy.path);
  if (size === undefined)
    return { kind: 'missing-bytes', says: `the row is Ready, but ${at} does not exist` };
  if (size !== copy.size) return { kind: 'wrong-size', says: `${at} has ${size} bytes, not ${copy.size}` };
  if (!deep || copy.sha256Sum === null) return undefined;
  const hash = createHash('sha256');
  for await (const chunk of driver.read(copy.path)) hash.update(chunk);
  const found = hash.digest('hex');
  if (found === copy.sha256Sum) return undefined;
  return { kind: 'wrong-digest', says: `${at} is damaged: its SHA-256 is ${found}, not ${copy.sha256Sum}` };
}

/** What bytes there are go, and then the row: a storage that does not let them go keeps it. The image stays as long as it has another copy. */
async function removeCopy(
  database: Database,
  copy: { imageUuid: string; path: string },
  storageUuid: string,
  driver: BackupStorageDriver,
): Promise<void> {
  await removeWithDescription(driver, copy.path);
  await database.sql
    .deleteFrom('imageBackupStorageRef')
    .where('imageUuid', '=', copy.imageUuid)
    .where('backupStorageUuid', '=', storageUuid)
    .execute();
}
