import assert from 'node:assert/strict';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { BackupStorages } from '../../src/backup-storage/backup-storages.ts';
import type { StorageRow } from '../../src/backup-storage/kind.ts';
import { initialiseLocalBackupStorage } from '../../src/backup-storage/local/marker.ts';
import { AddSftpBackupStorage } from '../../src/backup-storage/messages.ts';
import type { Database } from '../../src/database/database.ts';
import { createLog } from '../../src/kernel/log.ts';
import { SecretBox } from '../../src/kernel/secret-box.ts';
import { onBothDatabases } from '../database/both-databases.ts';
import { insertStorage } from '../query/fill.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';

const storagesOn = (database: Database, key = 1) =>
  new BackupStorages({
    database,
    log: createLog('silent'),
    secrets: new SecretBox(() => Buffer.alloc(32, key)),
  });

onBothDatabases((_kind, open) => {
  describe('a backup storage that is pinged', () => {
    it('may miss twice, is Disconnected with the third, and comes back by itself', async () => {
      const database = await open();
      const storages = storagesOn(database);
      const uuid = await insertStorage(database, 'pinged');
      const url = join(temporaryDirectory(), 'pinged');
      await database.sql.updateTable('backupStorage').set({ url }).where('uuid', '=', uuid).execute();
      await initialiseLocalBackupStorage({ root: url, uuid });
      const ping = async () => {
        await storages.check({ patient: true, parallel: 1 });
        return database.sql
          .selectFrom('backupStorage')
          .selectAll()
          .where('uuid', '=', uuid)
          .executeTakeFirstOrThrow();
      };
      const there = await ping();
      assert.equal(there.status, 'Connected');
      await rename(url, `${url}-away`);
      assert.deepEqual(await ping(), there);
      assert.deepEqual(await ping(), there);
      const gone = await ping();
      assert.equal(gone.status, 'Disconnected');
      assert.match(gone.statusReason ?? '', /holds no backup storage/);
      assert.equal(gone.totalCapacity, there.totalCapacity);
      await rename(`${url}-away`, url);
      const back = await ping();
      assert.deepEqual([back.status, back.statusReason], ['Connected', null]);
      // The count begins anew.
      await rename(url, `${url}-away`);
      assert.equal((await ping()).status, 'Connected');
      await storages.close();
    });
  });

  describe('the secrets of a backup storage', () => {
    it('stay where they are not given again, unless their key is lost', async () => {
      const database = await open();
      const uuid = await insertStorage(database, 'secretive');
      const seal = (key: number, given: object, secrets?: string | null) =>
        storagesOn(database, key).sealSecrets(
          uuid,
          AddSftpBackupStorage,
          { name: 'x', ...given },
          secrets === undefined ? undefined : ({ uuid, secrets } as StorageRow),
        );
      const read = (key: number, secrets: string | null) =>
        JSON.parse(new SecretBox(() => Buffer.alloc(32, key)).open(secrets ?? '', `backup storage ${uuid}`));
      assert.equal(seal(1, {}), null);
      const first = seal(1, { password: 'one', passphrase: 'two' });
      assert.deepEqual(read(1, first), { password: 'one', passphrase: 'two' });
      assert.equal(seal(1, {}, first), first);
      assert.deepEqual(read(1, seal(1, { password: 'three' }, first)), {
        password: 'three',
        passphrase: 'two',
      });
      assert.deepEqual(read(2, seal(2, { password: 'four' }, first)), { password: 'four' });
    });
  });
});
