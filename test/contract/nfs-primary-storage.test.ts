/** The driver for NFS, on a directory as somebody else would have mounted it. */
import { join } from 'node:path';
import { initialiseLocalBackupStorage } from '../../src/backup-storage/local/marker.ts';
import { newUuid } from '../../src/kernel/uuid.ts';
import { nfsPrimaryStorage } from '../../src/primary-storage/nfs/driver.ts';
import { NO_SMALL_FILE_SYSTEM, smallFileSystem } from '../support/small-file-system.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';
import { primaryStorageDriverContract } from './primary-storage-driver.ts';

async function openStorage(root: string) {
  const uuid = newUuid();
  await initialiseLocalBackupStorage({ root, uuid, kind: 'primary' });
  return nfsPrimaryStorage({ root, uuid, url: root });
}

primaryStorageDriverContract('a primary storage that is mounted from elsewhere', {
  make: () => openStorage(join(temporaryDirectory(), 'mounted')),
  async makeSmall(bytes) {
    const directory = await smallFileSystem(bytes);
    return directory === undefined ? NO_SMALL_FILE_SYSTEM : openStorage(directory);
  },
});
