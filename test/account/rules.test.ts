/** Who sees, uses and changes what; sharing, quotas, and what becomes of it when an account goes. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { ADMIN_UUID } from '../../src/account/account.ts';
import { openDatabase } from '../../src/database/database.ts';
import { newUuid } from '../../src/kernel/uuid.ts';
import { type RangeServer, startRangeServer } from '../support/range-server.ts';
import { startTestService, TestClient, type TestService, until } from '../support/service.ts';
import { smallQcow2 } from '../support/small-disks.ts';

const sha512 = (text: string) => createHash('sha512').update(text).digest('hex');

for (const kind of ['sqlite', 'postgres'] as const) {
  describe(`accounts on ${kind}`, () => {
    let service: TestService;
    let source: RangeServer;
    let admin: TestClient;
    let user: TestClient;
    let userUuid: string;
    let other: TestClient;
    let otherUuid: string;
    before(async () => {
      source = await startRangeServer({ files: { '/a.qcow2': readFileSync((await smallQcow2()).path) } });
      service = await startTestService({ database: kind });
      admin = service.client;
      [user, userUuid] = await account('user');
      [other, otherUuid] = await account('other');
    });
    after(async () => {
      await service.stop();
      await source.close();
    });

    async function account(name: string): Promise<[TestClient, string]> {
      const { inventory } = await admin.call('CreateAccount', { name, password: sha512(name) });
      const client = new TestClient(service.address);
      await client.logIn(name, name);
      return [client, inventory.uuid];
    }
    async function image(name = 'an image'): Promise<string> {
      const answer = await admin.call('AddImage', { name, url: source.url('/a.qcow2') });
      return answer.inventory.uuid;
    }
    const names = async (client: TestClient, ...q: string[]) =>
      (await client.query('Image', ...q)).map((each) => each.name).sort();

    it('what is created belongs to its maker, who finds that written', async () => {
      const uuid = await image('owned');
      const [ref] = await admin.query('AccountResourceRef', `resourceUuid=${uuid}`);
      assert.equal(ref?.accountUuid, ADMIN_UUID);
      assert.equal(ref?.resourceType, 'ImageVO');
      assert.equal(ref?.concreteResourceType, 'org.zstack.header.image.ImageVO');
      const types = (await admin.query('AccountResourceRef')).map((each) => each.resourceType);
      for (const type of ['ZoneVO', 'BackupStorageVO']) assert.ok(types.includes(type), type);
      assert.deepEqual(await user.query('AccountResourceRef'), []);
    });

    it('others see and use it only when it is shared with them or with everybody', async () => {
      const uuid = await image('shared');
      const [store] = await admin.query('BackupStorage');
      assert.deepEqual(await names(user), []);
      // Nothing is learnt over a join either.
      assert.deepEqual(await user.query('BackupStorage', 'image.name=shared'), []);
      assert.equal((await user.query('BackupStorage')).length, 1);
      assert.equal((await user.query('Zone')).length, 1);
      await assert.rejects(user.call('CalculateImageHash', { uuid, backupStorageUuid: store?.uuid }), {
        code: 'ID.1002',
      });

      await admin.call('ShareResource', { resourceUuids: [uuid], accountUuids: [userUuid] });
      assert.deepEqual(await names(user), ['shared']);
      assert.deepEqual(await names(other), []);
      assert.equal((await user.query('BackupStorage', 'image.name=shared')).length, 1);
      // Used, but not changed.
      await assert.rejects(user.call('SetImageBootMode', { uuid, bootMode: 'UEFI' }), { code: 'ID.1002' });
      await assert.rejects(
        user.call('CreateUserTag', { resourceType: 'ImageVO', resourceUuid: uuid, tag: 'x' }),
        { code: 'ID.1002' },
      );

      await admin.call('ShareResource', { resourceUuids: [uuid], toPublic: true });
      assert.deepEqual(await names(other), ['shared']);
      const sharings = await admin.query('SharedResource', `resourceUuid=${uuid}`);
      assert.deepEqual(sharings.map((each) => each.toPublic).sort(), [false, true]);
      await admin.call('RevokeResourceSharing', { resourceUuids: [uuid], toPublic: true });
      assert.deepEqual(await names(other), []);
      assert.deepEqual(await names(user), ['shared']);
      await admin.call('RevokeResourceSharing', { resourceUuids: [uuid], all: true });
      assert.deepEqual(await names(user), []);
    });

    it('an owner changes his own; tags of what is not his are not his to see', async () => {
      const uuid = await image('given');
      await admin.call('CreateUserTag', { resourceType: 'ImageVO', resourceUuid: uuid, tag: 'golden' });
      assert.deepEqual(await user.query('UserTag', 'tag=golden'), []);
      const { inventory } = await admin.call('ChangeResourceOwner', {
        accountUuid: userUuid,
        resourceUuid: uuid,
      });
      assert.equal(inventory.accountUuid, userUuid);
      assert.equal((await user.query('UserTag', 'tag=golden')).length, 1);
      await user.call('SetImageBootMode', { uuid, bootMode: 'UEFI' });
      await user.call('CreateUserTag', { resourceType: 'ImageVO', resourceUuid: uuid, tag: 'mine' });
      const accounts = await user.call('GetResourceAccount', { resourceUuids: [uuid] });
      assert.equal(accounts.inventories[uuid].name, 'user');
      assert.deepEqual((await other.call('GetResourceAccount', { resourceUuids: [uuid] })).inventories, {});
    });

    it('calls of administrators are refused to others, whatever they name', async () => {
      const uuid = newUuid();
      for (const [name, parameters] of [
        ['AddImage', { name: 'x', url: source.url('/a.qcow2') }],
        ['DeleteImage', { uuid }],
        ['ChangeImageState', { uuid, stateEvent: 'disable' }],
        ['CreateAccount', { name: 'x', password: sha512('x') }],
        ['DeleteAccount', { uuid: userUuid }],
        ['UpdateQuota', { identityUuid: userUuid, name: 'image.num', value: 9 }],
        ['UpdateGlobalConfig', { category: 'image', name: 'deletionPolicy', value: 'Never' }],
        ['ShareResource', { resourceUuids: [uuid], toPublic: true }],
        ['QuerySharedResource', {}],
        ['QueryManagementNode', {}],
      ] as const) {
        await assert.rejects(user.call(name, parameters), { code: 'ID.1002' }, name);
      }
    });

    it('an account sees and changes itself alone', async () => {
      assert.deepEqual(
        (await user.query('Account')).map((each) => each.name),
        ['user'],
      );
      await assert.rejects(user.call('UpdateAccount', { uuid: otherUuid, description: 'x' }), {
        code: 'ID.1002',
      });
      const { inventory } = await user.call('UpdateAccount', { uuid: userUuid, description: 'me' });
      assert.equal(inventory.description, 'me');
      assert.equal(JSON.stringify(await admin.query('Account')).includes('scrypt'), false);
    });

    it('a new password ends the sessions, and the old one must be right where it is given', async () => {
      const [client, uuid] = await account('changing');
      await assert.rejects(
        client.call('UpdateAccount', { uuid, password: sha512('new'), oldPassword: 'wrong' }),
        { code: 'ID.1000' },
      );
      await client.call('UpdateAccount', { uuid, password: sha512('new'), oldPassword: 'changing' });
      await assert.rejects(client.query('Image'), { code: 'ID.1001', message: 'Session expired' });
      await client.logIn('changing', 'new');
    });

    it('the old password can not be guessed by who has the session alone', async () => {
      const [client, uuid] = await account('shown');
      const change = (oldPassword: string) => client.call('UpdateAccount', { uuid, oldPassword });
      const guesses = await Promise.allSettled(Array.from({ length: 12 }, (_, i) => change(`guess ${i}`)));
      const reasons = guesses.map((guess) => (guess.status === 'rejected' ? guess.reason.message : 'right'));
      assert.ok(reasons.filter((reason) => /is not the present password/.test(reason)).length >= 3);
      // On a slow machine some more may have had to wait for nothing.
      const turnedAway = /^there were \d+ failed log-ins to 'shown' from 127\.0\.0\.1; try again in \d+ s$/;
      assert.ok(reasons.filter((reason) => turnedAway.test(reason)).length >= 4, reasons.join('\n'));
    });

    it('no account deletes itself, and nobody the built-in administrator', async () => {
      await assert.rejects(admin.call('DeleteAccount', { uuid: ADMIN_UUID }), /can't delete itself/);
      const { inventory } = await admin.call('CreateAccount', {
        name: 'second admin',
        password: sha512('second'),
        type: 'SystemAdmin',
      });
      const second = new TestClient(service.address);
      await second.logIn('second admin', 'second');
      await assert.rejects(second.call('DeleteAccount', { uuid: inventory.uuid }), /can't delete itself/);
      await assert.rejects(second.call('DeleteAccount', { uuid: ADMIN_UUID }), { code: 'SYS.1007' });
      await assert.rejects(second.call('UpdateAccount', { uuid: ADMIN_UUID, name: 'root' }), {
        code: 'SYS.1007',
      });
      await admin.call('DeleteAccount', { uuid: inventory.uuid });
      await assert.rejects(second.query('Image'), { code: 'ID.1001' });
      await admin.call('DeleteAccount', { uuid: inventory.uuid });
    });

    it('two accounts never have the same name', async () => {
      for (const name of ['user', 'USER']) {
        await assert.rejects(admin.call('CreateAccount', { name, password: sha512('x') }), {
          code: 'SYS.1007',
        });
      }
    });

    it("what a deleted account owns is in the way, or becomes the administrator's", async () => {
      const [, uuid] = await account('leaving');
      const left = await image('left behind');
      await admin.call('ChangeResourceOwner', { accountUuid: uuid, resourceUuid: left });
      await assert.rejects(admin.call('DeleteAccount', { uuid }), /still owns 1 ImageVO/);
      await admin.call('DeleteAccount', { uuid, deleteMode: 'Enforcing' });
      const [ref] = await admin.query('AccountResourceRef', `resourceUuid=${left}`);
      assert.equal(ref?.accountUuid, ADMIN_UUID);
    });

    it('quotas hold wherever a resource comes to an account', async () => {
      const [client, uuid] = await account('small');
      await admin.call('UpdateQuota', { identityUuid: uuid, name: 'image.num', value: 1 });
      const [first, second] = [await image('first'), await image('second')];
      await admin.call('ChangeResourceOwner', { accountUuid: uuid, resourceUuid: first });
      await assert.rejects(admin.call('ChangeResourceOwner', { accountUuid: uuid, resourceUuid: second }), {
        code: 'ID.1003',
        message: /image\.num .* is 1, and this would make it 2/,
      });
      const { usages } = await client.call('GetAccountQuotaUsage', { uuid });
      assert.deepEqual(
        usages.map((usage: { name: string; total: number }) => [usage.name, usage.total]),
        [
          ['image.num', 1],
          ['image.size', 10_995_116_277_760],
        ],
      );
      assert.equal(usages[0].used, 1);
      assert.ok(usages[1].used > 1_000_000);
      await admin.call('UpdateQuota', { identityUuid: uuid, name: 'image.num', value: 9 });
      await admin.call('UpdateQuota', { identityUuid: uuid, name: 'image.size', value: usages[1].used });
      await assert.rejects(admin.call('ChangeResourceOwner', { accountUuid: uuid, resourceUuid: second }), {
        code: 'ID.1003',
        message: /image\.size/,
      });
      await assert.rejects(client.call('GetAccountQuotaUsage', { uuid: ADMIN_UUID }), { code: 'ID.1002' });
      assert.equal((await client.query('Quota')).length, 2);
      await assert.rejects(
        admin.call('UpdateQuota', { identityUuid: uuid, name: 'image.nun', value: 9 }),
        /did you mean 'image\.num'/,
      );
    });

    it('quotas hold where several come at once', async () => {
      const [, uuid] = await account('crowded');
      await admin.call('UpdateQuota', { identityUuid: uuid, name: 'image.num', value: 2 });
      const images = await Promise.all([1, 2, 3, 4, 5].map((i) => image(`crowd ${i}`)));
      const results = await Promise.allSettled(
        images.map((resourceUuid) => admin.call('ChangeResourceOwner', { accountUuid: uuid, resourceUuid })),
      );
      assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 2);
      assert.equal((await admin.query('AccountResourceRef', `accountUuid=${uuid}`)).length, 2);
    });

    it('a key signs for its own account, and is made for no other', async () => {
      const { inventory } = await user.call('CreateAccessKey', {});
      assert.equal(inventory.accountUuid, userUuid);
      await assert.rejects(user.call('CreateAccessKey', { accountUuid: ADMIN_UUID }), { code: 'ID.1002' });
      await assert.rejects(other.call('DeleteAccessKey', { uuid: inventory.uuid }), { code: 'ID.1002' });
      assert.deepEqual(await other.query('AccessKey'), []);
      assert.equal(JSON.stringify(await admin.query('AccessKey')).includes(inventory.AccessKeySecret), false);
      await user.call('DeleteAccessKey', { uuid: inventory.uuid });
    });

    it('owners and sharings go with what they are of', async () => {
      const uuid = await image('going');
      await admin.call('ShareResource', { resourceUuids: [uuid], toPublic: true });
      await admin.call('DeleteImage', { uuid });
      assert.deepEqual(await admin.query('AccountResourceRef', `resourceUuid=${uuid}`), []);
      assert.deepEqual(await admin.query('SharedResource', `resourceUuid=${uuid}`), []);
      await assert.rejects(admin.call('AddImage', { name: 'x', url: source.url('/missing') }));
      const images = (await admin.query('Image')).map((each) => each.uuid).sort();
      const refs = await admin.query('AccountResourceRef', 'resourceType=ImageVO');
      assert.deepEqual(refs.map((each) => each.resourceUuid).sort(), images);
    });

    it('a job goes on when the session that began it ends', async () => {
      const slow = await startRangeServer({
        files: { '/s.qcow2': readFileSync((await smallQcow2()).path) },
        fault: () => ({ bytesPerSecond: 1_500_000 }),
      });
      const client = new TestClient(service.address);
      await client.logIn('admin', readFileSync(`${service.data}/admin-password`, 'utf8').trim());
      const job = await client.begin('AddImage', { name: 'slow', url: slow.url('/s.qcow2') });
      await client.call('LogOut', { sessionUuid: client.session });
      await assert.rejects(client.query('Image'), { code: 'ID.1001' });
      const { inventory } = await client.result(job);
      assert.equal(inventory.status, 'Ready');
      await slow.close();
    });

    it('jobs are shown to who called, and cancelled by him alone', async () => {
      const uuid = await image('mine to hash');
      await admin.call('ChangeResourceOwner', { accountUuid: userUuid, resourceUuid: uuid });
      const [store] = await admin.query('BackupStorage');
      const job = await user.begin('CalculateImageHash', { uuid, backupStorageUuid: store?.uuid });
      await user.result(job);
      assert.equal((await user.query('LongJob', `uuid=${job}`)).length, 1);
      assert.equal((await other.query('LongJob', `uuid=${job}`)).length, 0);
      await assert.rejects(other.call('CancelLongJob', { uuid: job }), { code: 'ID.1002' });
      await assert.rejects(other.call('DeleteLongJob', { uuid: job }), { code: 'ID.1002' });
      await assert.rejects(
        user.call('SubmitLongJob', {
          jobName: 'APIAddImageMsg',
          jobData: JSON.stringify({ name: 'x', url: source.url('/a.qcow2') }),
        }),
        { code: 'ID.1002' },
      );
    });

    it("what was there before there were owners is the administrator's", async () => {
      const database = await openDatabase(service.databaseAt);
      try {
        const zones = await database.sql.selectFrom('zone').select('uuid').execute();
        for (const { uuid } of zones) {
          const [ref] = await admin.query('AccountResourceRef', `resourceUuid=${uuid}`);
          assert.equal(ref?.accountUuid, ADMIN_UUID);
        }
      } finally {
        await database.close();
      }
    });

    it('failed log-ins are slowed, logged, and forgotten with a success', async () => {
      await account('guessed');
      const guess = async (password: string) => {
        const began = performance.now();
        const answer = await admin
          .call('LogInByAccount', { accountName: 'guessed', password: sha512(password) })
          .catch((error) => error);
        return { milliseconds: performance.now() - began, answer };
      };
      const guesses = await Promise.all(['a', 'b', 'c', 'd'].map(guess));
      assert.ok(guesses.every(({ answer }) => answer.code === 'ID.1000'));
      const slowest = Math.max(...guesses.map(({ milliseconds }) => milliseconds));
      assert.ok(slowest >= 250, `${slowest} ms`);
      // Whoever guesses on, waits; and more than a few at once are turned away.
      const many = await Promise.all(Array.from({ length: 8 }, (_, i) => guess(`x${i}`)));
      assert.ok(many.some(({ answer }) => /try again in/.test(answer.message)));
      const right = await guess('guessed');
      assert.equal(right.answer.inventory?.userType, 'Normal');
      await until('the log to tell', () => service.log().includes('"failures":4'));
      // On a busy machine one of them may take as long as a wait.
      const later = [await guess('guessed'), await guess('guessed'), await guess('guessed')];
      assert.ok(Math.min(...later.map(({ milliseconds }) => milliseconds)) < right.milliseconds);
    });
  });
}
