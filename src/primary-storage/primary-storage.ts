import type { Generated } from 'kysely';
import { bytes, choice, integer, text, uuid } from '../kernel/field.ts';
import { CREATE_DATE, DESCRIPTION, LAST_OP_DATE, NAME, UUID } from '../kernel/properties.ts';
import { defineResource, type RowOf } from '../kernel/resource.ts';
import { Zone } from '../zone/zone.ts';

export const OVER_PROVISIONING = integer(
  'How much may be promised to volumes, in percent of totalCapacity: 100 promises no more than there is.',
  { since: 'ingot', min: 1, max: 100_000, unit: 'percent' },
);

export const PrimaryStorage = defineResource({
  name: 'PrimaryStorage',
  zstackClass: 'org.zstack.header.storage.primary.PrimaryStorageInventory',
  visible: 'everyone',
  tags: { system: {} },
  doc: 'Where volumes, their snapshots and the image cache are.',
  source: 'related-chapters.md, Primary storage; zstack-api.md 4.4',
  fields: {
    uuid: UUID,
    zoneUuid: uuid('The zone it is in.', { references: 'Zone' }),
    name: NAME,
    description: DESCRIPTION,
    url: text('Where it is: a directory, or host:/path of an NFS server.', { max: 2048 }),
    mountPath: text("The directory of the service's machine that shows it.", { max: 2048 }),
    type: choice('What kind it is.', {
      LocalStorage: "a directory of the service's own machine",
      NFS: 'an NFS server; mounted by the service',
      SharedMountPoint: 'a directory of a file system that several machines share, mounted by others',
    }),
    state: choice('Set by the administrator.', {
      Enabled: 'may be used',
      Disabled: 'takes no new volumes',
      Maintenance: 'takes no new volumes, and is not to be used at all',
      Deleting: 'being deleted',
    }),
    status: choice('Whether it can be reached.', {
      Connecting: 'being connected',
      Connected: 'reachable',
      Disconnected: 'not reachable; tried again by itself',
    }),
    totalCapacity: bytes('Size of what is behind it, in bytes.'),
    availableCapacity: bytes(
      'What may still be promised: totalCapacity, times overProvisioning, less the virtual sizes of the volumes on it, in bytes.',
    ),
    totalPhysicalCapacity: bytes('Size of what is behind it, in bytes.', { since: 'ingot' }),
    availablePhysicalCapacity: bytes('What was free there when it was last looked at, in bytes.', {
      since: 'ingot',
    }),
    systemUsedCapacity: bytes(
      'What others than its volumes, snapshots and cache take there, in bytes; 0 where that is not known.',
      { since: 'ingot' },
    ),
    overProvisioning: OVER_PROVISIONING,
    createDate: CREATE_DATE,
    lastOpDate: LAST_OP_DATE,
  },
  references: {
    zone: {
      to: Zone,
      by: 'zoneUuid',
      doc: 'The zone it is in.',
      inverse: { name: 'primaryStorage', doc: 'The primary storages in it.' },
    },
  },
});

/** The image may be gone while volumes still stand on its entry. */
export const ImageCache = defineResource({
  name: 'ImageCache',
  zstackClass: 'org.zstack.header.storage.primary.ImageCacheInventory',
  doc: 'An image on a primary storage, which volumes stand on.',
  source: 'zstack-api.md 4.5',
  key: ['id'],
  fields: {
    id: integer('A number of its own.'),
    primaryStorageUuid: uuid('The primary storage.', { references: 'PrimaryStorage' }),
    imageUuid: uuid('The image; perhaps deleted meanwhile.', { references: 'Image' }),
    installUrl: text('Where it is.', { max: 4096 }),
    mediaType: text('What the image is for.'),
    size: bytes('Bytes of the file.'),
    md5sum: text('MD5 of the bytes, lower-case hex.', { optional: true, max: 32 }),
    sha256sum: text('SHA-256 of the bytes, lower-case hex.', { since: 'ingot', max: 64 }),
    state: choice('Where it is in its life.', {
      downloading: 'being fetched from a backup storage',
      ready: 'volumes may stand on it',
      deleting: 'being removed',
    }),
    createDate: CREATE_DATE,
    lastOpDate: LAST_OP_DATE,
  },
  columns: {
    path: text('Inside the storage.'),
    format: choice('', { qcow2: '', raw: '' }),
    virtualSize: bytes('Of the disk.'),
    /** Of the file when its digest was last found right. */
    fingerprint: text('', { optional: true }),
    /** The job that fetches or removes it. */
    jobUuid: uuid('', { optional: true }),
  },
  references: {
    primaryStorage: {
      to: PrimaryStorage,
      by: 'primaryStorageUuid',
      doc: 'The primary storage.',
      inverse: { name: 'imageCache', doc: 'The images in its cache.' },
    },
  },
});

export type PrimaryStorageRow = RowOf<typeof PrimaryStorage>;
export type ImageCacheRow = RowOf<typeof ImageCache>;

declare module '../database/database.ts' {
  interface Tables {
    primaryStorage: PrimaryStorageRow;
    imageCache: Omit<ImageCacheRow, 'id'> & { id: Generated<number> };
  }
}
