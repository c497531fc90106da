/** Messages about an image's bytes: where they come in, go out, and are copied and read again. */
import { BackupStorage } from '../backup-storage/backup-storage.ts';
import { boolean, bytes, choice, integer, json, list, text, uuid } from '../kernel/field.ts';
import { answerOf, defineMessage, file, inventoryOf, nothing } from '../kernel/message.ts';
import { Image } from './image.ts';

const about = { resource: Image, zstackPackage: 'org.zstack.header.image' };
const IMAGE = uuid('The image.', { references: 'Image' });

/** Where the calls about exports are. */
const exporting = { resource: BackupStorage, zstackPackage: 'org.zstack.header.storage.backup' };
const HAS_COPY = uuid('A backup storage that has a copy.', { references: 'BackupStorage', access: 'use' });
const OWN_IMAGE = uuid('The image.', { references: 'Image', access: 'change' });

export const GetUploadImageJobDetails = defineMessage({
  ...about,
  name: 'GetUploadImageJobDetails',
  doc: 'Finds uploads that are awaited, by the name in upload://name: their addresses, their jobs, and how far they are.',
  source: 'zstack-api.md 2.2',
  caller: 'admin',
  kind: 'sync',
  route: 'GET /images/upload-job/details/{imageId}',
  parameters: { imageId: text('The name in upload://name.', { max: 2048, since: '4.1.0' }) },
  answer: answerOf({
    existingJobDetails: list(
      'Each with longJobUuid, longJobState, imageUuid, imageUploadUrl and offset, the bytes that have come.',
      json<Record<string, unknown>>(''),
      { min: 0 },
    ),
    success: boolean('True.'),
  }),
});

export const DownloadImage = defineMessage({
  ...about,
  name: 'DownloadImage',
  doc: 'Gives the bytes of an image, or a range of them, with their SHA-256 as ETag. From the best copy; where that one breaks, from the next.',
  source: 'ingot',
  caller: 'account',
  kind: 'sync',
  route: 'GET /images/{uuid}/file',
  parameters: { uuid: IMAGE },
  answer: file,
});

export const ExportImageFromBackupStorage = defineMessage({
  ...exporting,
  name: 'ExportImageFromBackupStorage',
  doc: 'Gives an address from which anybody who knows it can fetch the copy, until DeleteExportedImageFromBackupStorage. Once more gives the same address.',
  source: 'zstack-api.md 2.2',
  caller: 'account',
  kind: 'change',
  route: 'PUT /backup-storage/{backupStorageUuid}/actions',
  parameters: {
    backupStorageUuid: HAS_COPY,
    imageUuid: OWN_IMAGE,
    exportFormat: choice(
      "How the bytes shall be laid out: only as the image's own are; those by default.",
      { raw: 'the disk as it is', qcow2: 'QEMU copy on write' },
      { since: '2.3', optional: true },
    ),
  },
  answer: answerOf({
    imageUrl: text('Where the bytes are.', { max: 2048 }),
    exportMd5Sum: text('MD5 of the bytes, lower-case hex.', { max: 32, optional: true }),
    success: boolean('True.'),
  }),
});

export const DeleteExportedImageFromBackupStorage = defineMessage({
  ...exporting,
  name: 'DeleteExportedImageFromBackupStorage',
  doc: 'Takes back the address that ExportImageFromBackupStorage gave; downloads from it that are under way go on.',
  source: 'zstack-api.md 2.1',
  caller: 'account',
  kind: 'change',
  route: 'DELETE /backup-storage/{backupStorageUuid}/exported-images/{imageUuid}',
  parameters: { backupStorageUuid: HAS_COPY, imageUuid: OWN_IMAGE },
  answer: nothing,
});

export const AddImageToBackupStorage = defineMessage({
  ...about,
  name: 'AddImageToBackupStorage',
  doc: 'Copies an image to further backup storages, from the best copy there is; a copy that is damaged is written again. Succeeds when at least one of them has it.',
  source: 'ingot',
  caller: 'admin',
  kind: 'job',
  route: 'PUT /images/{uuid}/actions',
  parameters: {
    uuid: IMAGE,
    backupStorageUuids: list(
      'Backup storages that shall have a copy.',
      uuid('', { references: 'BackupStorage' }),
      {
        max: 100,
      },
    ),
  },
  answer: inventoryOf(Image),
});

export const ScrubBackupStorage = defineMessage({
  ...exporting,
  name: 'ScrubBackupStorage',
  doc: 'Reads the copies on a backup storage again and compares them with their digests. What is damaged is told on the copy (damage), in the log and the metrics, and is not read again.',
  source: 'ingot',
  caller: 'admin',
  kind: 'job',
  route: 'PUT /backup-storage/{uuid}/actions',
  parameters: {
    uuid: uuid('The backup storage.', { references: 'BackupStorage' }),
    repair: boolean('Whether damaged copies are written again from good ones.', { default: false }),
    olderThan: integer('Only copies that were not read for so long.', { unit: 'seconds', default: 0 }),
  },
  answer: answerOf({
    checkedCopies: integer('How many copies were read.'),
    checkedBytes: bytes('How many bytes that was.'),
    damagedCopies: integer('How many of the copies are damaged.'),
    repairedCopies: integer('How many of these were written again.'),
    findings: list(
      'Each with imageUuid, imageName, damage, and whether it was repaired.',
      json<Record<string, unknown>>(''),
      { min: 0 },
    ),
  }),
});
