import { bytes, choice, text, uuid } from '../kernel/field.ts';
import { CREATE_DATE, DESCRIPTION, LAST_OP_DATE, NAME, UUID } from '../kernel/properties.ts';
import { defineResource, type RowOf } from '../kernel/resource.ts';
import { Zone } from '../zone/zone.ts';
import { LocalStorage } from './local/local-storage.ts';
import { S3Storage } from './s3/s3-storage.ts';
import { SftpStorage } from './sftp/sftp-storage.ts';

export const BackupStorage = defineResource({
  name: 'BackupStorage',
  zstackClass: 'org.zstack.header.storage.backup.BackupStorageInventory',
  doc: 'Where images are kept.',
  source: 'related-chapters.md, Backup storage; zstack-api.md 4.3',
  visible: 'everyone',
  tags: { system: {} },
  fields: {
    uuid: UUID,
    name: NAME,
    description: DESCRIPTION,
    url: text('Where it is; a directory for a local one.', { max: 2048 }),
    totalCapacity: bytes('Size of what is behind it, in bytes.'),
    availableCapacity: bytes(
      'totalCapacity less the real sizes of the images on it, those being taken in included, in bytes.',
    ),
    type: choice('What kind it is.', {
      [LocalStorage.type]: LocalStorage.doc,
      [S3Storage.type]: S3Storage.doc,
      [SftpStorage.type]: SftpStorage.doc,
    }),
    ...LocalStorage.fields,
    ...S3Storage.fields,
    ...SftpStorage.fields,
    state: choice('Set by the administrator.', {
      Enabled: 'may be used',
      Disabled: 'no image may be added to it or read from it',
    }),
    status: choice('Whether it can be reached.', {
      Connecting: 'being connected',
      Connected: 'reachable',
      Disconnected: 'not reachable; tried again by itself',
    }),
    statusReason: text("Why it can't be reached, while it is Disconnected.", {
      optional: true,
      max: 2048,
      since: 'ingot',
    }),
    createDate: CREATE_DATE,
    lastOpDate: LAST_OP_DATE,
  },
  columns: {
    /** Passwords and keys, as JSON by their parameters' names, sealed (kernel/secret-box.ts). */
    secrets: text('', { optional: true, secret: true, max: 65_536 }),
  },
  aliases: {
    zone: ['zoneRef', 'zone'],
    image: ['imageRef', 'image'],
    volumeSnapshot: ['volumeSnapshotRef', 'volumeSnapshot'],
  },
});

export const BackupStorageZoneRef = defineResource({
  name: 'BackupStorageZoneRef',
  zstackClass: 'org.zstack.header.storage.backup.BackupStorageZoneRefInventory',
  doc: 'A backup storage attached to a zone.',
  source: 'zstack-api.md 4.3',
  key: ['backupStorageUuid', 'zoneUuid'],
  fields: {
    backupStorageUuid: uuid('The backup storage.', { references: 'BackupStorage' }),
    zoneUuid: uuid('The zone.', { references: 'Zone' }),
    createDate: CREATE_DATE,
    lastOpDate: LAST_OP_DATE,
  },
  references: {
    zone: {
      to: Zone,
      by: 'zoneUuid',
      doc: 'The zone.',
      inverse: { name: 'backupStorageRef', doc: 'The backup storages that serve it.' },
    },
    backupStorage: {
      to: BackupStorage,
      by: 'backupStorageUuid',
      doc: 'The backup storage.',
      inverse: {
        name: 'zoneRef',
        doc: 'The zones it serves.',
        listed: 'attachedZoneUuids',
        pluck: 'zoneUuid',
      },
    },
  },
});

declare module '../database/database.ts' {
  interface Tables {
    backupStorage: RowOf<typeof BackupStorage>;
    backupStorageZoneRef: RowOf<typeof BackupStorageZoneRef>;
  }
}
