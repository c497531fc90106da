import { BackupStorage } from '../backup-storage/backup-storage.ts';
import {
  boolean,
  bytes,
  choice,
  defaulted,
  integer,
  json,
  list,
  optional,
  text,
  uuid,
} from '../kernel/field.ts';
import {
  answerOf,
  CREATION_PARAMETERS,
  DELETION_PARAMETERS,
  defineMessage,
  defineQuery,
  inventoriesOf,
  inventoryOf,
  nothing,
} from '../kernel/message.ts';
import { DESCRIPTION, NAME } from '../kernel/properties.ts';
import { ARCHITECTURE, FORMAT, GUEST_OS_TYPE, Image, MEDIA_TYPE, PLATFORM, SYSTEM, VIRTIO } from './image.ts';

export * from './moving-messages.ts';
export * from './template-messages.ts';

const about = { resource: Image, zstackPackage: 'org.zstack.header.image' };

const IMAGE = uuid('The image.', { references: 'Image' });

function hexDigest(algorithm: string, digits: number) {
  return text(`${algorithm} that the bytes must have, in hex; another one is an error.`, {
    since: 'ingot',
    optional: true,
    max: 128,
    rule: {
      says: `${digits} hex digits`,
      test: (digest) => digest.length === digits && /^[0-9a-fA-F]+$/.test(digest),
    },
  });
}

export const AddImage = defineMessage({
  ...about,
  name: 'AddImage',
  doc: 'Takes an image in from a URL: downloads, checks and keeps it on the named backup storages. Succeeds when at least one has it.',
  source: 'image chapter, Add Image',
  caller: 'admin',
  kind: 'job',
  route: 'POST /images',
  parameters: {
    name: NAME,
    description: DESCRIPTION,
    url: text(
      "Where the bytes are: http, https, ftp and sftp URLs; file:///… or a path for a file of the service's own machine; upload://name for bytes that are sent to the address that the call answers with.",
      {
        max: 2048,
        url: true,
        rule: {
          says: 'an http://, https://, ftp://, sftp://, file:/// or upload:// URL',
          test: (url) =>
            /^((https?|ftp|sftp|upload):\/\/[^/\s]|file:\/\/\/[^/])/i.test(url)
              ? URL.canParse(url)
              : /^\/[^/]/.test(url),
        },
      },
    ),
    uploadSize: bytes(
      'How many bytes will be sent, for upload://…; by default the client of the upload says it.',
      {
        since: 'ingot',
        optional: true,
      },
    ),
    mediaType: optional(
      MEDIA_TYPE,
      'What the image is for; RootVolumeTemplate by default, or ISO where the bytes are one.',
    ),
    guestOsType: GUEST_OS_TYPE,
    system: defaulted(SYSTEM, false),
    format: optional(FORMAT, 'How the bytes are laid out; must be true. By default what the bytes show.'),
    platform: defaulted(PLATFORM, 'Linux'),
    architecture: optional(ARCHITECTURE, "Processor it runs on; by default the service's own machine's."),
    virtio: VIRTIO,
    backupStorageUuids: list(
      'Backup storages to keep it on; one that can take it is chosen at random by default.',
      uuid('', { references: 'BackupStorage' }),
      { optional: true, max: 100 },
    ),
    md5Sum: hexDigest('MD5', 32),
    sha256Sum: hexDigest('SHA-256', 64),
    type: choice('Reserved.', { zstack: '' }, { default: 'zstack' }),
    ...CREATION_PARAMETERS,
  },
  answer: inventoryOf(Image),
});

export const QueryImage = defineQuery(Image, {
  route: 'GET /images',
  source: 'image chapter, Query Image',
});

export const UpdateImage = defineMessage({
  ...about,
  name: 'UpdateImage',
  doc: 'Changes what an image says of itself; what is not given stays as it is.',
  source: 'zstack-api.md 2.2',
  caller: 'account',
  kind: 'change',
  route: 'PUT /images/{uuid}/actions',
  parameters: {
    uuid: IMAGE,
    name: optional(NAME),
    description: DESCRIPTION,
    guestOsType: GUEST_OS_TYPE,
    mediaType: optional(MEDIA_TYPE),
    format: optional(FORMAT, 'How the bytes are laid out; only what they really are is accepted.'),
    system: optional(SYSTEM),
    platform: optional(PLATFORM),
    architecture: optional(ARCHITECTURE),
    virtio: VIRTIO,
  },
  answer: inventoryOf(Image),
});

export const ChangeImageState = defineMessage({
  ...about,
  name: 'ChangeImageState',
  doc: 'Allows or forbids creating virtual machines from an image.',
  source: 'image chapter, Change State',
  caller: 'admin',
  kind: 'change',
  route: 'PUT /images/{uuid}/actions',
  parameters: {
    uuid: IMAGE,
    stateEvent: choice('What to do.', { enable: 'state becomes Enabled', disable: 'state becomes Disabled' }),
  },
  answer: inventoryOf(Image),
});

export const DeleteImage = defineMessage({
  ...about,
  name: 'DeleteImage',
  doc: 'Deletes an image from the named backup storages or from all. It is gone with its last copy, and can not be brought back, unless the setting image/deletionPolicy says otherwise.',
  source: 'image chapter, Delete Image',
  caller: 'admin',
  kind: 'job',
  route: 'DELETE /images/{uuid}',
  parameters: {
    uuid: IMAGE,
    backupStorageUuids: list(
      'Backup storages to delete it from; all by default.',
      uuid('', { references: 'BackupStorage' }),
      { optional: true, max: 100 },
    ),
    ...DELETION_PARAMETERS,
  },
  answer: nothing,
  successIfMissing: true,
});

const COPIES = list(
  'Backup storages whose copies are meant; all that are marked Deleted by default.',
  uuid('', { references: 'BackupStorage' }),
  { optional: true, max: 100 },
);
const SAME_AGAIN = uuid('The image again; without effect.', { since: '3.2.0', optional: true });

export const ExpungeImage = defineMessage({
  ...about,
  name: 'ExpungeImage',
  doc: 'Deletes the bytes of copies that are marked Deleted. An image that is gone already is no error.',
  source: 'zstack-api.md 5.3',
  caller: 'admin',
  kind: 'job',
  route: 'PUT /images/{imageUuid}/actions',
  parameters: { imageUuid: IMAGE, backupStorageUuids: COPIES, uuid: SAME_AGAIN },
  answer: nothing,
  successIfMissing: true,
});

export const RecoverImage = defineMessage({
  ...about,
  name: 'RecoverImage',
  doc: 'Brings copies back that are marked Deleted.',
  source: 'zstack-api.md 5.3',
  caller: 'admin',
  kind: 'change',
  route: 'PUT /images/{imageUuid}/actions',
  parameters: { imageUuid: IMAGE, backupStorageUuids: COPIES, uuid: SAME_AGAIN },
  answer: inventoryOf(Image),
});

export const SyncImageSize = defineMessage({
  ...about,
  name: 'SyncImageSize',
  doc: 'Looks how large the copy on the storage is; another size than when it was taken in is an error.',
  source: 'zstack-api.md 2.1',
  caller: 'account',
  kind: 'job',
  route: 'PUT /images/{uuid}/actions',
  parameters: { uuid: IMAGE },
  answer: inventoryOf(Image),
});

export const CalculateImageHash = defineMessage({
  ...about,
  name: 'CalculateImageHash',
  doc: 'Reads a copy from its storage and computes its digest; another one than is known already is an error.',
  source: 'zstack-api.md 2.2',
  caller: 'account',
  kind: 'job',
  route: 'PUT /images/{uuid}/actions',
  parameters: {
    uuid: IMAGE,
    backupStorageUuid: uuid('The backup storage whose copy is read.', {
      since: '4.1.0',
      references: 'BackupStorage',
    }),
    algorithm: choice(
      'Which digest.',
      { md5: 'into md5Sum', sha256: 'into sha256Sum' },
      { since: '4.1.0', default: 'md5' },
    ),
  },
  answer: inventoryOf(Image),
});

export const SetImageBootMode = defineMessage({
  ...about,
  name: 'SetImageBootMode',
  doc: 'Says how machines made from an image boot: its tag bootMode::….',
  source: 'zstack-api.md 2.2',
  caller: 'account',
  kind: 'change',
  route: 'PUT /images/{uuid}/actions',
  parameters: {
    uuid: IMAGE,
    bootMode: choice(
      'How they boot.',
      { Legacy: 'BIOS; not on aarch64', UEFI: '', UEFI_WITH_CSM: 'UEFI that can do as BIOS' },
      { since: '3.9.0' },
    ),
  },
  answer: nothing,
});

/** Of calls that only look. */
const CANDIDATES = {
  ...about,
  doc: 'Lists the backup storages that could take an image now: Enabled, Connected, attached to a zone, with room.',
  source: 'zstack-api.md 2.1',
  caller: 'account',
  kind: 'sync',
  answer: inventoriesOf(BackupStorage),
} as const;

export const GetCandidateBackupStorageForCreatingImage = defineMessage({
  ...CANDIDATES,
  name: 'GetCandidateBackupStorageForCreatingImage',
  route: 'GET /images/candidate-backup-storage',
  parameters: {
    volumeUuid: uuid('The volume that it shall be made of.', { optional: true, references: 'Volume' }),
    volumeSnapshotUuid: uuid('The snapshot that it shall be made of.', {
      optional: true,
      references: 'VolumeSnapshot',
    }),
    size: bytes('How large the image is, in bytes.', { since: 'ingot', default: 0 }),
  },
});

export const GetCandidateBackupStorageForCreatingImageFromVolume = defineMessage({
  ...CANDIDATES,
  name: 'GetCandidateBackupStorageForCreatingImageFromVolume',
  route: 'GET /images/volumes/{volumeUuid}/candidate-backup-storage',
  parameters: { volumeUuid: uuid('The volume that it shall be made of.', { references: 'Volume' }) },
});

export const GetCandidateBackupStorageForCreatingImageFromVolumeSnapshot = defineMessage({
  ...CANDIDATES,
  name: 'GetCandidateBackupStorageForCreatingImageFromVolumeSnapshot',
  route: 'GET /images/volume-snapshots/{volumeSnapshotUuid}/candidate-backup-storage',
  parameters: {
    volumeSnapshotUuid: uuid('The snapshot that it shall be made of.', { references: 'VolumeSnapshot' }),
  },
});

export const RebuildFromStorage = defineMessage({
  ...about,
  name: 'RebuildFromStorage',
  doc: "Registers the images on a backup storage again, from what stands beside their copies: for when the database was lost. Every copy is read and compared with its SHA-256; an image's owner is who it was where that account is there, else the caller's administrator.",
  source: 'ingot',
  caller: 'admin',
  kind: 'job',
  route: 'PUT /backup-storage/{uuid}/actions',
  parameters: {
    uuid: uuid('The backup storage.', { references: 'BackupStorage' }),
    acceptForeign: boolean(
      'Takes what is not signed with the key of this installation, too: who can write to the storage then says which images there are.',
      { default: false },
    ),
  },
  answer: answerOf({
    registered: integer('Copies that are known now.', { unit: 'count' }),
    known: integer('Copies that were known before.', { unit: 'count' }),
    refused: json<{ path: string; reason: string }[]>('Descriptions that were not taken, and why.'),
  }),
});
