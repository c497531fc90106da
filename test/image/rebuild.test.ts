/** The database is lost; the storages are not. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { ADMIN_UUID } from '../../src/account/account.ts';
import { openDatabase } from '../../src/database/database.ts';
import { newUuid } from '../../src/kernel/uuid.ts';
import { throwAway } from '../../src/primary-storage/trash.ts';
import { forge, u64 } from '../hostile/forge.ts';
import { fsckOf } from '../support/fsck.ts';
import { type RangeServer, startRangeServer } from '../support/range-server.ts';
import { startTestService, type TestClient, type TestService, until } from '../support/service.ts';
import { smallQcow2 } from '../support/small-disks.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';

const descriptionsIn = (directory: string) =>
  readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ingot.json'))
    .map((name) => join(directory, name));
const read = (file: string) => JSON.parse(readFileSync(file, 'utf8').split('\n')[0] ?? '');
const sha512 = (text: string) => createHash('sha512').update(text).digest('hex');

for (const kind of ['sqlite', 'postgres'] as const) {
  describe(`what is written of an image beside its copies, on ${kind}`, () => {
    let source: RangeServer;
    let disk: Buffer;
    before(async () => {
      disk = readFileSync((await smallQcow2()).path);
      source = await startRangeServer({ files: { '/a.qcow2': disk } });
    });
    after(() => source.close());

    async function start(data?: string): Promise<TestService> {
      const service = await startTestService({ database: kind, ...(data !== undefined && { data }) });
      await policy(service.client, 'Delay');
      return service;
    }
    const policy = (client: TestClient, value: string) =>
      client.call('UpdateGlobalConfig', { category: 'image', name: 'deletionPolicy', value });
    async function addImage(client: TestClient, more: Record<string, unknown> = {}) {
      const url = source.url('/a.qcow2').replace('//', '//me:hunter2@');
      const { inventory } = await client.call('AddImage', { name: 'an image', url, ...more });
      return inventory;
    }
    /** The database and everything else but the key and the storage. */
    function loseDatabase(data: string): string {
      const saved = temporaryDirectory();
      for (const name of ['secret-key', 'backup-storage'])
        cpSync(join(data, name), join(saved, name), { recursive: true });
      return saved;
    }
    const upToDate = (
      directory: string,
      uuid: string,
      right: (described: ReturnType<typeof read>) => boolean,
    ) =>
      until('the description', () =>
        descriptionsIn(directory).some((file) => file.includes(uuid) && right(read(file))),
      );

    it('follows the image as it changes, and goes with it', async () => {
      const service = await start();
      const { client } = service;
      const storage = join(service.data, 'backup-storage');
      const image = await addImage(client, { userTags: ['golden'] });
      await upToDate(
        storage,
        image.uuid,
        ({ image: { name, sha256Sum }, userTags }) =>
          name === 'an image' && sha256Sum === image.sha256Sum && userTags[0] === 'golden',
      );
      const [file = ''] = descriptionsIn(storage);
      assert.doesNotMatch(readFileSync(file, 'utf8'), /hunter2/);
      await client.call('UpdateImage', { uuid: image.uuid, name: 'renamed' });
      await upToDate(storage, image.uuid, (described) => described.image.name === 'renamed');
      await client.call('CreateUserTag', { resourceType: 'ImageVO', resourceUuid: image.uuid, tag: 'later' });
      await upToDate(storage, image.uuid, (described) => described.userTags.includes('later'));
      await client.call('ChangeImageState', { uuid: image.uuid, stateEvent: 'disable' });
      await upToDate(storage, image.uuid, (described) => described.image.state === 'Disabled');
      await client.call('DeleteImage', { uuid: image.uuid });
      await upToDate(storage, image.uuid, (described) => described.status === 'Deleted');
      await client.call('RecoverImage', { imageUuid: image.uuid });
      await upToDate(storage, image.uuid, (described) => described.status === 'Ready');
      await service.stop();
      assert.deepEqual(await fsckOf(service), []);
      // What goes missing is found, and written again.
      rmSync(file);
      assert.deepEqual(
        (await fsckOf(service)).map((finding) => finding.kind),
        ['no-description'],
      );
      writeFileSync(file, 'damaged');
      const again = await startTestService({ data: service.data, databaseUrl: service.databaseUrl });
      await policy(again.client, 'Direct');
      await again.client.call('DeleteImage', { uuid: image.uuid });
      assert.equal(existsSync(dirname(file)), false);
      await again.stop();
      assert.deepEqual(await fsckOf(again), []);
    });

    it('brings everything back when the database is lost', async () => {
      const service = await start();
      const { client } = service;
      const second = join(temporaryDirectory(), 'second');
      const { inventory: other } = await client.call('AddLocalBackupStorage', {
        name: 'second',
        url: second,
      });
      const [first] = await client.query('BackupStorage', 'name=local');
      const { inventory: account } = await client.call('CreateAccount', {
        name: 'user',
        password: sha512('user'),
      });
      const both = await addImage(client, {
        name: 'both 双',
        description: 'on two',
        backupStorageUuids: [first?.uuid, other.uuid],
        userTags: ['golden'],
        systemTags: ['bootMode::UEFI'],
      });
      const owned = await addImage(client, { name: 'owned', backupStorageUuids: [other.uuid] });
      await client.call('ChangeResourceOwner', { accountUuid: account.uuid, resourceUuid: owned.uuid });
      const deleted = await addImage(client, { name: 'deleted', backupStorageUuids: [first?.uuid] });
      await client.call('DeleteImage', { uuid: deleted.uuid });
      await upToDate(
        join(service.data, 'backup-storage'),
        deleted.uuid,
        ({ status }) => status === 'Deleted',
      );
      await upToDate(second, both.uuid, () => true);
      await upToDate(second, owned.uuid, ({ owner }) => owner.uuid === account.uuid);
      const [before] = await client.query('Image', `uuid=${both.uuid}`);
      await service.stop();

      const data = loseDatabase(service.data);
      const again = await start(data);
      try {
        const { client: admin } = again;
        const [local] = await admin.query('BackupStorage');
        assert.equal(local?.uuid, first?.uuid);
        assert.deepEqual(await admin.query('Image'), []);
        // Until they are registered, nobody takes them for rubbish.
        const copies = (await fsckOf(again)).filter(({ kind }) => kind === 'unregistered');
        assert.equal(copies.length, 4);

        const one = await admin.call('RebuildFromStorage', { uuid: local?.uuid });
        assert.deepEqual(one, { registered: 2, known: 0, refused: [] });
        await assert.rejects(
          admin.call('AddLocalBackupStorage', { name: 'x', url: second }),
          /take it up again with resourceUuid=/,
        );
        await admin.call('AddLocalBackupStorage', { name: 'second', url: second, resourceUuid: other.uuid });
        await admin.call('CreateAccount', {
          name: 'user',
          password: sha512('user'),
          resourceUuid: account.uuid,
        });
        const two = await admin.call('RebuildFromStorage', { uuid: other.uuid });
        assert.deepEqual(two, { registered: 2, known: 0, refused: [] });
        assert.deepEqual(await admin.call('RebuildFromStorage', { uuid: other.uuid }), {
          registered: 0,
          known: 2,
          refused: [],
        });

        const [after] = await admin.query('Image', `uuid=${both.uuid}`);
        const told = ({
          backupStorageRefs,
          systemTags,
          lastOpDate: _,
          ...rest
        }: Record<string, unknown>) => ({
          ...rest,
          tags: (systemTags as { tag: string }[]).map(({ tag }) => tag).sort(),
          copies: (backupStorageRefs as { backupStorageUuid: string; status: string }[])
            .map((ref) => `${ref.backupStorageUuid} ${ref.status}`)
            .sort(),
        });
        assert.deepEqual(told(after ?? {}), told(before ?? {}));
        assert.deepEqual(
          (await admin.query('Image', 'status=Deleted')).map(({ uuid }) => uuid),
          [deleted.uuid],
        );
        assert.deepEqual(
          (await admin.query('Image', '__userTag__=golden')).map(({ uuid }) => uuid),
          [both.uuid],
        );
        const owners = await admin.query('AccountResourceRef', 'resourceType=ImageVO');
        const ownerOf = (uuid: string) =>
          owners.find(({ resourceUuid }) => resourceUuid === uuid)?.accountUuid;
        assert.deepEqual([ownerOf(both.uuid), ownerOf(owned.uuid)], [ADMIN_UUID, account.uuid]);
        await admin.call('RecoverImage', { imageUuid: deleted.uuid });
      } finally {
        await again.stop();
      }
      assert.deepEqual(await fsckOf(again), []);
    });

    it('is not believed of what was deleted, and is still to be removed', async () => {
      const first = await start();
      const image = await addImage(first.client);
      await upToDate(join(first.data, 'backup-storage'), image.uuid, () => true);
      await first.stop();
      const service = await start(loseDatabase(first.data));
      const [{ uuid: storageUuid = '' } = {}] = await service.client.query('BackupStorage');
      const path = `templates/acct-${ADMIN_UUID}/${image.uuid}/${image.uuid}.ingot.json`;
      const database = await openDatabase(service.databaseAt);
      await database.transaction((tx) => throwAway(tx, 'backup', storageUuid, [path]));
      const { registered, refused } = await service.client.call('RebuildFromStorage', { uuid: storageUuid });
      assert.equal(registered, 0);
      assert.deepEqual(
        refused.map(({ reason }: { reason: string }) => /it was deleted/.test(reason)),
        [true],
      );
      assert.deepEqual(await service.client.query('Image'), []);
      await database.sql.deleteFrom('trash').execute();
      await database.close();
      assert.equal((await service.client.call('RebuildFromStorage', { uuid: storageUuid })).registered, 1);
      await service.stop();
    });

    it('is not believed of others, nor where the bytes are others, unless that is said', async () => {
      const service = await start();
      const image = await addImage(service.client);
      const gone = await addImage(service.client, { name: 'without bytes' });
      const changed = await addImage(service.client, { name: 'changed' });
      const storage = join(service.data, 'backup-storage');
      for (const { uuid } of [image, gone, changed]) await upToDate(storage, uuid, () => true);
      const [{ uuid = '' } = {}] = await service.client.query('BackupStorage');
      await service.stop();
      const data = loseDatabase(service.data);
      const fileOf = (uuid: string) =>
        descriptionsIn(join(data, 'backup-storage')).find((file) => file.includes(uuid)) ?? '';
      rmSync(fileOf(gone.uuid).replace('.ingot.json', '.template'));
      const bytes = Buffer.from(disk);
      bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
      writeFileSync(fileOf(changed.uuid).replace('.ingot.json', '.template'), bytes);
      const ofSomebodyElse = (bytes: Buffer, size: number) => {
        const evil = newUuid();
        const place = join(data, 'backup-storage', 'templates', `acct-${ADMIN_UUID}`, evil);
        mkdirSync(place, { recursive: true });
        const described = { ...read(fileOf(image.uuid)) };
        described.image = {
          ...described.image,
          uuid: evil,
          ...{ size, actualSize: bytes.length },
          md5Sum: createHash('md5').update(bytes).digest('hex'),
          sha256Sum: createHash('sha256').update(bytes).digest('hex'),
        };
        writeFileSync(join(place, `${evil}.template`), bytes);
        writeFileSync(join(place, `${evil}.ingot.json`), `${JSON.stringify(described)}\n`);
      };
      // With a backing file that he would like to see.
      const hostile = Buffer.from(disk);
      hostile.writeBigUInt64BE(BigInt(hostile.length - 64), 8);
      hostile.writeUInt32BE(11, 16);
      hostile.write('/etc/passwd', hostile.length - 64);
      ofSomebodyElse(hostile, image.size);
      // With maps whose meaning is told behind them, and with counts that only QEMU counts.
      const late = forge({ l1Last: true });
      u64(late.bytes, 2n ** 50n, late.at.l2 + 80);
      ofSomebodyElse(late.bytes, 8 << 20);
      const miscounted = forge();
      const entry = miscounted.at.refcountBlock + (miscounted.at.data / 65536) * 2;
      miscounted.bytes.writeUInt16BE(0, entry);
      ofSomebodyElse(miscounted.bytes, 8 << 20);
      // Our own, but of another place, and one that is none.
      for (const [name, text] of [
        ['moved', readFileSync(fileOf(image.uuid), 'utf8')],
        ['none', '{"ingot": 2}'],
      ] as const) {
        mkdirSync(join(data, 'backup-storage', 'templates', name), { recursive: true });
        writeFileSync(join(data, 'backup-storage', 'templates', name, 'x.ingot.json'), text);
      }
      const rebuild = async (parameters: Record<string, unknown> = {}, maxVirtualSize?: number) => {
        const again = await start(data);
        try {
          if (maxVirtualSize !== undefined) {
            const setting = { category: 'image', name: 'maxVirtualSize', value: String(maxVirtualSize) };
            await again.client.call('UpdateGlobalConfig', setting);
          }
          const answer = await again.client.call('RebuildFromStorage', { uuid, ...parameters });
          return { ...answer, images: (await again.client.query('Image')).map((each) => each.uuid) };
        } finally {
          await again.stop();
          for (const name of ['ingot.sqlite', 'ingot.sqlite-wal', 'ingot.sqlite-shm', 'admin-password'])
            rmSync(join(data, name), { force: true });
        }
      };
      const reasons = (answer: Record<string, unknown>) =>
        (answer.refused as { reason: string }[]).map(({ reason }) => reason).sort();
      const ours = await rebuild();
      assert.deepEqual(ours.images, [image.uuid], JSON.stringify(ours));
      assert.match(reasons(ours).join('\n'), /has other bytes|SHA-256 is/);
      assert.match(reasons(ours).join('\n'), /the copy that it describes is not there/);
      assert.match(reasons(ours).join('\n'), /not signed with the key of this installation/);
      assert.match(reasons(ours).join('\n'), /another image than its place says/);
      assert.match(reasons(ours).join('\n'), /a form that this version does not know/);
      assert.equal(reasons(ours).length, 7);
      // With the flag the signature is passed over, and nothing else.
      const foreign = await rebuild({ acceptForeign: true });
      assert.deepEqual(foreign.images, [image.uuid]);
      assert.match(reasons(foreign).join('\n'), /backing file/);
      assert.match(reasons(foreign).join('\n'), /a cluster of data reaches/);
      assert.match(reasons(foreign).join('\n'), /qemu-img check says/);
      const small = await rebuild({}, image.size - 512);
      assert.deepEqual(small.images, []);
      assert.match(reasons(small).join('\n'), /the largest that is allowed has/);
      // With another key, ours are others'.
      rmSync(join(data, 'secret-key'));
      const strange = await rebuild();
      assert.deepEqual(strange.images, []);
      rmSync(join(data, 'secret-key'), { force: true });
      assert.deepEqual((await rebuild({ acceptForeign: true })).images, [image.uuid]);
    });
  });
}
