import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { Ingot, IngotError, type JobProgress } from 'ingot/client';
import { type RangeServer, startRangeServer } from '../support/range-server.ts';
import { startTestService, type TestService } from '../support/service.ts';
import { smallQcow2 } from '../support/small-disks.ts';

describe('the client', () => {
  let service: TestService;
  let source: RangeServer;
  let ingot: Ingot;
  before(async () => {
    const disk = readFileSync((await smallQcow2()).path);
    source = await startRangeServer({
      files: { '/a.qcow2': disk, '/slow.qcow2': disk },
      fault: ({ path }) => (path === '/slow.qcow2' ? { bytesPerSecond: 400_000 } : undefined),
    });
    service = await startTestService();
    const password = readFileSync(`${service.data}/admin-password`, 'utf8').trim();
    ingot = await Ingot.logIn({ address: service.address, accountName: 'admin', password });
  });
  after(async () => {
    await service.stop();
    await source.close();
  });

  it('calls a message as a method, typed by its declaration, and waits for its end', async () => {
    const seen: JobProgress[] = [];
    const { inventory } = await ingot.addImage(
      { name: 'typed', url: source.url('/slow.qcow2'), format: 'qcow2' },
      { onProgress: (progress) => seen.push(progress) },
    );
    const status: 'Creating' | 'Downloading' | 'Ready' | 'Deleted' = inventory.status;
    assert.equal(status, 'Ready');
    assert.ok(Math.abs(inventory.createDate - Date.now()) < 120_000);
    const percents = seen.map((progress) => progress.percent ?? 0);
    assert.ok(percents.some((percent) => percent > 0 && percent < 100));
    assert.equal(percents.at(-1), 100);
    // @ts-expect-error a parameter that there is not
    await assert.rejects(ingot.addImage({ name: 'x', url: 'http://h/x', nmae: 'y' }), /did you mean 'name'/);
    // @ts-expect-error a required one that is missing
    await assert.rejects(ingot.addImage({ name: 'x' }), { code: 'SYS.1007' });
  });

  it('asks with conditions of either form', async () => {
    await ingot.addImage({ name: 'a,b', url: source.url('/a.qcow2') });
    const byText = await ingot.queryImage({ conditions: ['name~=typ%', 'size>1M'], replyWithCount: true });
    assert.deepEqual([byText.inventories[0]?.name, byText.total], ['typed', 1]);
    const byParts = await ingot.queryImage({
      conditions: [
        { name: 'name', op: 'in', value: ['a,b', 'c'] },
        { name: 'description', op: 'is null' },
      ],
      sortBy: 'createDate',
      sortDirection: 'desc',
      fields: ['name', 'createDate'],
    });
    assert.deepEqual(Object.keys(byParts.inventories[0] ?? {}), ['name', 'createDate']);
    assert.equal(byParts.inventories[0]?.name, 'a,b');
    assert.equal(typeof byParts.inventories[0]?.createDate, 'number');
    assert.equal((await ingot.queryZone()).inventories.length, 1);
    const named = { name: 'guestOsType', op: 'not null' };
    assert.equal((await ingot.queryImage({ conditions: [named], count: true })).total, 0);
  });

  it('sorts by several fields, each in its own direction or in the one of all', async () => {
    const names = async (parameters: Parameters<Ingot['queryImage']>[0]) =>
      (await ingot.queryImage({ ...parameters, fields: ['name'] })).inventories.map(({ name }) => name);
    assert.deepEqual(await names({ sortBy: 'size,-createDate' }), ['a,b', 'typed']);
    assert.deepEqual(await names({ sortBy: 'size,createDate', sortDirection: 'desc' }), ['a,b', 'typed']);
    assert.deepEqual(await names({ sortBy: '-size, +name', sortDirection: 'desc' }), ['a,b', 'typed']);
    assert.deepEqual(await names({ sortBy: '-name' }), ['typed', 'a,b']);
    assert.deepEqual(await names({ sortDirection: 'desc' }), ['a,b', 'typed']);
    assert.deepEqual(await names({}), ['typed', 'a,b']);
  });

  it('rejects with the error of the service', async () => {
    const error = await ingot
      .addImage({ name: 'x', url: source.url('/missing.qcow2') })
      .catch((thrown) => thrown);
    assert.ok(error instanceof IngotError);
    assert.match(error.details, /404/);
    const nobody = new Ingot({ address: 'http://127.0.0.1:1' });
    await assert.rejects(nobody.getVersion(), { code: 'SYS.1015', message: /can't be reached/ });
    await assert.rejects(new Ingot({ address: service.address }).queryImage(), { code: 'ID.1001' });
  });

  it('signs with an access key', async () => {
    const { inventory } = await ingot.createAccessKey();
    const signed = new Ingot({
      address: service.address,
      accessKey: { id: inventory.AccessKeyID, secret: String(inventory.AccessKeySecret) },
    });
    assert.equal((await signed.queryZone({ conditions: ['name=default'] })).inventories.length, 1);
    await signed.changeAccessKeyState({ uuid: inventory.uuid, stateEvent: 'disable' });
    await assert.rejects(signed.queryZone(), { code: 'ID.1000', message: /Disabled/ });
    await ingot.deleteAccessKey({ uuid: inventory.uuid });
    await assert.rejects(signed.queryZone(), /there is no access key id/);
  });

  it('stops waiting when told, and cancels the job where that is asked for', async () => {
    const stop = new AbortController();
    const calling = ingot.addImage(
      { name: 'stopped', url: source.url('/slow.qcow2') },
      { signal: stop.signal, cancel: true, onProgress: ({ percent = 0 }) => percent > 0 && stop.abort() },
    );
    await assert.rejects(calling);
    for (;;) {
      const { inventories } = await ingot.queryLongJob({ conditions: ['state=Canceled'] });
      if (inventories.length > 0) break;
    }
    assert.deepEqual((await ingot.queryImage({ conditions: ['name=stopped'] })).inventories, []);
  });

  it('begins a call and waits for it later, and ends its session', async () => {
    const job = await ingot.begin('AddImage', { name: 'later', url: source.url('/a.qcow2') });
    assert.ok(job);
    const { inventory } = await ingot.waitFor('AddImage', job);
    assert.equal(inventory.name, 'later');
    const { session } = ingot;
    await ingot.close();
    assert.equal((await ingot.validateSession({ sessionUuid: session ?? '' })).valid, false);
  });
});
