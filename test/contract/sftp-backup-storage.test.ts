import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe } from 'node:test';
import { fileURLToPath } from 'node:url';
import { sftpBackupStorage } from '../../src/backup-storage/sftp/driver.ts';
import { newUuid } from '../../src/kernel/uuid.ts';
import { NO_SMALL_FILE_SYSTEM, smallFileSystem } from '../support/small-file-system.ts';
import { type Sshd, startSshd } from '../support/sshd.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';
import { backupStorageDriverContract, type StoreUnderTest } from './backup-storage-driver.ts';

const module = fileURLToPath(new URL('../../src/backup-storage/sftp/driver.ts', import.meta.url));

for (const shell of [false, true]) {
  describe(shell ? 'a server that runs commands' : 'a server that does SFTP alone', () => {
    let sshd: Sshd;
    before(async () => {
      sshd = await startSshd({ keys: temporaryDirectory(), shell });
    });
    after(() => sshd.stop());

    async function storeIn(root: string): Promise<StoreUnderTest> {
      const { host, port, username, privateKey } = sshd;
      const options = { root, uuid: newUuid(), server: { host, port, username, privateKey } };
      const driver = sftpBackupStorage(options);
      await driver.initialise();
      return {
        driver,
        elsewhere: { module, factory: 'sftpBackupStorage', options },
        allocated: async (path) => (await stat(join(root, path))).blocks * 512,
      };
    }

    backupStorageDriverContract('a directory behind SSH', {
      make: () => storeIn(join(temporaryDirectory(), 'with space', "黄金 ü'镜像")),
      async makeSmall(bytes) {
        const root = await smallFileSystem(bytes);
        return root === undefined ? NO_SMALL_FILE_SYSTEM : storeIn(root);
      },
    });
  });
}
