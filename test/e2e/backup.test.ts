/** `ingot backup` while the service works, and `ingot restore` after everything else is gone. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { signatureOf } from '../../src/account/access-keys.ts';
import { Ingot } from '../cli/ingot.ts';
import { fsckOf } from '../support/fsck.ts';
import { testDatabaseUrl } from '../support/postgres.ts';
import { type RangeServer, startRangeServer } from '../support/range-server.ts';
import { startTestService, type TestClient, type TestService } from '../support/service.ts';
import { smallQcow2 } from '../support/small-disks.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';

for (const kind of ['sqlite', 'postgres'] as const) {
  describe(`a backup of ${kind}`, () => {
    let service: TestService;
    let source: RangeServer;
    let ingot: Ingot;
    let key: { AccessKeyID: string; AccessKeySecret: string };
    const place = join(temporaryDirectory(), 'made', 'for', 'it');
    const at = (data: string, databaseUrl = service.databaseUrl) => [
      '--data',
      data,
      ...(databaseUrl ? ['--database-url', databaseUrl] : []),
    ];
    before(async () => {
      source = await startRangeServer({ files: { '/a.qcow2': readFileSync((await smallQcow2()).path) } });
      service = await startTestService({ database: kind });
      ingot = new Ingot({ data: service.data });
      const { client } = service;
      key = (await client.call('CreateAccessKey')).inventory;
      await client.call('AddImage', { name: 'kept', url: source.url('/a.qcow2') });
    });
    after(() => source.close());

    it('is made while the service is at work, whole, and only its owner can read it', async () => {
      const { client } = service;
      let writing = true;
      let written = 0;
      const writer = (async () => {
        const [image] = await client.query('Image');
        while (writing) {
          await client.call('UpdateImage', { uuid: image?.uuid, description: `change ${++written}` });
        }
      })();
      const made = await ingot.run(['backup', place, ...at(service.data)]);
      writing = false;
      await writer;
      assert.equal(made.code, 0, made.stderr);
      assert.match(made.stdout, /holds database\.\w+, secret-key, admin-password\./);
      assert.equal(statSync(place).mode & 0o777, 0o700);
      for (const name of readdirSync(place))
        assert.equal(statSync(join(place, name)).mode & 0o777, 0o600, name);
      assert.ok(written > 0);
      const twice = await ingot.run(['backup', place, ...at(service.data)]);
      assert.deepEqual([twice.code, /is there already/.test(twice.stderr)], [1, true], twice.stderr);
      assert.deepEqual(readdirSync(join(place, '..')), ['it']);
    });

    it('is not restored over a service, nor over anything else that is there', async () => {
      const over = await ingot.run(['restore', place, '--force', ...at(service.data)]);
      assert.deepEqual(
        [over.code, /another Ingot uses the data directory/.test(over.stderr)],
        [1, true],
        over.stderr,
      );
      if (kind === 'postgres') {
        // From elsewhere the lock on the directory says nothing.
        const elsewhere = await ingot.run(['restore', place, '--force', ...at(temporaryDirectory())]);
        assert.deepEqual(
          [elsewhere.code, /a service on .* uses the database/.test(elsewhere.stderr)],
          [1, true],
          elsewhere.stderr,
        );
      }
      await service.client.call('UpdateGlobalConfig', {
        category: 'image',
        name: 'deletionPolicy',
        value: 'Delay',
      });
      await service.client.call('AddImage', { name: 'after the backup', url: source.url('/a.qcow2') });
      await service.stop();
      const occupied = await ingot.run(['restore', place, ...at(service.data)]);
      assert.deepEqual(
        [occupied.code, /is there already, and would be replaced/.test(occupied.stderr)],
        [1, true],
        occupied.stderr,
      );
    });

    async function check(restored: TestService, client: TestClient) {
      const images = await client.query('Image');
      assert.deepEqual(
        images.map(({ name, status }) => [name, status]),
        [['kept', 'Ready']],
      );
      assert.match(images[0]?.description, /^change \d+$/);
      // The key came along: what was sealed with it can be opened.
      const date = new Date().toUTCString();
      const signature = signatureOf(key.AccessKeySecret, 'GET', date, '/v1/images');
      const signed = await fetch(`${restored.address}/zstack/v1/images`, {
        headers: { date, authorization: `ZStack ${key.AccessKeyID}:${signature}` },
      });
      assert.equal(signed.status, 200, await signed.text());
    }

    it('brings everything back as it was, and says what came after it', async () => {
      const back = await ingot.run(['restore', place, '--force', ...at(service.data)]);
      assert.equal(back.code, 0, back.stderr);
      assert.match(back.stdout, /^restored the backup of .*: 1 images, 2 storages$/m);
      assert.match(
        back.stdout,
        /unregistered: backup storage 'local' holds an image that the database does not know/,
      );
      if (kind === 'sqlite')
        assert.ok(readdirSync(service.data).some((name) => name.startsWith('ingot.sqlite.replaced-')));
      const again = await startTestService({ data: service.data, databaseUrl: service.databaseUrl });
      await check(again, again.client);
      // And the rest from the storage.
      const [storage] = await again.client.query('BackupStorage');
      const rebuilt = await again.client.call('RebuildFromStorage', { uuid: storage?.uuid });
      assert.deepEqual(rebuilt, { registered: 1, known: 1, refused: [] });
      await again.stop();
      assert.deepEqual(await fsckOf(again), []);
    });

    it('whose database is damaged leaves the database and the keys that are there', async () => {
      const damaged = temporaryDirectory();
      for (const name of readdirSync(place))
        writeFileSync(join(damaged, name), readFileSync(join(place, name)));
      // By its manifest it is whole.
      const manifest = JSON.parse(readFileSync(join(damaged, 'manifest.json'), 'utf8'));
      const change = (name: string, bytes: Buffer) => {
        writeFileSync(join(damaged, name), bytes);
        const sha256 = createHash('sha256').update(bytes).digest('hex');
        manifest.files[name] = { size: bytes.length, sha256 };
      };
      change('secret-key', Buffer.from(`${'ab'.repeat(32)}\n`));
      const [database = ''] = readdirSync(damaged).filter((name) => name.startsWith('database'));
      const bytes = readFileSync(join(damaged, database));
      change(database, bytes.fill(0x5a, bytes.length >> 1));
      delete manifest.keySignature;
      writeFileSync(join(damaged, 'manifest.json'), JSON.stringify(manifest));
      const before = readdirSync(service.data);
      const key = readFileSync(join(service.data, 'secret-key'), 'utf8');
      const refused = await ingot.run(['restore', damaged, '--force', ...at(service.data)]);
      assert.equal(refused.code, 1, refused.stderr);
      assert.deepEqual(readdirSync(service.data), before);
      assert.equal(readFileSync(join(service.data, 'secret-key'), 'utf8'), key);
      assert.deepEqual(await fsckOf(service), []);
    });

    it('brings a new machine up, where the storages are not lost', async () => {
      const data = join(temporaryDirectory(), 'new');
      const databaseUrl = kind === 'postgres' ? await testDatabaseUrl() : '';
      const back = await ingot.run(['restore', place, ...at(data, databaseUrl)]);
      assert.equal(back.code, 0, back.stderr);
      for (const name of ['secret-key', 'admin-password'])
        assert.equal(statSync(join(data, name)).mode & 0o777, 0o600);
      const again = await startTestService({ data, databaseUrl });
      await check(again, again.client);
      await again.stop();
    });

    // The same for both.
    if (kind === 'sqlite') hasItsFaultsNamed();

    function hasItsFaultsNamed() {
      it('that is damaged, or none, is refused before anything is touched', async () => {
        const empty = temporaryDirectory();
        const none = await ingot.run(['restore', empty, ...at(empty, '')]);
        assert.deepEqual([none.code, /is no backup of an Ingot/.test(none.stderr)], [2, true], none.stderr);
        const damaged = temporaryDirectory();
        for (const name of readdirSync(place))
          writeFileSync(join(damaged, name), readFileSync(join(place, name)));
        const [database = ''] = readdirSync(damaged).filter((name) => name.startsWith('database'));
        const bytes = readFileSync(join(damaged, database));
        bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
        writeFileSync(join(damaged, database), bytes);
        const target = join(temporaryDirectory(), 'data');
        const refused = await ingot.run(['restore', damaged, ...at(target)]);
        assert.deepEqual(
          [refused.code, /is damaged; nothing was restored/.test(refused.stderr)],
          [1, true],
          refused.stderr,
        );
        assert.equal(existsSync(target), false);
      });

      it('needs its key, and says so', async () => {
        const withoutKey = temporaryDirectory();
        for (const name of readdirSync(place))
          writeFileSync(join(withoutKey, name), readFileSync(join(place, name)));
        const manifest = JSON.parse(readFileSync(join(withoutKey, 'manifest.json'), 'utf8'));
        delete manifest.files['secret-key'];
        writeFileSync(join(withoutKey, 'manifest.json'), JSON.stringify(manifest));
        rmSync(join(withoutKey, 'secret-key'));
        const data = join(temporaryDirectory(), 'new');
        mkdirSync(data);
        const databaseUrl = kind === 'postgres' ? await testDatabaseUrl() : '';
        const refused = await ingot.run(['restore', withoutKey, ...at(data, databaseUrl)]);
        assert.deepEqual(
          [refused.code, /kept under another key/.test(refused.stderr)],
          [1, true],
          refused.stderr,
        );
        ingot.environment.INGOT_SECRET_KEY = readFileSync(join(place, 'secret-key'), 'utf8').trim();
        const given = await ingot.run(['restore', withoutKey, ...at(data, databaseUrl)]).finally(() => {
          delete ingot.environment.INGOT_SECRET_KEY;
        });
        assert.equal(given.code, 0, given.stderr);
      });
    }
  });
}
