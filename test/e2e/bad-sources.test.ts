import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { IngotError } from '../../src/kernel/errors.ts';
import { type RangeServer, startRangeServer } from '../support/range-server.ts';
import { startTestService, type TestService } from '../support/service.ts';
import { NO_SMALL_FILE_SYSTEM, smallFileSystem } from '../support/small-file-system.ts';

const MIB = 1024 * 1024;
const disk = randomBytes(3 * MIB);
const page = '<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in</body></html>\n';

/** Everything below a storage's directory but its marker. */
function bytesOn(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter(
    (name) => !name.startsWith('.ingot'),
  );
}

describe('a source that is no good', () => {
  let service: TestService;
  let plain: RangeServer;
  let secure: RangeServer;
  before(async () => {
    service = await startTestService({ settings: { stallTimeout: 1 } });
    plain = await startRangeServer({
      files: {
        '/disk.raw': disk,
        '/short': disk,
        '/page': Buffer.from(page),
        '/loop': disk,
        '/404': disk,
        '/500': disk,
      },
      fault: ({ path }) => {
        switch (path) {
          case '/404':
            return { status: 404, body: 'nothing here' };
          case '/500':
            return { status: 500, body: 'oh no' };
          case '/loop':
            return { redirectTo: '/loop' };
          case '/short':
            return { truncateAt: MIB, ignoreRange: true };
        }
        return undefined;
      },
    });
    secure = await startRangeServer({ files: { '/disk.raw': disk }, tls: true });
  });
  after(async () => {
    await service.stop();
    await plain.close();
    await secure.close();
  });

  const cases: [what: string, url: () => string, parameters: Record<string, unknown>, says: RegExp][] = [
    ['a 404', () => plain.url('/404'), {}, /answered 404/],
    ['a 500 that stays', () => plain.url('/500'), {}, /answered 500/],
    ['nobody who listens', () => 'http://127.0.0.1:1/disk', {}, /refused/i],
    ['a host that is unknown', () => 'http://no-such-host.invalid/disk', {}, /no-such-host\.invalid/],
    ['a certificate that nobody vouches for', () => secure.url('/disk.raw'), {}, /certificate/i],
    ['redirects in a circle', () => plain.url('/loop'), {}, /redirect/i],
    ['a web page', () => plain.url('/page'), {}, /web page.*Sign in/],
    [
      'a body cut short',
      () => plain.url('/short'),
      {},
      /ended after 1048576 of the 3145728 bytes it announced/,
    ],
    [
      'another checksum',
      () => plain.url('/disk.raw'),
      { sha256Sum: 'ab'.repeat(32) },
      /'sha256Sum' of the bytes is [0-9a-f]{64}, but (ab){32} was expected/,
    ],
    ['another md5', () => plain.url('/disk.raw'), { md5Sum: 'AB'.repeat(16) }, /'md5Sum' of the bytes is/],
    [
      'another format than declared',
      () => plain.url('/disk.raw'),
      { format: 'qcow2' },
      /declared to be qcow2, but its bytes are raw/,
    ],
    ['no url at all', () => 'disk.raw', {}, /'url' must be an http:\/\/, https/],
    ['a scheme of another kind', () => 'gopher://host/disk', {}, /'url' must be/],
  ];

  for (const [what, url, parameters, says] of cases) {
    it(`with ${what}: a clear error, and nothing is left`, { timeout: 60_000 }, async () => {
      const call = service.client.call('AddImage', { name: 'bad', format: 'raw', url: url(), ...parameters });
      await assert.rejects(call, (error) => {
        assert.ok(error instanceof IngotError, String(error));
        assert.match(error.details, says);
        assert.notEqual(error.code, 'SYS.1000');
        return true;
      });
      assert.deepEqual(await service.client.query('Image'), []);
      assert.deepEqual(bytesOn(join(service.data, 'backup-storage')), []);
      const [storage] = await service.client.query('BackupStorage');
      assert.equal(storage?.availableCapacity, storage?.totalCapacity);
    });
  }
});

describe('a backup storage on a small file system', async () => {
  const directory = await smallFileSystem(8 * MIB);
  const skip = directory === undefined ? NO_SMALL_FILE_SYSTEM : false;

  it('refuses what is larger beforehand, and is really filled where the size is not known', {
    skip,
  }, async () => {
    const service = await startTestService();
    after(() => service.stop());
    const { inventory: small } = await service.client.call('AddLocalBackupStorage', {
      name: 'small',
      url: join(directory ?? '', 'images'),
    });
    const server = await startRangeServer({
      files: { '/large': randomBytes(12 * MIB), '/chunked': randomBytes(12 * MIB) },
      fault: ({ path }) => (path === '/chunked' ? { chunked: true } : undefined),
    });
    after(() => server.close());
    for (const path of ['/large', '/chunked']) {
      const call = service.client.call('AddImage', {
        name: 'too large',
        format: 'raw',
        url: server.url(path),
        backupStorageUuids: [small.uuid],
      });
      await assert.rejects(call, (error: IngotError) => {
        assert.equal(error.code, 'BS.1006');
        assert.match(error.details, /no room|No space is left/);
        return true;
      });
      assert.deepEqual(await service.client.query('Image'), []);
      assert.deepEqual(bytesOn(small.url), []);
    }
    assert.ok((server.requests.find(({ path }) => path === '/large')?.bytesSent ?? 0) < 12 * MIB);

    // With another storage beside it that has room, the image is there, and the answer says where it is not.
    const [local] = await service.client.query('BackupStorage', 'name=local');
    const { inventory, failures } = await service.client.call('AddImage', {
      name: 'fits one',
      format: 'raw',
      url: server.url('/chunked'),
      backupStorageUuids: [small.uuid, local?.uuid],
    });
    assert.deepEqual(
      inventory.backupStorageRefs.map((ref: { backupStorageUuid: string }) => ref.backupStorageUuid),
      [local?.uuid],
    );
    assert.deepEqual(
      failures.map((failure: { backupStorageUuid: string }) => failure.backupStorageUuid),
      [small.uuid],
    );
    for (const storage of await service.client.query('BackupStorage')) {
      const taken = storage.uuid === local?.uuid ? 12 * MIB : 0;
      assert.equal(storage.availableCapacity, storage.totalCapacity - taken, storage.name);
    }
    assert.deepEqual(bytesOn(small.url), []);
  });
});
