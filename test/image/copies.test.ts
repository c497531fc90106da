import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { ADMIN_UUID } from '../../src/account/account.ts';
import { localBackupStorage } from '../../src/backup-storage/local/driver.ts';
import { makeCopyReady } from '../../src/image/add.ts';
import { copyPath } from '../../src/image/copies.ts';
import { undoCopying } from '../../src/image/copying.ts';
import type { ReadingParts } from '../../src/image/read-copies.ts';
import { hold, letGo } from '../../src/job/holds.ts';
import { newUuid } from '../../src/kernel/uuid.ts';
import { startServiceProcess, until } from '../support/service.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';
import { openStage, type Stage } from './stage.ts';

const MIB = 1024 * 1024;

interface Ref {
  backupStorageUuid: string;
  installPath: string;
  status: string;
  damage?: string;
  checkDate?: string;
}

for (const kind of ['sqlite', 'postgres'] as const) {
  describe(`copies of an image (${kind})`, () => {
    let stage: Stage;
    let storages: string[];
    let uuid: string;

    before(async () => {
      stage = await openStage(kind);
      storages = [];
      for (const name of ['one', 'two', 'three']) storages.push(await stage.addStorage(name));
      uuid = await add('disk', [storages[0] ?? '']);
    });
    after(() => stage.close());

    const client = () => stage.service.client;
    const add = async (name: string, backupStorageUuids: string[]): Promise<string> =>
      (await client().call('AddImage', { name, url: stage.url('/disk.raw'), backupStorageUuids })).inventory
        .uuid;
    const refs = async (image = uuid): Promise<Ref[]> =>
      (await client().query('Image', `uuid=${image}`))[0]?.backupStorageRefs ?? [];
    const refOn = async (storage: string | undefined): Promise<Ref> => {
      const found = (await refs()).find(({ backupStorageUuid }) => backupStorageUuid === storage);
      assert.ok(found, `no copy on ${storage}`);
      return found;
    };
    const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
    /** One byte in the middle is another. */
    const spoil = (file: string) => {
      const bytes = readFileSync(file);
      const at = bytes.length >> 1;
      bytes[at] = (bytes[at] ?? 0) ^ 1;
      writeFileSync(file, bytes);
    };
    const copyTo = (...backupStorageUuids: (string | undefined)[]) =>
      client().call('AddImageToBackupStorage', { uuid, backupStorageUuids });
    const scrub = (storage: string | undefined, more: Record<string, unknown> = {}) =>
      client().call('ScrubBackupStorage', { uuid: storage, ...more });

    it('are made on further storages, and those that can not have one are named', async () => {
      await client().call('ChangeBackupStorageState', { uuid: storages[2], stateEvent: 'disable' });
      const { inventory, failures } = await copyTo(storages[1], storages[2]);
      assert.equal(inventory.backupStorageRefs.length, 2);
      assert.deepEqual(
        failures.map(({ backupStorageUuid }: Ref) => backupStorageUuid),
        [storages[2]],
      );
      assert.match(failures[0].error.details, /'three' .* is Disabled/);
      await client().call('ChangeBackupStorageState', { uuid: storages[2], stateEvent: 'enable' });
      const { installPath } = await refOn(storages[1]);
      assert.equal(digest(readFileSync(installPath)), digest(stage.disks.raw));
      const description = installPath.replace(/\.template$/, '.ingot.json');
      await until('the new copy to be described', () => existsSync(description));
      await stage.checkAll();
    });

    it('are let be where there are good ones already', async () => {
      const { inventory, failures } = await copyTo(storages[0], storages[1]);
      assert.equal(inventory.backupStorageRefs.length, 2);
      assert.equal(failures, undefined);
      await stage.checkAll();
    });

    it('are not made of damaged bytes: the next copy is taken, and the damaged one is known from then on', async () => {
      const damaged = (await refs()).sort((a, b) => (a.backupStorageUuid < b.backupStorageUuid ? -1 : 1))[0];
      assert.ok(damaged);
      for (const { installPath } of await refs())
        if (installPath !== damaged.installPath) assert.ok(existsSync(installPath));
      spoil(damaged.installPath);
      await copyTo(storages[2]);
      const { installPath } = await refOn(storages[2]);
      assert.equal(digest(readFileSync(installPath)), digest(stage.disks.raw));
      // The older is read first: where that was the good one, nobody has looked at the other yet.
      await scrub(damaged.backupStorageUuid);
      assert.match(
        (await refOn(damaged.backupStorageUuid)).damage ?? '',
        /its SHA-256 is [0-9a-f]{64}, not /,
      );
      await stage.checkAll();
    });

    it('are written again in place of damaged ones', async () => {
      await copyTo(...storages);
      for (const { damage, installPath } of await refs()) {
        assert.equal(damage, undefined);
        assert.equal(digest(readFileSync(installPath)), digest(stage.disks.raw));
      }
      await stage.checkAll();
    });

    it('are found gone, cut off or changed by a scrub, which repairs them when it is asked to', async () => {
      for (const [spoiled, says] of [
        [(file: string) => rmSync(file), /^it is gone$/],
        [(file: string) => truncateSync(file, 1000), /^it has 1000 bytes, not \d+$/],
        [spoil, /^its SHA-256 is /],
      ] as const) {
        spoiled((await refOn(storages[1])).installPath);
        const found = await scrub(storages[1]);
        assert.equal(found.checkedCopies, 1);
        assert.equal(found.damagedCopies, 1);
        assert.equal(found.repairedCopies, 0);
        assert.match(found.findings[0].damage, says);
        assert.match((await refOn(storages[1])).damage ?? '', says);
        const repaired = await scrub(storages[1], { repair: true });
        assert.equal(repaired.repairedCopies, 1);
        const { damage, installPath, checkDate } = await refOn(storages[1]);
        assert.equal(damage, undefined);
        assert.ok(checkDate);
        assert.equal(digest(readFileSync(installPath)), digest(stage.disks.raw));
        assert.equal((await scrub(storages[1])).damagedCopies, 0);
        await stage.checkAll();
      }
      assert.match(stage.service.log(), /a copy of an image is damaged/);
      assert.match(stage.service.log(), /a damaged copy was repaired/);
    });

    it('stay deleted when they were deleted while they were being renewed', async () => {
      const policy = (value: string) =>
        client().call('UpdateGlobalConfig', { category: 'image', name: 'deletionPolicy', value });
      const { size } = (await stage.database.sql
        .selectFrom('imageBackupStorageRef')
        .select('size')
        .where('imageUuid', '=', uuid)
        .executeTakeFirst()) ?? { size: 0 };
      await policy('Delay');
      await client().call('DeleteImage', { uuid, backupStorageUuids: [storages[1]] });
      // The renewal's last step.
      await stage.database.transaction((tx) => makeCopyReady(tx, uuid, storages[1] ?? '', size, Date.now()));
      assert.equal((await refOn(storages[1])).status, 'Deleted');
      await client().call('RecoverImage', { imageUuid: uuid, backupStorageUuids: [storages[1]] });
      await policy('Direct');
      await stage.checkAll();
    });

    it('leave nothing where they were deleted by force while they were being renewed, and that failed', async () => {
      const another = await add('another', [storages[1] ?? '']);
      const kept = (await refs(another))[0]?.installPath ?? '';
      const [gone, storageUuid = ''] = [newUuid(), storages[1]];
      const path = copyPath(ADMIN_UUID, gone);
      const [store] = await client().query('BackupStorage', `uuid=${storageUuid}`);
      const root = store?.url as string;
      const file = join(root, path);
      mkdirSync(dirname(file), { recursive: true });
      copyFileSync(kept, file);
      const parts = {
        database: stage.database,
        storages: { driver: async () => localBackupStorage({ root, uuid: storageUuid }) },
      } as unknown as ReadingParts;
      const copies = [{ storageUuid, path }];
      const state = { imageUuid: gone, copies, failures: [], renewed: [storageUuid] };
      await stage.database.transaction(await undoCopying(parts, state));
      // The end of a job has what was thrown away removed.
      const next = await add('next', [storageUuid]);
      for (const one of [another, next]) await client().call('DeleteImage', { uuid: one });
      await until('the bytes to be gone', () => !existsSync(file));
      await stage.checkAll();
    });

    it('are held by a job that goes on after a death as before it', async () => {
      const job = newUuid();
      const held = { table: 'image', uuid, mode: 'change', job } as const;
      await stage.database.transaction((tx) => hold(tx, held));
      await stage.database.transaction((tx) => hold(tx, held));
      await stage.database.transaction((tx) => letGo(tx, job));
      const left = await stage.database.sql.selectFrom('jobHold').selectAll().execute();
      assert.ok(left.every(({ jobUuid }) => jobUuid !== job));
    });

    it('are not read again before their time', async () => {
      const { checkedCopies, checkedBytes } = await scrub(storages[1], { olderThan: 3600 });
      assert.deepEqual([checkedCopies, checkedBytes], [0, 0]);
    });

    it('are read again by themselves after the interval, and repaired where that is set', async () => {
      spoil((await refOn(storages[2])).installPath);
      const set = (name: string, value: string) =>
        client().call('UpdateGlobalConfig', { category: 'backupStorage', name, value });
      await set('scrub.repair', 'true');
      await set('scrub.interval', '1');
      await until('the copy to be found and repaired', async () => {
        const { installPath, damage } = await refOn(storages[2]);
        return damage === undefined && digest(readFileSync(installPath)) === digest(stage.disks.raw);
      });
      await set('scrub.interval', '0');
      await until('the scrubs to end', async () => {
        const open = await client().query('LongJob', 'name=ScrubBackupStorage', 'state=Running');
        return open.length === 0;
      });
      await stage.checkAll();
    });

    it('say so when no good one is left, and leave nothing of a new one', async () => {
      const lonely = await add('lonely', [storages[0] ?? '']);
      const [only] = await refs(lonely);
      assert.ok(only);
      spoil(only.installPath);
      const call = client().call('AddImageToBackupStorage', {
        uuid: lonely,
        backupStorageUuids: [storages[1]],
      });
      await assert.rejects(call, { code: 'SYS.1006', message: /no copy of image 'lonely' .* is damaged/ });
      const { findings } = await scrub(storages[0], { repair: true });
      const [finding] = findings.filter(({ imageUuid }: { imageUuid: string }) => imageUuid === lonely);
      assert.equal(finding.repaired, false);
      assert.match(finding.error, /no copy of image 'lonely'/);
      await stage.checkAll();
      await client().call('DeleteImage', { uuid: lonely });
      await stage.checkAll();
    });

    it('go with the image while they are being made, or with a cancel', async () => {
      stage.server.serve('/large.raw', Buffer.concat([stage.disks.raw, randomBytes(32 * MIB)]));
      for (const end of ['CancelLongJob', 'DeleteImage'] as const) {
        const { inventory } = await client().call('AddImage', {
          name: 'large',
          url: stage.url('/large.raw'),
          backupStorageUuids: [storages[0]],
        });
        const job = await client().begin('AddImageToBackupStorage', {
          uuid: inventory.uuid,
          backupStorageUuids: [storages[1], storages[2]],
        });
        const outcome = client()
          .result(job)
          .then(
            () => 'done',
            (error: { code?: string }) => error.code,
          );
        await client()
          .call(end, { uuid: end === 'DeleteImage' ? inventory.uuid : job })
          .catch((error) => {
            // It may have ended a moment before.
            assert.equal(error.code, 'LONG_JOB.1001');
          });
        assert.ok(['done', 'SYS.1017'].includes(String(await outcome)));
        assert.equal((await refs(inventory.uuid)).length > 0, end === 'CancelLongJob');
        await stage.checkAll();
        if (end === 'CancelLongJob') await client().call('DeleteImage', { uuid: inventory.uuid });
      }
      await stage.checkAll();
    });
  });
}

describe('copies being made when the service is killed', () => {
  it('are ended by the next start', async () => {
    const source = temporaryDirectory();
    const file = join(source, 'disk.raw');
    const bytes = Buffer.concat([Buffer.alloc(510), Buffer.from([0x55, 0xaa]), randomBytes(96 * MIB - 512)]);
    // A partition table with one entry, so that it is a disk.
    bytes.set([0x80, 0, 2, 0, 0x83, 0, 0, 0, 1, 0, 0, 0, 0xff, 0x0f, 0, 0], 446);
    writeFileSync(file, bytes);
    const settings = { importDirectories: source };
    const service = await startServiceProcess({ settings });
    const directory = join(temporaryDirectory(), 'store');
    const { inventory: storage } = await service.client.call('AddLocalBackupStorage', {
      name: 'second',
      url: directory,
    });
    const { inventory } = await service.client.call('AddImage', {
      name: 'disk',
      url: file,
      backupStorageUuids: (await service.client.query('BackupStorage', 'name=local')).map(({ uuid }) => uuid),
    });
    const job = await service.client.begin('AddImageToBackupStorage', {
      uuid: inventory.uuid,
      backupStorageUuids: [storage.uuid],
    });
    const files = () =>
      existsSync(directory) ? readdirSync(directory, { recursive: true }).map(String) : [];
    await until('the first bytes', () => files().some((name) => name.includes('.template')));
    await service.kill();
    const again = await startServiceProcess({ data: service.data, settings });
    try {
      const { inventory: done } = await again.client.result(job);
      assert.equal(done.backupStorageRefs.length, 2);
      const { findings } = await again.client.call('ScrubBackupStorage', { uuid: storage.uuid });
      assert.deepEqual(findings, []);
      assert.equal(files().filter((name) => name.includes('.part')).length, 0);
    } finally {
      await again.stop();
    }
  });
});
