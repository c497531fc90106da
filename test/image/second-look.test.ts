import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, afterEach, before, describe, it } from 'node:test';
import { localBackupStorage } from '../../src/backup-storage/local/driver.ts';
import { initialiseLocalBackupStorage } from '../../src/backup-storage/local/marker.ts';
import { DiskInspector } from '../../src/disk/inspector.ts';
import type { Landing } from '../../src/image/add-state.ts';
import { commitCopies } from '../../src/image/commit.ts';
import { secondLook } from '../../src/image/second-look.ts';
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
    const inspector = new DiskInspector();
    inspector.write(forged.bytes);
    inspector.end();
    const lines: string[] = [];
    const parts = {
      storages: { driver: async () => driver },
      log: createLog('info', { write: (line) => lines.push(line) }),
    };
    const writers = new Map([[uuid, writer]]);
    const { signal } = new AbortController();
    const look = () => secondLook(parts, inspector, [copy], writers, { askQemu: true, signal });
    return { look, parts, copy, writers, signal, lines, driver };
  }

  it('keeps its writer where nothing is to be read again, and the log says that QEMU was not asked', async () => {
    const { look, writers, lines } = await elsewhere(forge());
    await look();
    assert.equal(writers.size, 1);
    assert.match(lines.join(''), /no storage of this machine has it/);
    for (const writer of writers.values()) await writer.abort();
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
});
