/** More AddImages than there are places: the rest wait in order, and say where they stand. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type RangeServer, startRangeServer } from '../support/range-server.ts';
import { startTestService, type TestService, until } from '../support/service.ts';

describe('images in line', () => {
  let service: TestService;
  let server: RangeServer;
  before(async () => {
    service = await startTestService({ settings: { parallelJobs: 2 } });
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
