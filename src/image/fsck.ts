/** What fsck has to know of the descriptions beside images' copies. */
import type { BackupStorageDriver } from '../backup-storage/driver.ts';
import type { Database } from '../database/database.ts';
import type { Inspection } from '../kernel/finding.ts';
import { describedCopy, descriptionPath, isOutdated } from './description.ts';

/** The paths of the descriptions that belong to rows, and which of them are still to be written. */
export async function expectedDescriptions(
  database: Database,
  storageUuid: string,
): Promise<Map<string, { outdated: boolean }>> {
  const rows = await database.sql
    .selectFrom('imageDescription as description')
    .innerJoin('imageBackupStorageRef as ref', (join) =>
      join
        .onRef('ref.imageUuid', '=', 'description.imageUuid')
        .onRef('ref.backupStorageUuid', '=', 'description.backupStorageUuid'),
    )
    .select(['ref.path', isOutdated.as('outdated')])
    .where('ref.backupStorageUuid', '=', storageUuid)
    .where('ref.status', 'in', ['Ready', 'Deleted'])
    .execute();
  return new Map(
    rows.map(({ path, outdated }) => [descriptionPath(path) ?? '', { outdated: Boolean(outdated) }]),
  );
}

/** Every description that is said to be written is there; a missing one is written by the next start. */
export async function checkDescriptions(
  database: Database,
  { repair, inWork, find }: Inspection,
  {
    storage,
    driver,
    expected,
  }: {
    storage: { uuid: string; name: string };
    driver: BackupStorageDriver;
    expected: ReadonlyMap<string, { outdated: boolean }>;
  },
): Promise<void> {
  for (const [path, { outdated }] of expected) {
    const copyPath = describedCopy(path);
    if (outdated || copyPath === undefined || inWork.has(copyPath)) continue;
    if ((await driver.size(path)) !== undefined) continue;
    if (repair) {
      await database.sql
        .updateTable('imageDescription')
        .set({ written: 0 })
        .where('backupStorageUuid', '=', storage.uuid)
        .where('imageUuid', 'in', (inner) =>
          inner.selectFrom('imageBackupStorageRef').select('imageUuid').where('path', '=', copyPath),
        )
        .execute();
    }
    const sentence = `backup storage '${storage.name}' lacks what is written beside a copy: ${driver.location(path)}`;
    find('no-description', sentence, repair);
  }
}
