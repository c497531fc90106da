/** What becomes of files that were thrown away, where two processes or dead storages are in the way. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { BackupStorages } from '../../src/backup-storage/backup-storages.ts';
import { type Database, openDatabase } from '../../src/database/database.ts';
import { makeFirstZone } from '../../src/first-start.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { createLog } from '../../src/kernel/log.ts';
import { SecretBox } from '../../src/kernel/secret-box.ts';
import { nobodyListens, type StepListener } from '../../src/kernel/steps.ts';
import { newUuid } from '../../src/kernel/uuid.ts';
import { PrimaryStorages } from '../../src/primary-storage/primary-storages.ts';
import { Trash, throwAway } from '../../src/primary-storage/trash.ts';
import { testDatabaseUrl } from '../support/postgres.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';

for (const kind of ['sqlite', 'postgres']) {
  describe(`the trash on ${kind}`, () => {
    let database: Database;
    let directory: string;
    let storage: string;
    const log = createLog('silent');
    const opened: { close(): Promise<void> }[] = [];

    /** That of one process more. */
    function open({
      onStep = nobodyListens,
      alone = false,
    }: {
      onStep?: StepListener;
      alone?: boolean;
    } = {}) {
      const storages = new BackupStorages({
        database,
        log,
        secrets: new SecretBox(() => undefined),
        onStep,
      });
      const primaryStorages = new PrimaryStorages({ database, log });
      opened.push(storages, primaryStorages);
      return new Trash({ database, storages, primaryStorages, log, alone });
    }

    beforeEach(async () => {
      directory = join(temporaryDirectory(), 'store');
      const url = kind === 'sqlite' ? join(temporaryDirectory(), 'ingot.sqlite') : await testDatabaseUrl();
      database = await openDatabase(url);
      const primaryDirectory = join(temporaryDirectory(), 'primary');
      await makeFirstZone({ database, clock: systemClock, directory, primaryDirectory });
      storage = (await database.sql.selectFrom('backupStorage').select('uuid').executeTakeFirstOrThrow())
        .uuid;
      await statusIs('Connected');
    });
    afterEach(async () => {
      for (const each of opened.splice(0)) await each.close();
      await database.close();
    });

    const statusIs = (status: 'Connected' | 'Disconnected') =>
      database.sql.updateTable('backupStorage').set({ status }).where('uuid', '=', storage).execute();
    const left = async () => (await database.sql.selectFrom('trash').select('path').execute()).length;
    const fileOf = (path: string) => join(directory, path);
    async function put(...paths: string[]): Promise<void> {
      await mkdir(fileOf('templates'), { recursive: true });
      for (const path of paths) await writeFile(fileOf(path), 'bytes');
    }
    async function drop(...paths: string[]): Promise<void> {
      await put(...paths);
      for (const path of paths) {
        await database.transaction((tx) => throwAway(tx, 'backup', storage, [path]));
      }
    }

    /** A process that is just removing its first file, and goes on when it is told to. */
    async function emptyingOne() {
      const [held, told] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      const trash = open({
        onStep: async (step) => {
          if (!step.startsWith('before')) return;
          held.resolve();
          await told.promise;
        },
      });
      const emptying = trash.empty();
      await held.promise;
      return { trash, emptying, goOn: told.resolve };
    }

    it('leaves what has come to the path of a file that another process removed meanwhile', async () => {
      const paths = ['templates/a', 'templates/b'];
      await drop(...paths);
      const { emptying, goOn } = await emptyingOne();
      // It has the first file, and a list with both.
      await open().empty();
      assert.equal(await left(), 1);
      const there = paths.filter((path) => existsSync(fileOf(path)));
      assert.equal(there.length, 1);
      const freed = paths.filter((path) => !there.includes(path));
      await put(...freed);
      goOn();
      await emptying;
      assert.equal(await left(), 0);
      assert.deepEqual(
        paths.filter((path) => existsSync(fileOf(path))),
        freed,
      );
    });

    it('ends at a stop with the file that is being removed, and leaves the others for the next start', async () => {
      await drop('templates/a', 'templates/b');
      const { trash, emptying, goOn } = await emptyingOne();
      const stopping = trash.stop();
      goOn();
      await stopping;
      assert.equal(await left(), 1);
      await trash.empty();
      await emptying;
      assert.equal(await left(), 1);
      await open({ alone: true }).empty();
      assert.equal(await left(), 0);
    });

    it('is left where its storage is away, and taken away when that is back', async () => {
      await drop('templates/a');
      await statusIs('Disconnected');
      await open().empty();
      assert.deepEqual([await left(), existsSync(fileOf('templates/a'))], [1, true]);
      await statusIs('Connected');
      await open().empty();
      assert.deepEqual([await left(), existsSync(fileOf('templates/a'))], [0, false]);
    });

    it('of one storage waits for no other that has much to remove', async () => {
      await drop('templates/a');
      const { trash, emptying, goOn } = await emptyingOne();
      // Of a storage that is gone there is nothing to remove but the row.
      await database.transaction((tx) => throwAway(tx, 'backup', newUuid(), ['templates/b']));
      await drop('templates/c');
      const again = trash.empty();
      while ((await left()) > 2) await new Promise((resolve) => setTimeout(resolve, 5));
      assert.equal(existsSync(fileOf('templates/a')), true);
      goOn();
      await Promise.all([emptying, again]);
      assert.deepEqual([await left(), existsSync(fileOf('templates/c'))], [0, false]);
    });

    it('is taken over from a process that died removing it, at once where there can be no other', async () => {
      await drop('templates/a');
      await database.sql
        .updateTable('trash')
        .set({ claimedUntil: Date.now() + 600_000 })
        .execute();
      await open().empty();
      assert.equal(await left(), 1);
      await open({ alone: true }).empty();
      assert.deepEqual([await left(), existsSync(fileOf('templates/a'))], [0, false]);
    });
  });
}
