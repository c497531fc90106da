import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { IngotError } from '../../src/kernel/errors.ts';
import { forge, u64 } from '../hostile/forge.ts';
import { openStage, type Stage } from './stage.ts';

describe('AddImage, before anybody sees the image', () => {
  let stage: Stage;
  before(async () => {
    stage = await openStage('sqlite');
    await stage.addStorage('one');
  });
  after(() => stage.close());
  afterEach(async () => {
    const { client } = stage.service;
    for (const { uuid } of await client.query('Image')) await client.call('DeleteImage', { uuid });
    await stage.checkNothing();
  });
  const add = (bytes: Buffer) => {
    stage.server.serve('/forged', bytes);
    return stage.service.client.call('AddImage', { name: 'forged', url: stage.url('/forged') });
  };
  const refuses = (bytes: Buffer, sentence: RegExp) =>
    assert.rejects(add(bytes), (error) => {
      assert.ok(error instanceof IngotError && error.code === 'IMG.1002', String(error));
      assert.match(error.details, sentence);
      return true;
    });

  it('takes one whose tables lie in front of what tells of them', async () => {
    const { inventory } = await add(forge({ l1Last: true, snapshot: true }).bytes);
    assert.deepEqual([inventory.status, inventory.format, inventory.size], ['Ready', 'qcow2', 8 << 20]);
  });

  it('reads such tables again, and refuses what it finds there', async () => {
    const { bytes, at } = forge({ l1Last: true });
    u64(bytes, 2n ** 50n, at.l2 + 80);
    await refuses(bytes, /a cluster of data reaches/);
  });

  it('asks qemu-img check, and refuses what that refuses', async () => {
    const { bytes, at } = forge();
    bytes.writeUInt16BE(0, at.refcountBlock + (at.data / 65536) * 2);
    await refuses(bytes, /qemu-img check says/);
  });

  it('refuses a disk larger than the setting allows', async () => {
    const { client } = stage.service;
    const { bytes } = forge({ virtualSize: 8 << 20 });
    const limit = (value: string) =>
      client.call('UpdateGlobalConfig', { category: 'image', name: 'maxVirtualSize', value });
    await limit(String(4 << 20));
    await refuses(bytes, /8388608 bytes \(8 MiB\); the largest that is allowed has 4194304 bytes/);
    await refuses(stage.disks.raw, /more than 4194304 bytes/);
    await limit(String(8 << 20));
    assert.equal((await add(bytes)).inventory.status, 'Ready');
  });
});
