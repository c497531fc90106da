import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { BackupStorages } from '../../src/backup-storage/backup-storages.ts';
import { deleteBackupStorage } from '../../src/backup-storage/delete.ts';
import { initialiseLocalBackupStorage } from '../../src/backup-storage/local/marker.ts';
import { imagesOnStorages } from '../../src/image/storage-contents.ts';
import type { Job } from '../../src/job/operation.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { createLog } from '../../src/kernel/log.ts';
import { SecretBox } from '../../src/kernel/secret-box.ts';
import { onBothDatabases } from '../database/both-databases.ts';
import { insertStorage } from '../query/fill.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';

onBothDatabases((_kind, open) => {
  describe('deleting a backup storage', () => {
    for (const afterDeath of ['goes on', 'is cancelled'] as const) {
      it(`ends, when its process died after the last byte was gone, and it ${afterDeath}`, async () => {
        const database = await open();
        const uuid = await insertStorage(database, 'dying');
        const url = join(temporaryDirectory(), 'dying');
        await database.sql.updateTable('backupStorage').set({ url }).where('uuid', '=', uuid).execute();
        await initialiseLocalBackupStorage({ root: url, uuid });
        const log = createLog('silent');
        const operation = deleteBackupStorage({
          database,
          storages: new BackupStorages({ database, log, secrets: new SecretBox(() => undefined) }),
          contents: imagesOnStorages,
          clock: systemClock,
          log,
        });
        type DeleteJob = Job<Parameters<typeof operation.run>[0]['call']['message'], never>;
        const call = { parameters: { uuid, deleteMode: 'Permissive' } } as DeleteJob['call'];
        const admitted = await database.transaction((tx) => operation.admit(call, tx));
        let saved: unknown = admitted.checkpoint;
        const job = () =>
          ({
            call,
            get checkpoint() {
              return JSON.parse(JSON.stringify(saved));
            },
            signal: new AbortController().signal,
            report: () => {},
            save: async (checkpoint: unknown) => {
              saved = checkpoint;
            },
          }) as unknown as Parameters<typeof operation.run>[0];
        // Its last step is never taken: the process is dead.
        await operation.run(job());
        assert.deepEqual(readdirSync(url), []);
        const lastStep = afterDeath === 'goes on' ? await operation.run(job()) : await operation.undo(job());
        await database.transaction(async (tx) => {
          await lastStep(tx);
        });
        assert.deepEqual(await database.sql.selectFrom('backupStorage').selectAll().execute(), []);
        assert.equal(existsSync(url), true);
      });
    }
  });
});
