import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { after, afterEach, before, describe, it } from 'node:test';
import { localBackupStorage } from '../../src/backup-storage/local/driver.ts';
import { initialiseLocalBackupStorage } from '../../src/backup-storage/local/marker.ts';
import type { Landing } from '../../src/image/add-state.ts';
import { commitCopies } from '../../src/image/commit.ts';
import { SecondLook } from '../../src/image/second-look.ts';
import { IngotError } from '../../src/kernel/errors.ts';
import { createLog } from '../../src/kernel/log.ts';
import { newUuid } from '../../src/kernel/uuid.ts';
import { type Forged, forge, u64 } from '../hostile/forge.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';
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

describe('an image that is only on a storage elsewhere', () => {
  const scratch = temporaryDirectory();
  /** A storage like any other, except that its files are not of this machine. */
  async function elsewhere(forged: Forged) {
    const uuid = newUuid();
    const options = { root: temporaryDirectory(), uuid };
    await initialiseLocalBackupStorage(options);
    const { localFile: _, ...driver } = localBackupStorage(options);
    const copy = { storageUuid: uuid, path: 'templates/one' };
    const writer = await driver.create(copy.path);
    await writer.write(forged.bytes);
    await writer.flush();
    const lines: string[] = [];
    const log = createLog('info', { write: (line) => lines.push(line) });
    const parts = { storages: { driver: async () => driver }, log };
    const second = await SecondLook.open(parts, [copy], { scratch });
    const inspector = second.inspector();
    inspector.write(forged.bytes);
    inspector.end();
    const writers = new Map([[uuid, writer]]);
    const stop = new AbortController();
    const { signal } = stop;
    const bytes = forged.bytes.length;
    const look = () => second.take({ bytes, inspector, writers }, { signal }).finally(() => second.close());
    return { look, parts, copy, writers, stop, signal, lines, driver };
  }

  it('is shown to QEMU as its metadata alone, and keeps its writer where nothing is to be read again', async () => {
    for (const options of [
      {},
      { snapshot: true, bitmap: true, compressed: true },
      { clusterBits: 12, virtualSize: 1 << 20 },
    ]) {
      const { look, writers, lines } = await elsewhere(forge(options));
      await look();
      assert.equal(writers.size, 1);
      assert.deepEqual(lines, []);
      for (const writer of writers.values()) await writer.abort();
    }
  });

  it('is refused for what QEMU says of its metadata', async () => {
    const forged = forge({ snapshot: true });
    forged.bytes.writeUInt16BE(0, forged.at.refcountBlock + (forged.at.data / 65536) * 2);
    const { look, writers } = await elsewhere(forged);
    await assert.rejects(look(), /qemu-img check says "ERROR cluster/);
    for (const writer of writers.values()) await writer.abort();
    assert.deepEqual(readdirSync(scratch), []);
  });

  it('is read when its writer is closed, and committed nonetheless', async () => {
    const forged = forge({ l1Last: true });
    const { look, parts, copy, writers, signal, driver } = await elsewhere(forged);
    await look();
    assert.equal(writers.size, 0);
    const { length } = forged.bytes;
    const sha256 = createHash('sha256').update(forged.bytes).digest('hex');
    const landing: Landing = {
      ...{ bytes: length, sha256, md5: '', virtualSize: 8 << 20, writers, failures: [] },
      ...{ format: 'qcow2', mediaType: 'RootVolumeTemplate' },
    };
    const { landed } = await commitCopies(parts, [copy], landing, signal);
    assert.deepEqual(landed, [copy.storageUuid]);
    assert.equal(await driver.size(copy.path), length);
  });

  it('is refused for what is read there', async () => {
    const forged = forge({ l1Last: true });
    u64(forged.bytes, 2n ** 50n, forged.at.l2 + 80);
    const { look } = await elsewhere(forged);
    await assert.rejects(look(), /a cluster of data reaches/);
  });

  it('is not read on when the job is to end', async () => {
    const { look, stop } = await elsewhere(forge({ l1Last: true }));
    stop.abort(new Error('cancelled'));
    await assert.rejects(look(), /cancelled/);
    assert.deepEqual(readdirSync(scratch), []);
  });
});
