import { boolean, bytes, choice, list, optional, text, uuid } from '../kernel/field.ts';
import {
  answerOf,
  CREATION_PARAMETERS,
  DELETION_PARAMETERS,
  defineMessage,
  defineQuery,
  inventoryOf,
  nothing,
} from '../kernel/message.ts';
import { DESCRIPTION, NAME } from '../kernel/properties.ts';
import { NFS_URL } from './nfs/url.ts';
import { ImageCache, OVER_PROVISIONING, PrimaryStorage } from './primary-storage.ts';

const zstackPackage = 'org.zstack.header.storage.primary';
const about = { resource: PrimaryStorage, zstackPackage, caller: 'admin' } as const;
const STORAGE = uuid('The primary storage.', { references: 'PrimaryStorage' });
const ZONE = uuid('The zone it is in.', { references: 'Zone' });

const directory = (doc: string) =>
  text(doc, {
    max: 2048,
    rule: { says: 'an absolute path such as /srv/volumes', test: (path: string) => path.startsWith('/') },
  });

const common = {
  zoneUuid: ZONE,
  overProvisioning: optional(OVER_PROVISIONING, `${OVER_PROVISIONING.doc} 100 by default.`),
  type: text('Reserved.', { optional: true }),
  ...CREATION_PARAMETERS,
};

export const AddLocalPrimaryStorage = defineMessage({
  ...about,
  name: 'AddLocalPrimaryStorage',
  zstackPackage: 'org.zstack.storage.primary.local',
  doc: "Makes a directory of the service's machine a primary storage.",
  source: 'zstack-api.md 3.2',
  kind: 'job',
  route: 'POST /primary-storage/local-storage',
  parameters: {
    name: NAME,
    description: DESCRIPTION,
    url: directory('Absolute path of a directory; made if it does not exist, and otherwise empty.'),
    ...common,
  },
  answer: inventoryOf(PrimaryStorage),
});

export const AddSharedMountPointPrimaryStorage = defineMessage({
  ...about,
  name: 'AddSharedMountPointPrimaryStorage',
  zstackPackage: 'org.zstack.storage.primary.smp',
  doc: 'Makes a directory of a file system that several machines share, and that is mounted here already, a primary storage.',
  source: 'zstack-api.md 3.2',
  kind: 'job',
  route: 'POST /primary-storage/smp',
  parameters: {
    name: NAME,
    description: DESCRIPTION,
    url: directory('Absolute path of an empty directory on that file system, the same on all machines.'),
    ...common,
  },
  answer: inventoryOf(PrimaryStorage),
});

export const AddNfsPrimaryStorage = defineMessage({
  ...about,
  name: 'AddNfsPrimaryStorage',
  zstackPackage: 'org.zstack.storage.primary.nfs',
  doc: 'Makes a directory of an NFS server a primary storage; the service mounts it if it is root, else it takes a path where it is mounted.',
  source: 'related-chapters.md, Primary storage; zstack-api.md 3.2',
  kind: 'job',
  route: 'POST /primary-storage/nfs',
  parameters: {
    name: NAME,
    description: DESCRIPTION,
    url: text('host:/absolute/path; or the absolute path of a directory where that is mounted.', {
      max: 2048,
      rule: {
        says: 'host:/absolute/path, or an absolute path',
        test: (url) => NFS_URL.test(url) || url.startsWith('/'),
      },
    }),
    ...common,
  },
  answer: inventoryOf(PrimaryStorage),
});

export const QueryPrimaryStorage = defineQuery(PrimaryStorage, {
  route: 'GET /primary-storage',
  source: 'zstack-api.md 3.2',
  zstackPackage,
});

export const DeletePrimaryStorage = defineMessage({
  ...about,
  name: 'DeletePrimaryStorage',
  doc: 'Deletes a primary storage with the volumes, snapshots and cached images on it.',
  source: 'related-chapters.md, Primary storage',
  kind: 'job',
  route: 'DELETE /primary-storage/{uuid}',
  parameters: { uuid: STORAGE, ...DELETION_PARAMETERS },
  answer: nothing,
  successIfMissing: true,
});

export const ChangePrimaryStorageState = defineMessage({
  ...about,
  name: 'ChangePrimaryStorageState',
  doc: 'Puts a primary storage into use or takes it out of use.',
  source: 'zstack-api.md 3.2',
  kind: 'change',
  route: 'PUT /primary-storage/{uuid}/actions',
  parameters: {
    uuid: STORAGE,
    stateEvent: choice('What to do.', {
      enable: 'state becomes Enabled',
      disable: 'state becomes Disabled',
      maintain: 'state becomes Maintenance',
    }),
  },
  answer: inventoryOf(PrimaryStorage),
});

export const UpdatePrimaryStorage = defineMessage({
  ...about,
  name: 'UpdatePrimaryStorage',
  doc: 'Changes what a primary storage says of itself, and how much it promises; what is not given stays as it is.',
  source: 'zstack-api.md 3.2',
  kind: 'change',
  route: 'PUT /primary-storage/{uuid}/actions',
  parameters: {
    uuid: STORAGE,
    name: optional(NAME),
    description: DESCRIPTION,
    overProvisioning: optional(OVER_PROVISIONING),
  },
  answer: inventoryOf(PrimaryStorage),
});

export const ReconnectPrimaryStorage = defineMessage({
  ...about,
  name: 'ReconnectPrimaryStorage',
  doc: 'Looks at once whether a primary storage can be reached.',
  source: 'zstack-api.md 3.2',
  kind: 'job',
  route: 'PUT /primary-storage/{uuid}/actions',
  parameters: { uuid: STORAGE },
  answer: inventoryOf(PrimaryStorage),
});

export const SyncPrimaryStorageCapacity = defineMessage({
  ...about,
  name: 'SyncPrimaryStorageCapacity',
  doc: 'Looks at once how large a primary storage is and how much of it is free.',
  source: 'zstack-api.md 3.2',
  kind: 'job',
  route: 'PUT /primary-storage/{uuid}/actions',
  parameters: { uuid: STORAGE },
  answer: inventoryOf(PrimaryStorage),
});

export const GetPrimaryStorageCapacity = defineMessage({
  ...about,
  name: 'GetPrimaryStorageCapacity',
  doc: 'Adds up the capacities of the named primary storages, of those of the named zones, or of all.',
  source: 'zstack-api.md 3.2',
  caller: 'account',
  kind: 'sync',
  route: 'GET /primary-storage/capacities',
  parameters: {
    zoneUuids: list('Zones whose primary storages count.', uuid(''), { optional: true, min: 0 }),
    primaryStorageUuids: list('Primary storages that count.', uuid(''), { optional: true, min: 0 }),
    all: boolean('Count every primary storage.', { default: false }),
  },
  answer: answerOf({
    totalCapacity: bytes('Sum of the total capacities, in bytes.'),
    availableCapacity: bytes('Sum of the available capacities, in bytes.'),
    totalPhysicalCapacity: bytes('Sum of the sizes of what is behind them, in bytes.'),
    availablePhysicalCapacity: bytes('Sum of what is free there, in bytes.'),
  }),
});

export const GetPrimaryStorageTypes = defineMessage({
  ...about,
  name: 'GetPrimaryStorageTypes',
  doc: 'Says what kinds of primary storage there are.',
  source: 'zstack-api.md 3.2',
  caller: 'account',
  kind: 'sync',
  route: 'GET /primary-storage/types',
  parameters: {},
  answer: answerOf({ types: list('The kinds.', text('')) }),
});

export const QueryImageCache = defineQuery(ImageCache, {
  route: 'GET /primary-storage/imagecache',
  caller: 'admin',
  source: 'zstack-api.md 2.1, 4.5',
  zstackPackage,
  byUuid: false,
});

export const CleanUpImageCacheOnPrimaryStorage = defineMessage({
  ...about,
  name: 'CleanUpImageCacheOnPrimaryStorage',
  doc: "Removes images from a primary storage's cache that are deleted and that no volume there stands on.",
  source: 'zstack-api.md 2.1, 5.5',
  kind: 'job',
  route: 'PUT /primary-storage/{uuid}/actions',
  parameters: {
    uuid: STORAGE,
    force: boolean('Remove also those whose image is still there, if no volume stands on them.', {
      default: false,
    }),
  },
  answer: nothing,
});

export const PrefetchImageToPrimaryStorage = defineMessage({
  ...about,
  name: 'PrefetchImageToPrimaryStorage',
  doc: "Fetches an image into a primary storage's cache before the first volume needs it.",
  source: 'beyond the manual',
  kind: 'job',
  route: 'PUT /primary-storage/{uuid}/actions',
  parameters: { uuid: STORAGE, imageUuid: uuid('The image.', { references: 'Image' }) },
  answer: inventoryOf(ImageCache),
});
