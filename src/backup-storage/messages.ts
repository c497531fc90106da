import { boolean, bytes, choice, list, optional, text, uuid } from '../kernel/field.ts';
import {
  answerOf,
  DELETION_PARAMETERS,
  defineMessage,
  defineQuery,
  inventoryOf,
  nothing,
} from '../kernel/message.ts';
import { DESCRIPTION, NAME } from '../kernel/properties.ts';
import { BackupStorage } from './backup-storage.ts';

// Each kind's own calls stand in its folder.
export * from './local/messages.ts';
export * from './s3/messages.ts';
export * from './sftp/messages.ts';

const zstackPackage = 'org.zstack.header.storage.backup';
const about = { resource: BackupStorage, zstackPackage };
const STORAGE = uuid('The backup storage.', { references: 'BackupStorage' });

export const QueryBackupStorage = defineQuery(BackupStorage, {
  route: 'GET /backup-storage',
  source: 'zstack-api.md 3.1',
  zstackPackage,
});

export const DeleteBackupStorage = defineMessage({
  ...about,
  name: 'DeleteBackupStorage',
  doc: 'Deletes a backup storage and the copies on it; an image whose only copy it held is deleted too.',
  source: 'related-chapters.md, Backup storage',
  caller: 'admin',
  kind: 'job',
  route: 'DELETE /backup-storage/{uuid}',
  parameters: {
    uuid: STORAGE,
    ...DELETION_PARAMETERS,
  },
  answer: nothing,
  successIfMissing: true,
});

export const ChangeBackupStorageState = defineMessage({
  ...about,
  name: 'ChangeBackupStorageState',
  doc: 'Puts a backup storage into use or takes it out of use.',
  source: 'zstack-api.md 3.1',
  caller: 'admin',
  kind: 'change',
  route: 'PUT /backup-storage/{uuid}/actions',
  parameters: {
    uuid: STORAGE,
    stateEvent: choice('What to do.', { enable: 'state becomes Enabled', disable: 'state becomes Disabled' }),
  },
  answer: inventoryOf(BackupStorage),
});

export const UpdateBackupStorage = defineMessage({
  ...about,
  name: 'UpdateBackupStorage',
  doc: 'Changes what a backup storage says of itself; what is not given stays as it is.',
  source: 'zstack-api.md 3.1',
  caller: 'admin',
  kind: 'change',
  route: 'PUT /backup-storage/{uuid}/actions',
  parameters: { uuid: STORAGE, name: optional(NAME), description: DESCRIPTION },
  answer: inventoryOf(BackupStorage),
});

export const ReconnectBackupStorage = defineMessage({
  ...about,
  name: 'ReconnectBackupStorage',
  doc: 'Connects a backup storage anew, and says why where that fails. By itself it is tried with every ping.',
  source: 'zstack-api.md 3.1',
  caller: 'admin',
  kind: 'job',
  route: 'PUT /backup-storage/{uuid}/actions',
  parameters: { uuid: STORAGE },
  answer: inventoryOf(BackupStorage),
});

const ZONE = uuid('The zone.', { references: 'Zone' });

export const AttachBackupStorageToZone = defineMessage({
  ...about,
  name: 'AttachBackupStorageToZone',
  doc: "Lets a zone's primary storages use a backup storage.",
  source: 'zstack-api.md 3.1',
  caller: 'admin',
  kind: 'change',
  route: 'POST /zones/{zoneUuid}/backup-storage/{backupStorageUuid}',
  parameters: { zoneUuid: ZONE, backupStorageUuid: STORAGE },
  answer: inventoryOf(BackupStorage),
});

export const DetachBackupStorageFromZone = defineMessage({
  ...about,
  name: 'DetachBackupStorageFromZone',
  doc: "Keeps a zone's primary storages from using a backup storage.",
  source: 'zstack-api.md 3.1',
  caller: 'admin',
  kind: 'change',
  route: 'DELETE /zones/{zoneUuid}/backup-storage/{backupStorageUuid}',
  parameters: { zoneUuid: ZONE, backupStorageUuid: STORAGE },
  answer: inventoryOf(BackupStorage),
});

export const GetBackupStorageTypes = defineMessage({
  ...about,
  name: 'GetBackupStorageTypes',
  doc: 'The types of backup storages that can be added.',
  source: 'zstack-api.md 3.1',
  caller: 'account',
  kind: 'sync',
  route: 'GET /backup-storage/types',
  parameters: {},
  answer: answerOf({ types: list('The types.', text('')) }),
});

export const GetBackupStorageCapacity = defineMessage({
  ...about,
  name: 'GetBackupStorageCapacity',
  doc: 'Adds up the capacities of the named backup storages, of those of the named zones, or of all.',
  source: 'zstack-api.md 3.1',
  caller: 'account',
  kind: 'sync',
  route: 'GET /backup-storage/capacities',
  parameters: {
    zoneUuids: list('Zones whose backup storages count.', uuid(''), { optional: true, min: 0 }),
    backupStorageUuids: list('Backup storages that count.', uuid(''), { optional: true, min: 0 }),
    all: boolean('Count every backup storage.', { default: false }),
  },
  answer: answerOf({
    totalCapacity: bytes('Sum of the total capacities, in bytes.'),
    availableCapacity: bytes('Sum of the available capacities, in bytes.'),
  }),
});
