/** The jobs whose every step the crash suite stands at: what is there before, what is asked, what may be afterwards. */
import assert from 'node:assert/strict';
import type { TestClient } from '../support/service.ts';

/** Uuids of what the preparation has made. */
export type Things = Record<string, string>;

export interface Scenario {
  name: string;
  /** Makes what is there before, on a service that has just been set up. */
  prepare?(client: TestClient, world: World): Promise<Things>;
  act(things: Things, world: World): { message: string; parameters: Record<string, unknown> };
  /**
   * Looks at what there is afterwards; `done` says whether the job ended well, undefined where nobody knows since
   * the call was cut off. fsck has its own look after it.
   */
  verify(client: TestClient, things: Things, done: boolean | undefined): Promise<void>;
}

export interface World {
  /** Address of a disk that a web server has, and the SHA-256 of its bytes. */
  url: string;
  sha256: string;
  /** A directory that does not exist yet. */
  directory(name: string): string;
}

const found = async (client: TestClient, resource: string, uuid: string | undefined) =>
  (await client.query(resource, `uuid=${uuid}`))[0];

async function addImage(client: TestClient, world: World, more: object = {}): Promise<string> {
  const answer = await client.call('AddImage', { name: 'there', url: world.url, ...more });
  return answer.inventory.uuid;
}

async function addVolume(client: TestClient, imageUuid: string): Promise<string> {
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

const NEW = 'cccccccccccc4ccc8ccccccccccccccc';

/** What was to be made is there, whole, exactly if the job ended well. */
function made(resource: string) {
  return async (client: TestClient, _things: Things, done: boolean | undefined) => {
    const one = await found(client, resource, NEW);
    if (done !== undefined) assert.equal(one !== undefined, done, `${resource} ${NEW} is there`);
    if (one && 'status' in one) assert.match(one.status, /^(Ready|Connected)$/);
  };
}

/** What was to be removed is gone if the job ended well, and else may be. */
function removed(resource: string, thing: string) {
  return async (client: TestClient, things: Things, done: boolean | undefined) => {
    const one = await found(client, resource, things[thing]);
    if (done === true) assert.equal(one, undefined, `${resource} is still there`);
    if (one && 'status' in one) assert.match(one.status, /^(Ready|Connected|Deleted)$/);
  };
}

async function volumeReads(client: TestClient, things: Things): Promise<void> {
  const volume = await found(client, 'Volume', things.volume);
  assert.equal(volume?.status, 'Ready');
}

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
    prepare: async (client, world) => {
      const parameters = { name: 'second', url: world.directory('second') };
      const second = (await client.call('AddLocalBackupStorage', parameters)).inventory.uuid;
      const [first] = await client.query('BackupStorage', 'name=local');
      return { first: first?.uuid, second };
    },
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
    verify: async (client) => assert.equal(await found(client, 'Image', NEW), undefined),
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
    verify: async (client, things, done) => {
      await made('VolumeSnapshot')(client, things, done);
      await volumeReads(client, things);
    },
  },
  {
    name: 'DeleteVolumeSnapshot',
    prepare: withSnapshot,
    act: ({ snapshot }) => ({ message: 'DeleteVolumeSnapshot', parameters: { uuid: snapshot } }),
    verify: async (client, things, done) => {
      await removed('VolumeSnapshot', 'snapshot')(client, things, done);
      await volumeReads(client, things);
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
    verify: async (client, things, done) => {
      await made('Image')(client, things, done);
      await volumeReads(client, things);
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
      const [first] = await client.query('BackupStorage', 'name=local');
      await addImage(client, world, { backupStorageUuids: [first?.uuid] });
      return { storage: first?.uuid };
    },
    act: ({ storage }) => ({ message: 'DeleteBackupStorage', parameters: { uuid: storage } }),
    verify: removed('BackupStorage', 'storage'),
  },
];
