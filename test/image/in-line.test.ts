/** More AddImages than there are places: the rest wait in order, and say where they stand. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { type RangeServer, startRangeServer } from '../support/range-server.ts';
import { startTestService, TestClient, type TestService, until } from '../support/service.ts';

describe('images in line', () => {
  // Of four places three are for sources, and one account gets the more of them: two.
  let service: TestService;
  let server: RangeServer;
  before(async () => {
    service = await startTestService({ settings: { parallelJobs: 4 } });
    server = await startRangeServer({
      files: { '/slow.raw': Buffer.alloc(2 ** 20, 'x') },
      fault: () => ({ stallAfter: 1000 }),
    });
  });
  after(async () => {
    await service.stop();
    await server.close();
  });

  it('wait for a place in the order of their calls, and say which is theirs', async () => {
    const { client } = service;
    const begin = (name: string) =>
      client.begin('AddImage', { name, url: server.url('/slow.raw'), format: 'raw' });
    const jobs: string[] = [];
    for (const name of ['a', 'b', 'c', 'd', 'e']) {
      jobs.push(await begin(name));
      // Each is older than the next by the clock.
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const places = () =>
      Promise.all(
        jobs.map(async (uuid) => {
          const { json } = await client.http('GET', `/v1/jobs/${uuid}`);
          return `${json.state} ${json.placeInLine}`;
        }),
      );
    assert.deepEqual(await places(), [
      'Running undefined',
      'Running undefined',
      'Waiting 1',
      'Waiting 2',
      'Waiting 3',
    ]);
    const { inventories } = await client.call('GetTaskProgress', { apiId: jobs[4] });
    assert.equal(inventories[0].opaque.placeInLine, 3);
    await client.call('CancelLongJob', { uuid: jobs[0] });
    await until('the third to begin', async () => (await places())[2] === 'Running undefined');
    assert.deepEqual((await places()).slice(3), ['Waiting 1', 'Waiting 2']);
    await client.call('CancelLongJob', { uuid: jobs[4] });
    await until('the last to be undone', async () => (await places())[4]?.startsWith('Canceled'));
    assert.equal((await places())[3], 'Waiting 1');
    for (const uuid of jobs.slice(1, 4)) await client.call('CancelLongJob', { uuid });
    for (const uuid of jobs) await assert.rejects(client.result(uuid), { code: 'SYS.1017' });
    assert.deepEqual(await client.query('Image'), []);
  });
});

describe('accounts whose sources are slow', () => {
  it('leave places for the sources of others, and for all else', async (test) => {
    const service = await startTestService({ settings: { parallelJobs: 8 } });
    const server = await startRangeServer({
      files: { '/slow.raw': Buffer.alloc(2 ** 20, 'x'), '/good.raw': Buffer.alloc(2 ** 20, 'y') },
      fault: ({ path }) => (path === '/slow.raw' ? { bytesPerSecond: 1 } : undefined),
    });
    test.after(async () => {
      await service.stop();
      await server.close();
    });
    const admin = service.client;
    const account = async (name: string) => {
      const password = createHash('sha512').update(name).digest('hex');
      await admin.call('CreateAccount', { name, password, type: 'SystemAdmin' });
      const client = new TestClient(service.address);
      await client.logIn(name, name);
      return client;
    };
    const begin = (client: TestClient, count: number, file = 'slow') =>
      Promise.all(
        Array.from({ length: count }, (_, i) =>
          client.begin('AddImage', { name: `${file} ${i}`, url: server.url(`/${file}.raw`), format: 'raw' }),
        ),
      );
    const running = async (jobs: string[]) => {
      const rows = await Promise.all(jobs.map((uuid) => admin.http('GET', `/v1/jobs/${uuid}`)));
      return rows.filter(({ json }) => json.state === 'Running').length;
    };
    const [importer, nightly, alice] = [
      await account('importer'),
      await account('mal'),
      await account('alice'),
    ];
    const { inventory: image } = await alice.result((await begin(alice, 1, 'good'))[0] ?? '');

    // Of eight places, six are for sources.
    const first = await begin(importer, 10);
    assert.equal(await running(first), 3);
    const second = await begin(nightly, 10);
    assert.equal(await running(second), 2);

    // Somebody else's image still comes in, and what is no download does not wait at all.
    await alice.result((await begin(alice, 1, 'good'))[0] ?? '');
    const { inventory: volume } = await alice.call('CreateRootVolumeFromImage', {
      name: 'v',
      imageUuid: image.uuid,
    });
    await alice.call('DeleteRootVolume', { uuid: volume.uuid });
    await alice.call('DeleteImage', { uuid: image.uuid });

    // And with all six taken, too.
    const third = await begin(alice, 2);
    assert.equal(await running(third), 1);
    const [waiting = ''] = await begin(admin, 1, 'good');
    assert.equal(await running([waiting]), 0);
    const [good] = await alice.query('Image', 'status=Ready');
    await alice.call('DeleteImage', { uuid: good?.uuid });
    await importer.call('CancelLongJob', { uuid: first[0] });
    await admin.result(waiting);
    assert.equal(await running(first), 2, 'one that was cancelled leaves its place to those who have fewer');
    for (const uuid of [...first, ...second, ...third]) await admin.call('CancelLongJob', { uuid });
  });
});
