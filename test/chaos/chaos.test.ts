/**
 * Images into three storages, a local one, one behind SSH and one behind S3, each of which dies and comes back at
 * random meanwhile. `npm test` takes a dozen images in, `npm run chaos` a hundred.
 */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openDatabase } from '../../src/database/database.ts';
import { IngotError } from '../../src/kernel/errors.ts';
import { fsckOf } from '../support/fsck.ts';
import { runProgram } from '../support/program.ts';
import { type RangeServer, startRangeServer } from '../support/range-server.ts';
import { bucketOf } from '../support/s3-bucket.ts';
import { startServiceProcess, until } from '../support/service.ts';
import { NO_SMALL_FILE_SYSTEM, smallFileSystem } from '../support/small-file-system.ts';
import { type Sshd, startSshd } from '../support/sshd.ts';
import { type Swift, startSwift } from '../support/swift.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';

const IMAGES = Number(process.env.INGOT_CHAOS_IMAGES ?? 12);
const AT_ONCE = 4;
const MIB = 2 ** 20;
const content = randomBytes(6 * MIB);
const sha256 = createHash('sha256').update(content).digest('hex');

/** Something that dies and comes back. */
interface Mortal {
  name: string;
  die(): Promise<unknown>;
  revive(): Promise<unknown>;
}

describe('three storages that come and go', () => {
  let server: RangeServer;
  let swift: Swift;
  let sshd: Sshd;
  before(async () => {
    server = await startRangeServer({
      files: { '/disk.raw': content },
      fault: () => ({ bytesPerSecond: 6 * MIB }),
    });
    [swift, sshd] = await Promise.all([startSwift(), startSshd({ keys: temporaryDirectory() })]);
  });
  after(async () => {
    await Promise.all([swift.stop(), sshd.stop(), server.close()]);
  });

  const limit = 120_000 + IMAGES * 20_000;
  it(`have each of ${IMAGES} images whole or not at all`, { timeout: limit }, async (t) => {
    const mount = await smallFileSystem(1024 * MIB);
    if (!mount) return t.skip(NO_SMALL_FILE_SYSTEM);
    const data = temporaryDirectory();
    let service = await startServiceProcess({ data });
    const call = (name: string, parameters: object) => service.client.call(name, { ...parameters });
    const local = await call('AddLocalBackupStorage', { name: 'near', url: join(mount, 'store') });
    const far = await call('AddSftpBackupStorage', {
      name: 'far',
      url: join(temporaryDirectory(), 'far'),
      hostname: sshd.host,
      sshPort: sshd.port,
      username: sshd.username,
      privateKey: sshd.privateKey,
    });
    const cloud = await call('AddS3BackupStorage', { name: 'cloud', ...(await bucketOf(swift)) });
    const storages: string[] = [local, far, cloud].map(({ inventory }) => inventory.uuid);
    await call('UpdateGlobalConfig', { category: 'backupStorage', name: 'ping.interval', value: '1' });

    const mortals: Mortal[] = [
      {
        name: 'near',
        die: () => runProgram('mount', ['-o', 'remount,ro', mount]),
        revive: () => runProgram('mount', ['-o', 'remount,rw', mount]),
      },
      {
        name: 'far',
        die: () => sshd.kill(),
        revive: async () => {
          sshd = await startSshd({ port: sshd.port, keys: sshd.keys });
        },
      },
      { name: 'cloud', die: () => swift.kill(), revive: () => swift.restart() },
    ];
    const over = new AbortController();
    let deaths = 0;
    const fates = mortals.map(async (mortal) => {
      while (!over.signal.aborted) {
        await sleep(500 + Math.random() * 4000);
        if (over.signal.aborted) return;
        try {
          await mortal.die();
          deaths++;
          await sleep(Math.random() * 1500);
        } catch {
          // A file system that is being written to at this moment can't become read-only.
        } finally {
          await mortal.revive();
        }
      }
    });

    const outcomes = { ready: 0, copies: 0, failed: 0 };
    const expected = new Set<string>();
    let begun = 0;
    const visitor = async () => {
      while (begun++ < IMAGES) {
        try {
          const { inventory } = await call('AddImage', {
            name: 'x',
            format: 'raw',
            url: server.url('/disk.raw'),
            backupStorageUuids: storages,
          });
          assert.equal(inventory.status, 'Ready');
          assert.equal(inventory.sha256Sum, sha256);
          expected.add(inventory.uuid);
          outcomes.ready++;
          outcomes.copies += inventory.backupStorageRefs.length;
        } catch (error) {
          // Every storage was away, and it says so.
          assert.ok(error instanceof IngotError && error.code !== 'SYS.1000', String(error));
          outcomes.failed++;
          await sleep(500);
        }
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, visitor));
    over.abort();
    await Promise.all(fates);

    await until('every storage to be back', async () => {
      const found = await service.client.query('BackupStorage');
      return found.every(({ status }) => status === 'Connected');
    });
    await service.stop();
    // What an absent storage still held is removed at the next start, if not before.
    service = await startServiceProcess({ data });
    const database = await openDatabase(service.databaseAt);
    await until('nothing to be left in the trash', async () => {
      return (await database.sql.selectFrom('trash').select('path').execute()).length === 0;
    });
    await database.close();
    const images = await service.client.query('Image');
    assert.deepEqual(new Set(images.map(({ uuid }) => uuid)), expected);
    for (const { uuid, totalCapacity, availableCapacity } of await service.client.query('BackupStorage')) {
      const copies = images.flatMap(({ backupStorageRefs }) => backupStorageRefs);
      const here = copies.filter(({ backupStorageUuid }) => backupStorageUuid === uuid);
      assert.equal(totalCapacity - availableCapacity, here.length * content.length);
    }
    await service.stop();
    // With every copy read, and its digest compared.
    assert.deepEqual(await fsckOf(service), []);
    t.diagnostic(
      `${IMAGES} images, ${deaths} deaths of storages: ${outcomes.ready} Ready with ${outcomes.copies} copies, ${outcomes.failed} failed with nothing left`,
    );
    assert.ok(deaths > 0);
  });
});
