/** Messages that make images of volumes and of snapshots. */
import { defaulted, list, optional, uuid } from '../kernel/field.ts';
import { CREATION_PARAMETERS, defineMessage, inventoryOf } from '../kernel/message.ts';
import { DESCRIPTION, NAME } from '../kernel/properties.ts';
import { ARCHITECTURE, GUEST_OS_TYPE, Image, PLATFORM, SYSTEM, VIRTIO } from './image.ts';

const about = { resource: Image, zstackPackage: 'org.zstack.header.image' };

const TEMPLATE = {
  name: NAME,
  description: DESCRIPTION,
  backupStorageUuids: list(
    'Backup storages to keep it on; one that can take it is chosen at random by default.',
    uuid('', { references: 'BackupStorage' }),
    { optional: true, max: 100 },
  ),
  ...CREATION_PARAMETERS,
};

const ROOT_TEMPLATE = {
  ...TEMPLATE,
  platform: optional(PLATFORM, "What runs in it; by default as the volume's image says, else Linux."),
  guestOsType: optional(GUEST_OS_TYPE, "The operating system; by default as the volume's image says."),
  architecture: optional(ARCHITECTURE, "Processor it runs on; by default as the volume's image says."),
  system: defaulted(SYSTEM, false),
  virtio: VIRTIO,
};

export const CreateRootVolumeTemplateFromRootVolume = defineMessage({
  ...about,
  name: 'CreateRootVolumeTemplateFromRootVolume',
  doc: 'Makes an image of a root volume, which stands alone. Succeeds when at least one backup storage has it.',
  source: 'image chapter, Create RootVolumeTemplate From Root Volume',
  caller: 'account',
  kind: 'job',
  route: 'POST /images/root-volume-templates/from/volumes/{rootVolumeUuid}',
  parameters: { ...ROOT_TEMPLATE, rootVolumeUuid: uuid('The root volume.', { references: 'Volume' }) },
  answer: inventoryOf(Image),
});

export const CreateRootVolumeTemplateFromVolumeSnapshot = defineMessage({
  ...about,
  name: 'CreateRootVolumeTemplateFromVolumeSnapshot',
  doc: 'Makes an image of a snapshot of a root volume, which stands alone. Succeeds when at least one backup storage has it.',
  source: 'image chapter, Create RootVolumeTemplate From Volume Snapshot',
  caller: 'account',
  kind: 'job',
  route: 'POST /images/root-volume-templates/from/volume-snapshots/{snapshotUuid}',
  parameters: { ...ROOT_TEMPLATE, snapshotUuid: uuid('The snapshot.', { references: 'VolumeSnapshot' }) },
  answer: inventoryOf(Image),
});

export const CreateDataVolumeTemplateFromVolume = defineMessage({
  ...about,
  name: 'CreateDataVolumeTemplateFromVolume',
  doc: 'Makes an image for data volumes of a volume, root or data, which stands alone. Succeeds when at least one backup storage has it.',
  source: 'image chapter, Create DataVolumeTemplate From Volume',
  caller: 'account',
  kind: 'job',
  route: 'POST /images/data-volume-templates/from/volumes/{volumeUuid}',
  parameters: { ...TEMPLATE, volumeUuid: uuid('The volume.', { references: 'Volume' }) },
  answer: inventoryOf(Image),
});

export const CreateDataVolumeTemplateFromVolumeSnapshot = defineMessage({
  ...about,
  name: 'CreateDataVolumeTemplateFromVolumeSnapshot',
  doc: 'Makes an image for data volumes of a snapshot, which stands alone. Succeeds when at least one backup storage has it.',
  source: 'zstack-api.md 2.1',
  caller: 'account',
  kind: 'job',
  route: 'POST /images/data-volume-templates/from/volume-snapshots/{snapshotUuid}',
  parameters: { ...TEMPLATE, snapshotUuid: uuid('The snapshot.', { references: 'VolumeSnapshot' }) },
  answer: inventoryOf(Image),
});
