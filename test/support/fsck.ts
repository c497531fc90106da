import { join } from 'node:path';
import { BackupStorages } from '../../src/backup-storage/backup-storages.ts';
import { DataDirectory } from '../../src/data-directory.ts';
import { openDatabase } from '../../src/database/database.ts';
import { type Finding, fsck } from '../../src/fsck.ts';
import { createLog } from '../../src/kernel/log.ts';
import { PrimaryStorages } from '../../src/primary-storage/primary-storages.ts';
import { secretBoxOf } from '../../src/secret-key.ts';
import { qemuHypervisor } from '../../src/vm/qemu/driver.ts';
import { temporaryDirectory } from './temp-directory.ts';

/** What fsck finds where a service has stopped; with each file read, unless told otherwise. */
export async function fsckOf(
  service: { databaseAt: string; data?: string },
  { deep = true }: { deep?: boolean } = {},
): Promise<Finding[]> {
  const database = await openDatabase(service.databaseAt);
  const log = createLog('silent');
  const storages = new BackupStorages({
    database,
    log,
    secrets: secretBoxOf({ data: new DataDirectory(service.data ?? temporaryDirectory()), secretKey: '' }),
  });
  const primaryStorages = new PrimaryStorages({ database, log });
  const directory = join(service.data ?? '/nonexistent', 'vms');
  const hypervisor = qemuHypervisor({ directory, accelerator: 'tcg', log });
  try {
    return (await fsck({ database, storages, primaryStorages, hypervisor }, { repair: false, deep }))
      .findings;
  } finally {
    await storages.close();
    await primaryStorages.close();
    await hypervisor.close();
    await database.close();
  }
}
