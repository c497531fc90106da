/** The jobs whose every step the crash suite stands at: what is there before, what is asked, what may be afterwards. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { runProgram } from '../support/program.ts';
import type { TestClient } from '../support/service.ts';
import { COPYING } from './copying.ts';
import {
  addImage,
  addStorages,
  found,
  made,
  NEW,
  removed,
  type Scenario,
  type Things,
  type World,
} from './scenario.ts';

async function addVolume(client: TestClient, imageUuid: string | undefined): Promise<string> {
  return (await client.call('CreateRootVolumeFromImage', { name: 'volume', imageUuid })).inventory.uuid;
}

async function addSnapshot(client: TestClient, volumeUuid: string): Promise<string> {
  return (await client.call('CreateVolumeSnapshot', { name: 'snapshot', volumeUuid })).inventory.uuid;
}

async function withVolume(client: TestClient, world: World): Promise<Things> {
  const image = await addImage(client, world);
  return { image, volume: await addVolume(client, image) };
}

async function withSnapshot(client: TestClient, world: World): Promise<Things> {
  const things = await withVolume(client, world);
  return { ...things, snapshot: await addSnapshot(client, things.volume ?? '') };
}

const volumeReads: Scenario['verify'] = async (client, things) => {
  const volume = await found(client, 'Volume', things.volume);
  assert.equal(volume?.status, 'Ready');
};

const MIB = 2 ** 20;
const SMALL = 8 * MIB;
const LARGE = 16 * MIB;

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'AddImage into one storage',
    act: (_, { url, sha256 }) => ({
      message: 'AddImage',
      parameters: { name: 'new', url, sha256Sum: sha256, resourceUuid: NEW },
    }),
    verify: made('Image'),
  },
  {
    name: 'AddImage into two storages',
    prepare: (client, world) => addStorages(client, world, 'second'),
    act: ({ first, second }, { url }) => ({
      message: 'AddImage',
      parameters: { name: 'new', url, backupStorageUuids: [first, second], resourceUuid: NEW },
    }),
    verify: made('Image'),
  },
  {
    name: 'AddImage of other bytes than expected',
    act: (_, { url }) => ({
      message: 'AddImage',
      parameters: { name: 'new', url, sha256Sum: '0'.repeat(64), resourceUuid: NEW },
    }),
    verify: async (client, _things, answer) => {
      assert.equal(answer, undefined);
      assert.equal(await found(client, 'Image', NEW), undefined);
    },
  },
  {
    name: 'DeleteImage',
    prepare: async (client, world) => ({ image: await addImage(client, world) }),
    act: ({ image }) => ({ message: 'DeleteImage', parameters: { uuid: image } }),
    verify: removed('Image', 'image'),
  },
  {
    name: 'ExpungeImage',
    prepare: async (client, world) => {
      const image = await addImage(client, world);
      const setting = { category: 'image', name: 'deletionPolicy', value: 'Delay' };
      await client.call('UpdateGlobalConfig', setting);
      await client.call('DeleteImage', { uuid: image });
      return { image };
    },
    act: ({ image }) => ({ message: 'ExpungeImage', parameters: { imageUuid: image } }),
    verify: removed('Image', 'image'),
  },
  {
    name: 'the cache, and a first volume',
    prepare: async (client, world) => ({ image: await addImage(client, world) }),
    act: ({ image }) => ({
      message: 'CreateRootVolumeFromImage',
      parameters: { name: 'new', imageUuid: image, resourceUuid: NEW },
    }),
    verify: made('Volume'),
  },
  {
    name: 'DeleteRootVolume',
    prepare: withSnapshot,
    act: ({ volume }) => ({ message: 'DeleteRootVolume', parameters: { uuid: volume } }),
    verify: removed('Volume', 'volume'),
  },
  {
    name: 'CreateVolumeSnapshot',
    prepare: withVolume,
    act: ({ volume }) => ({
      message: 'CreateVolumeSnapshot',
      parameters: { name: 'new', volumeUuid: volume, resourceUuid: NEW },
    }),
    verify: async (client, things, answer) => {
      await made('VolumeSnapshot')(client, things, answer);
      await volumeReads(client, things, answer);
    },
  },
  {
    name: 'DeleteVolumeSnapshot',
    prepare: withSnapshot,
    act: ({ snapshot }) => ({ message: 'DeleteVolumeSnapshot', parameters: { uuid: snapshot } }),
    verify: async (client, things, answer) => {
      await removed('VolumeSnapshot', 'snapshot')(client, things, answer);
      await volumeReads(client, things, answer);
    },
  },
  {
    name: 'RevertVolumeFromSnapshot',
    prepare: withSnapshot,
    act: ({ snapshot }) => ({ message: 'RevertVolumeFromSnapshot', parameters: { uuid: snapshot } }),
    verify: volumeReads,
  },
  {
    name: 'BackupVolumeSnapshot',
    prepare: withSnapshot,
    act: ({ snapshot }) => ({ message: 'BackupVolumeSnapshot', parameters: { uuid: snapshot } }),
    verify: volumeReads,
  },
  {
    name: 'a template of a volume',
    prepare: withVolume,
    act: ({ volume }) => ({
      message: 'CreateRootVolumeTemplateFromRootVolume',
      parameters: { name: 'new', rootVolumeUuid: volume, resourceUuid: NEW },
    }),
    verify: async (client, things, answer) => {
      await made('Image')(client, things, answer);
      await volumeReads(client, things, answer);
    },
  },
  {
    name: 'a template of a snapshot',
    prepare: withSnapshot,
    act: ({ snapshot }) => ({
      message: 'CreateDataVolumeTemplateFromVolumeSnapshot',
      parameters: { name: 'new', snapshotUuid: snapshot, resourceUuid: NEW },
    }),
    verify: made('Image'),
  },
  {
    name: 'AddLocalBackupStorage',
    act: (_, world) => ({
      message: 'AddLocalBackupStorage',
      parameters: { name: 'new', url: world.directory('new'), resourceUuid: NEW },
    }),
    verify: made('BackupStorage'),
  },
  {
    name: 'DeleteBackupStorage',
    prepare: async (client, world) => {
      const things = await addStorages(client, world);
      await addImage(client, world, { backupStorageUuids: [things.first] });
      return things;
    },
    act: ({ first }) => ({ message: 'DeleteBackupStorage', parameters: { uuid: first } }),
    verify: removed('BackupStorage', 'first'),
  },
  {
    name: 'ResizeRootVolume',
    prepare: withVolume,
    act: ({ volume }) => ({ message: 'ResizeRootVolume', parameters: { uuid: volume, size: LARGE } }),
    verify: async (client, things, answer) => {
      await volumeReads(client, things, answer);
      const { size, installPath } = (await found(client, 'Volume', things.volume)) ?? {};
      assert.equal(size, answer ? LARGE : SMALL);
      const disk = await runProgram('qemu-img', ['info', '--output=json', installPath]);
      assert.equal(JSON.parse(disk)['virtual-size'], size, 'what the row says');
    },
  },
  {
    name: 'ExportVolume',
    prepare: async (client, world) => ({
      ...(await withVolume(client, world)),
      file: world.directory('copy'),
    }),
    act: ({ volume, file }) => ({ message: 'ExportVolume', parameters: { uuid: volume, path: file } }),
    verify: async (client, { volume, file = '' }, answer) => {
      assert.equal(existsSync(file), answer !== undefined, 'the copy is there');
      assert.ok(!existsSync(`${file}.part`), 'nothing half done is beside it');
      const { installPath } = (await found(client, 'Volume', volume)) ?? {};
      if (answer) await runProgram('qemu-img', ['compare', file, installPath]);
    },
  },
  {
    name: 'CleanUpImageCacheOnPrimaryStorage',
    prepare: async (client, world) => {
      const image = await addImage(client, world);
      await client.call('DeleteRootVolume', { uuid: await addVolume(client, image) });
      const [cache] = await client.query('ImageCache');
      return { storage: cache?.primaryStorageUuid };
    },
    act: ({ storage }) => ({
      message: 'CleanUpImageCacheOnPrimaryStorage',
      parameters: { uuid: storage, force: true },
    }),
    verify: async (client, _things, answer) => {
      const entries = await client.query('ImageCache');
      if (answer) assert.deepEqual(entries, []);
      for (const { state } of entries) assert.equal(state, 'ready');
    },
  },
  ...COPYING,
];
