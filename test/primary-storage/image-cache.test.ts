import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { BackupStorages } from '../../src/backup-storage/backup-storages.ts';
import { messages } from '../../src/catalogue.ts';
import { openDatabase } from '../../src/database/database.ts';
import { JobRows } from '../../src/job/job-rows.ts';
import type { Call } from '../../src/job/operation.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { createLog } from '../../src/kernel/log.ts';
import { SecretBox } from '../../src/kernel/secret-box.ts';
import { newUuid } from '../../src/kernel/uuid.ts';
import { cachePath, ImageCaches } from '../../src/primary-storage/image-cache.ts';
import { ImageCacheRows } from '../../src/primary-storage/image-cache-rows.ts';
import { PrimaryStorages } from '../../src/primary-storage/primary-storages.ts';
import { startRangeServer } from '../support/range-server.ts';
import { startTestService } from '../support/service.ts';
import { smallQcow2 } from '../support/small-disks.ts';

it('an entry that a dead process was fetching is fetched anew, whichever of its jobs comes first', async (test) => {
  const source = await startRangeServer({ files: { '/a.qcow2': readFileSync((await smallQcow2()).path) } });
  const service = await startTestService();
  const { inventory: image } = await service.client.call('AddImage', {
    name: 'x',
    url: source.url('/a.qcow2'),
  });
  const [storage] = await service.client.query('PrimaryStorage');
  await service.stop();
  await source.close();

  const database = await openDatabase(service.databaseAt);
  const log = createLog('silent');
  const storages = new BackupStorages({ database, log, secrets: new SecretBox(() => undefined) });
  const primaryStorages = new PrimaryStorages({ database, log });
  test.after(async () => {
    await storages.close();
    await primaryStorages.close();
    await database.close();
  });
  const parts = { database, storages, primaryStorages, clock: systemClock, log };
  const message = messages.find(({ name }) => name === 'CreateRootVolumeFromImage');
  const rows = new JobRows({ database, clock: systemClock, node: newUuid(), lease: 60_000 });
  const jobs = [newUuid(), newUuid()] as const;
  for (const id of jobs) {
    const call = { id, message, parameters: {}, caller: { accountUuid: newUuid(), admin: true } };
    await database.transaction((tx) => rows.insert(tx, call as unknown as Call, 'Running', {}));
  }
  const key = { primaryStorageUuid: storage?.uuid as string, imageUuid: image.uuid as string };
  const wanted = { ...image, sha256Sum: image.sha256Sum, md5Sum: image.md5Sum };
  const path = cachePath(key.imageUuid);
  await new ImageCacheRows(parts).insert(key, wanted, { path, installUrl: path, job: jobs[1] });

  const caches = new ImageCaches(parts);
  const stop = new AbortController();
  const require = (id: string) =>
    caches.require(key.primaryStorageUuid, key.imageUuid, { id, signal: stop.signal });
  const first = require(jobs[0]);
  await sleep(50);
  const both = Promise.all([first, require(jobs[1])]);
  const late = setTimeout(() => stop.abort(new Error('they wait for each other')), 20_000);
  const entries = await both.finally(() => clearTimeout(late));
  assert.deepEqual(
    entries.map((entry) => entry.path),
    [path, path],
  );
});
