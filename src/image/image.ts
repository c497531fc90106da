import { BackupStorage } from '../backup-storage/backup-storage.ts';
import { boolean, bytes, choice, date, text, uuid } from '../kernel/field.ts';
import { CREATE_DATE, DESCRIPTION, LAST_OP_DATE, NAME, UUID } from '../kernel/properties.ts';
import { defineResource, type RowOf } from '../kernel/resource.ts';
import { SYSTEM_TAGS } from '../query/tag.ts';
import { SYSTEM_TAG_PATTERNS } from './system-tags.ts';

export const MEDIA_TYPE = choice('What the image is for.', {
  RootVolumeTemplate: 'root volumes are made from it',
  DataVolumeTemplate: 'data volumes are made from it',
  ISO: 'an operating system is installed from it on a blank root volume',
});

export const FORMAT = choice(
  'How the bytes are laid out.',
  {
    qcow2: 'QEMU copy on write, version 2 or 3',
    raw: 'the disk as it is, byte by byte',
    iso: 'an ISO 9660 medium; beyond the chapter',
  },
  {},
);

export const PLATFORM = choice(
  'What runs in it, and so which devices it is given: Linux and Paravirtualization virtio, the others IDE and e1000.',
  {
    Linux: 'virtio devices',
    Windows: 'IDE, e1000',
    Other: 'IDE, e1000',
    Paravirtualization: 'virtio devices',
  },
  { aliases: { WindowsVirtio: 'Windows' } },
);

export const ARCHITECTURE = choice(
  'Processor it runs on.',
  { x86_64: '', aarch64: '', mips64el: '', loongarch64: '' },
  { since: '4.0' },
);

export const GUEST_OS_TYPE = text('Free text on the operating system, such as CentOS7.', {
  max: 255,
  optional: true,
});

/** Of calls; an inventory says it in words of its own. */
export const SYSTEM = boolean('Whether only appliance virtual machines are made from it.');

export const VIRTIO = boolean('Whether the guest has virtio drivers; by default as its platform says.', {
  since: '4.1.2',
  optional: true,
});

export const Image = defineResource({
  name: 'Image',
  doc: "A template of a virtual machine's file system, or an ISO to install one from.",
  source: 'image chapter, Inventory; zstack-api.md 4.1',
  tags: { system: SYSTEM_TAG_PATTERNS },
  relations: { systemTags: SYSTEM_TAGS },
  fields: {
    uuid: UUID,
    name: NAME,
    description: DESCRIPTION,
    state: choice('Set by the administrator.', {
      Enabled: 'virtual machines may be created from it',
      Disabled: 'no virtual machine may be created from it',
    }),
    status: choice('Where it is in its life.', {
      Creating: 'being made from a volume or a snapshot; not usable',
      Downloading: 'being taken in from its url; not usable',
      Ready: 'on a backup storage; usable',
      Deleted: 'marked deleted on all of its backup storages, or being deleted; not usable',
    }),
    size: bytes('Virtual size in bytes: what a virtual machine sees. 0 until it is known.'),
    actualSize: bytes('Bytes stored. 0 until they are.', { since: 'ingot' }),
    md5Sum: text('MD5 of the stored bytes, lower-case hex.', { max: 32, optional: true }),
    sha256Sum: text('SHA-256 of the stored bytes, lower-case hex.', {
      max: 64,
      optional: true,
      since: 'ingot',
    }),
    url: text(
      'Where it came from: http(s)://…, ftp://…, sftp://…, file:///…, upload://name, volume://uuid or volumeSnapshot://uuid. Passwords are masked.',
      {
        max: 2048,
      },
    ),
    mediaType: MEDIA_TYPE,
    guestOsType: GUEST_OS_TYPE,
    platform: PLATFORM,
    architecture: { ...ARCHITECTURE },
    type: choice('Reserved.', { zstack: '' }),
    format: { ...FORMAT, presence: 'optional' as const },
    system: boolean('Only appliance virtual machines are made from it.'),
    virtio: boolean('Whether the guest has virtio drivers.', { since: '4.1.2' }),
    createDate: CREATE_DATE,
    lastOpDate: LAST_OP_DATE,
  },
  aliases: { backupStorage: ['backupStorageRef', 'backupStorage'] },
});

export const ImageBackupStorageRef = defineResource({
  name: 'ImageBackupStorageRef',
  zstackClass: 'org.zstack.header.image.ImageBackupStorageRefInventory',
  doc: 'A copy of an image on a backup storage.',
  source: 'image chapter, Backup Storage Reference',
  key: ['imageUuid', 'backupStorageUuid'],
  fields: {
    imageUuid: uuid('The image.', { references: 'Image' }),
    backupStorageUuid: uuid('The backup storage.', { references: 'BackupStorage' }),
    installPath: text('Where the copy is on the backup storage.', { max: 4096 }),
    status: choice(
      'Where the copy is in its life.',
      {
        Creating: 'being made',
        Downloading: 'being taken in',
        Ready: 'usable',
        Deleted: 'marked deleted, or being deleted',
      },
      { since: 'ingot' },
    ),
    exportUrl: text('Where anybody who knows it can fetch the copy, while it is exported.', {
      max: 2048,
      optional: true,
      since: '2.3',
    }),
    exportMd5Sum: text('MD5 of the exported bytes, lower-case hex.', {
      max: 32,
      optional: true,
      since: '2.3',
    }),
    damage: text('What is wrong with the copy; absent while nothing is known to be. It is not read.', {
      max: 4096,
      optional: true,
      since: 'ingot',
    }),
    checkDate: date('When all of its bytes were last read and compared.', { optional: true, since: 'ingot' }),
    createDate: CREATE_DATE,
    lastOpDate: LAST_OP_DATE,
  },
  columns: {
    path: text("The copy's path inside the storage."),
    exportKey: text('The part of exportUrl that nobody can guess.', { max: 64, optional: true }),
    size: bytes(
      'Bytes that the copy takes from the capacity: promised while it is being taken in, then real.',
    ),
  },
  references: {
    image: {
      to: Image,
      by: 'imageUuid',
      doc: 'The image.',
      inverse: { name: 'backupStorageRef', doc: 'Its copies.', listed: 'backupStorageRefs' },
    },
    backupStorage: {
      to: BackupStorage,
      by: 'backupStorageUuid',
      doc: 'The backup storage.',
      inverse: { name: 'imageRef', doc: 'The copies of images on it.' },
    },
  },
});

declare module '../database/database.ts' {
  interface Tables {
    image: RowOf<typeof Image>;
    imageBackupStorageRef: RowOf<typeof ImageBackupStorageRef>;
  }
}
