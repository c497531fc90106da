/** `ingot try`: a guest on the terminal, and nothing of it left afterwards. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { Ingot } from '../cli/ingot.ts';
import { guestImages } from '../support/bootable-images.ts';
import { fsckOf } from '../support/fsck.ts';
import { endMachines, eventually } from '../support/guests.ts';
import { type RangeServer, startRangeServer } from '../support/range-server.ts';
import { startTestService, type TestService } from '../support/service.ts';

describe('ingot try', () => {
  let service: TestService;
  let server: RangeServer;
  let ingot: Ingot;
  before(async () => {
    const { stays, iso } = await guestImages();
    service = await startTestService({ settings: { accelerator: 'tcg' } });
    const files = { '/stays': readFileSync(stays), '/iso': readFileSync(iso) };
    server = await startRangeServer({ files });
    ingot = new Ingot({ data: service.data });
    for (const name of ['stays', 'iso']) {
      await service.client.call('AddImage', { name, url: server.url(`/${name}`) });
    }
  });
  after(async () => {
    await service.stop();
    endMachines(service.data);
    await server.close();
    assert.deepEqual(await fsckOf(service), []);
  });

  const left = async () => [
    ...(await service.client.query('VmInstance')),
    ...(await service.client.query('Volume')),
  ];

  it('shows the console until Ctrl-C, and deletes the machine', async () => {
    const run = ingot.start(['try', 'stays', 'memorySize=192M']);
    await eventually(
      'the guest to say that it ticks',
      async () => /INGOT-TICK 2/.test(run.stdout()),
      async () => run.stderr(),
    );
    const [vm] = await service.client.query('VmInstance');
    assert.equal(vm?.name, 'try-stays');
    assert.equal(vm?.memorySize, 192 * 2 ** 20);
    run.child.kill('SIGINT');
    const { code, stdout, stderr } = await run.ended;
    assert.equal(code, 0, stderr);
    assert.match(stdout, /INGOT-GUEST ready disk=\/dev\/vda2 payload=ok/);
    assert.match(stderr, /Its console follows; Ctrl-C ends and deletes it/);
    assert.match(stderr, /The virtual machine and its disk are deleted/);
    assert.deepEqual(await left(), []);
  });

  it('ends when the guest does, here one that an ISO has started', async () => {
    const { code, stdout, stderr } = await ingot.run(['try', 'iso', 'memorySize=192M']);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /INGOT-GUEST ready disk=\/dev\/sr0 payload=ok/);
    assert.match(stderr, /The guest has ended \(Stopped\)/);
    assert.deepEqual(await left(), []);
  });

  it('deletes the machine when its terminal goes away', async () => {
    const run = ingot.start(['try', 'stays']);
    await eventually('the guest to be there', async () => (await left()).length > 0);
    run.child.kill('SIGHUP');
    await run.ended;
    await eventually('nothing to be left', async () => (await left()).length === 0);
  });

  it('names an image that is not there, and what to do', async () => {
    const { code, stderr } = await ingot.run(['try', 'nothing']);
    assert.equal(code, 2);
    assert.match(stderr, /there is no image with the name nothing/);
    assert.match(stderr, /ingot AddImage name=nothing url=/);
    assert.equal((await ingot.run(['try'])).code, 2);
  });
});
