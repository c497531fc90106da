import { boolean, bytes, choice, json, list, optional, text, uuid } from '../kernel/field.ts';
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
import { DISK_SIZE, DiskOffering } from './disk-offering.ts';
import { Volume } from './volume.ts';

const about = { resource: Volume, zstackPackage: 'org.zstack.header.volume', caller: 'account' } as const;
const VOLUME = uuid('The volume.', { references: 'Volume' });
const SIZE = bytes('Virtual size in bytes.', { min: 1, optional: true });
const HOST = uuid('Without effect: storages are reached from everywhere.', { optional: true });

export const CreateDataVolume = defineMessage({
  ...about,
  name: 'CreateDataVolume',
  doc: 'Makes an empty data volume: on the named primary storage at once, else as a promise that comes to be when it is attached.',
  source: 'zstack-api.md 3.3',
  kind: 'job',
  route: 'POST /volumes/data',
  parameters: {
    name: NAME,
    description: DESCRIPTION,
    diskOfferingUuid: uuid('The offering whose size it gets.', {
      optional: true,
      references: 'DiskOffering',
    }),
    diskSize: optional(SIZE, 'Its virtual size in bytes, where no offering is named.'),
    primaryStorageUuid: uuid('Where to make it.', { optional: true, references: 'PrimaryStorage' }),
    ...CREATION_PARAMETERS,
  },
  answer: inventoryOf(Volume),
});

export const CreateDataVolumeFromVolumeTemplate = defineMessage({
  ...about,
  name: 'CreateDataVolumeFromVolumeTemplate',
  doc: 'Makes a data volume from an image of the media type DataVolumeTemplate, thinly.',
  source: 'zstack-api.md 3.3, 5.8',
  kind: 'job',
  route: 'POST /volumes/data/from/data-volume-templates/{imageUuid}',
  parameters: {
    name: NAME,
    description: DESCRIPTION,
    imageUuid: uuid('The image.', { references: 'Image', access: 'use' }),
    primaryStorageUuid: uuid('Where to make it.', { references: 'PrimaryStorage' }),
    hostUuid: HOST,
    ...CREATION_PARAMETERS,
  },
  answer: inventoryOf(Volume),
});

export const CreateRootVolumeFromImage = defineMessage({
  ...about,
  name: 'CreateRootVolumeFromImage',
  doc: 'Makes a root volume from an image of the media type RootVolumeTemplate, thinly: a boot disk for a hypervisor of your own.',
  source: 'beyond the manual',
  kind: 'job',
  route: 'POST /volumes/root/from/images/{imageUuid}',
  parameters: {
    name: NAME,
    description: DESCRIPTION,
    imageUuid: uuid('The image.', { references: 'Image', access: 'use' }),
    primaryStorageUuid: uuid('Where to make it; one that can take it is chosen by default.', {
      optional: true,
      references: 'PrimaryStorage',
    }),
    size: optional(SIZE, "Virtual size in bytes, at least the image's; the same by default."),
    ...CREATION_PARAMETERS,
  },
  answer: inventoryOf(Volume),
});

export const QueryVolume = defineQuery(Volume, {
  route: 'GET /volumes',
  source: 'zstack-api.md 3.3',
  zstackPackage: about.zstackPackage,
});

export const UpdateVolume = defineMessage({
  ...about,
  name: 'UpdateVolume',
  doc: 'Changes what a volume says of itself; what is not given stays as it is.',
  source: 'zstack-api.md 3.3',
  kind: 'change',
  route: 'PUT /volumes/{uuid}/actions',
  parameters: { uuid: VOLUME, name: optional(NAME), description: DESCRIPTION },
  answer: inventoryOf(Volume),
});

export const ChangeVolumeState = defineMessage({
  ...about,
  name: 'ChangeVolumeState',
  doc: 'Puts a data volume into use or takes it out of use.',
  source: 'related-chapters.md, Volume',
  kind: 'change',
  route: 'PUT /volumes/{uuid}/actions',
  parameters: {
    uuid: VOLUME,
    stateEvent: choice('What to do.', { enable: 'state becomes Enabled', disable: 'state becomes Disabled' }),
  },
  answer: inventoryOf(Volume),
});

export const DeleteDataVolume = defineMessage({
  ...about,
  name: 'DeleteDataVolume',
  doc: 'Deletes a data volume with its snapshots.',
  source: 'zstack-api.md 3.3',
  kind: 'change',
  route: 'DELETE /volumes/{uuid}',
  parameters: { uuid: VOLUME, ...DELETION_PARAMETERS },
  answer: nothing,
  successIfMissing: true,
});

export const DeleteRootVolume = defineMessage({
  ...about,
  name: 'DeleteRootVolume',
  doc: 'Deletes a root volume that no virtual machine has, with its snapshots.',
  source: 'beyond the manual',
  kind: 'change',
  route: 'DELETE /volumes/root/{uuid}',
  parameters: { uuid: VOLUME, ...DELETION_PARAMETERS },
  answer: nothing,
  successIfMissing: true,
});

const resizing = { size: bytes('The new virtual size in bytes; not smaller.', { min: 1 }) };

export const ResizeRootVolume = defineMessage({
  ...about,
  name: 'ResizeRootVolume',
  doc: 'Makes a root volume larger.',
  source: 'zstack-api.md 3.3',
  kind: 'job',
  route: 'PUT /volumes/resize/{uuid}/actions',
  parameters: { uuid: VOLUME, ...resizing },
  answer: inventoryOf(Volume),
});

export const ResizeDataVolume = defineMessage({
  ...about,
  name: 'ResizeDataVolume',
  doc: 'Makes a data volume larger.',
  source: 'zstack-api.md 3.3',
  kind: 'job',
  route: 'PUT /volumes/data/resize/{uuid}/actions',
  parameters: { uuid: VOLUME, ...resizing },
  answer: inventoryOf(Volume),
});

export const SyncVolumeSize = defineMessage({
  ...about,
  name: 'SyncVolumeSize',
  doc: 'Looks at once how much a volume takes on its storage.',
  source: 'zstack-api.md 3.3',
  kind: 'job',
  route: 'PUT /volumes/{uuid}/actions',
  parameters: { uuid: VOLUME },
  answer: inventoryOf(Volume),
});

export const GetVolumeFormat = defineMessage({
  ...about,
  name: 'GetVolumeFormat',
  doc: 'Says what formats volumes have.',
  source: 'zstack-api.md 3.3',
  kind: 'sync',
  route: 'GET /volumes/formats',
  parameters: {},
  answer: answerOf({
    formats: list('The formats.', json<{ format: string; masterHypervisorType: string }>('')),
  }),
});

export const ExportVolume = defineMessage({
  ...about,
  name: 'ExportVolume',
  doc: "Says where a volume's file is; or, given a path, writes a copy there that stands alone.",
  source: 'beyond the manual',
  caller: 'admin',
  kind: 'job',
  route: 'PUT /volumes/{uuid}/actions',
  parameters: {
    uuid: VOLUME,
    path: text("Absolute path of a file on the service's machine, which must not exist yet.", {
      optional: true,
      max: 4096,
      rule: { says: 'an absolute path such as /srv/export/disk.qcow2', test: (path) => path.startsWith('/') },
    }),
    format: choice(
      'How to lay the copy out.',
      { qcow2: 'QEMU copy on write', raw: 'the disk as it is, byte by byte' },
      { default: 'qcow2' },
    ),
  },
  answer: answerOf({
    path: text('Where the disk is.', { max: 4096 }),
    format: choice('How it is laid out.', { qcow2: '', raw: '' }),
    size: bytes('Virtual size in bytes.'),
    standalone: boolean('Whether the file needs no other. Otherwise its backing files must be there too.'),
  }),
});

const offering = {
  resource: DiskOffering,
  zstackPackage: 'org.zstack.header.configuration',
  caller: 'admin',
  source: 'related-chapters.md, Volume',
} as const;

export const CreateDiskOffering = defineMessage({
  ...offering,
  name: 'CreateDiskOffering',
  doc: 'Makes a size that volumes come in.',
  kind: 'change',
  route: 'POST /disk-offerings',
  parameters: { name: NAME, description: DESCRIPTION, diskSize: DISK_SIZE, ...CREATION_PARAMETERS },
  answer: inventoryOf(DiskOffering),
});

export const QueryDiskOffering = defineQuery(DiskOffering, {
  route: 'GET /disk-offerings',
  source: offering.source,
  zstackPackage: offering.zstackPackage,
});

export const ChangeDiskOfferingState = defineMessage({
  ...offering,
  name: 'ChangeDiskOfferingState',
  doc: 'Puts a disk offering into use or takes it out of use.',
  kind: 'change',
  route: 'PUT /disk-offerings/{uuid}/actions',
  parameters: {
    uuid: uuid('The offering.', { references: 'DiskOffering' }),
    stateEvent: choice('What to do.', { enable: 'state becomes Enabled', disable: 'state becomes Disabled' }),
  },
  answer: inventoryOf(DiskOffering),
});

export const DeleteDiskOffering = defineMessage({
  ...offering,
  name: 'DeleteDiskOffering',
  doc: 'Deletes a disk offering; volumes made from it stay as they are.',
  kind: 'change',
  route: 'DELETE /disk-offerings/{uuid}',
  parameters: { uuid: uuid('The offering.', { references: 'DiskOffering' }), ...DELETION_PARAMETERS },
  answer: nothing,
  successIfMissing: true,
});
