import { BackupStorage } from '../backup-storage/backup-storage.ts';
import { boolean, bytes, choice, integer, text, uuid } from '../kernel/field.ts';
import { CREATE_DATE, DESCRIPTION, LAST_OP_DATE, NAME, UUID } from '../kernel/properties.ts';
import { defineResource, type RowOf } from '../kernel/resource.ts';
import { PrimaryStorage } from '../primary-storage/primary-storage.ts';
import { Volume } from '../volume/volume.ts';

const zstackClass = (name: string) => `org.zstack.header.storage.snapshot.${name}Inventory`;

export const VolumeSnapshotTree = defineResource({
  name: 'VolumeSnapshotTree',
  zstackClass: zstackClass('VolumeSnapshotTree'),
  visible: 'references',
  tags: { system: {} },
  doc: 'Snapshots of one volume that stand on each other.',
  source: 'zstack-api.md 4.8',
  fields: {
    uuid: UUID,
    volumeUuid: uuid('The volume.', { references: 'Volume' }),
    current: boolean('Whether the next snapshot of the volume goes into it.'),
    status: choice('Where it is in its life.', {
      Creating: 'its first snapshot is being made',
      Completed: 'usable',
    }),
    createDate: CREATE_DATE,
    lastOpDate: LAST_OP_DATE,
  },
  references: {
    volume: {
      to: Volume,
      by: 'volumeUuid',
      doc: 'The volume.',
      inverse: { name: 'snapshotTree', doc: 'The trees of its snapshots.' },
    },
  },
});

export const VolumeSnapshot = defineResource({
  name: 'VolumeSnapshot',
  zstackClass: zstackClass('VolumeSnapshot'),
  tags: { system: {} },
  doc: 'What a volume held at one moment: a layer that nothing writes to any more.',
  source: 'related-chapters.md, Volume snapshot; zstack-api.md 4.7',
  fields: {
    uuid: UUID,
    name: NAME,
    description: DESCRIPTION,
    type: choice('Who makes it.', { Hypervisor: 'as a layer of the disk', Storage: 'the storage itself' }),
    volumeUuid: uuid('The volume.', { references: 'Volume' }),
    treeUuid: uuid('The tree it is in.', { references: 'VolumeSnapshotTree' }),
    parentUuid: uuid('The snapshot it stands on; absent for the first of a tree.', {
      optional: true,
      references: 'VolumeSnapshot',
    }),
    primaryStorageUuid: uuid('Where it is.', { references: 'PrimaryStorage' }),
    primaryStorageInstallPath: text('The file of its layer.', { max: 4096 }),
    volumeType: choice('The type of the volume.', { Root: '', Data: '' }),
    format: choice('How it is laid out.', { qcow2: 'QEMU copy on write' }),
    latest: boolean('Whether the volume stands on it.'),
    size: bytes('Bytes that its layer takes on the storage.'),
    distance: integer('Its place in the chain from the first of the tree on, which has 1.'),
    state: choice('Set by its owner.', {
      Enabled: 'may be used',
      Disabled: 'no volume may be reverted to it, and nothing made of it',
    }),
    status: choice('Where it is in its life.', {
      Creating: 'being made; not usable',
      Ready: 'usable',
      Deleting: 'being removed',
    }),
    createDate: CREATE_DATE,
    lastOpDate: LAST_OP_DATE,
  },
  columns: {
    path: text('Of its layer, inside the storage.'),
    virtualSize: bytes('Of the volume at that moment.'),
  },
  references: {
    volume: {
      to: Volume,
      by: 'volumeUuid',
      doc: 'The volume.',
      inverse: { name: 'snapshot', doc: 'Its snapshots.' },
    },
    tree: {
      to: VolumeSnapshotTree,
      by: 'treeUuid',
      doc: 'The tree it is in.',
      inverse: { name: 'snapshot', doc: 'The snapshots in it.', listed: 'snapshots' },
    },
    primaryStorage: {
      to: PrimaryStorage,
      by: 'primaryStorageUuid',
      doc: 'Where it is.',
      inverse: { name: 'volumeSnapshot', doc: 'The snapshots on it.' },
    },
  },
  aliases: { backupStorage: ['backupStorageRef', 'backupStorage'] },
});

export const VolumeSnapshotBackupStorageRef = defineResource({
  name: 'VolumeSnapshotBackupStorageRef',
  zstackClass: zstackClass('VolumeSnapshotBackupStorageRef'),
  doc: 'A copy of a snapshot on a backup storage, which stands alone.',
  source: 'zstack-api.md 4.7',
  key: ['volumeSnapshotUuid', 'backupStorageUuid'],
  fields: {
    volumeSnapshotUuid: uuid('The snapshot.', { references: 'VolumeSnapshot' }),
    backupStorageUuid: uuid('The backup storage.', { references: 'BackupStorage' }),
    installPath: text('Where the copy is on the backup storage.', { max: 4096 }),
    status: choice(
      'Where the copy is in its life.',
      { Creating: 'being made', Ready: 'usable' },
      { since: 'ingot' },
    ),
    size: bytes('Bytes that the copy takes.', { since: 'ingot' }),
    sha256Sum: text('SHA-256 of its bytes, lower-case hex.', { since: 'ingot', optional: true, max: 64 }),
    createDate: CREATE_DATE,
    lastOpDate: LAST_OP_DATE,
  },
  columns: { path: text("The copy's path inside the storage.") },
  references: {
    volumeSnapshot: {
      to: VolumeSnapshot,
      by: 'volumeSnapshotUuid',
      doc: 'The snapshot.',
      inverse: { name: 'backupStorageRef', doc: 'Its copies.', listed: 'backupStorageRefs' },
    },
    backupStorage: {
      to: BackupStorage,
      by: 'backupStorageUuid',
      doc: 'The backup storage.',
      inverse: { name: 'volumeSnapshotRef', doc: 'The copies of snapshots on it.' },
    },
  },
});

export type VolumeSnapshotRow = RowOf<typeof VolumeSnapshot>;
export type VolumeSnapshotTreeRow = RowOf<typeof VolumeSnapshotTree>;
export type SnapshotCopyRow = RowOf<typeof VolumeSnapshotBackupStorageRef>;

declare module '../database/database.ts' {
  interface Tables {
    volumeSnapshotTree: VolumeSnapshotTreeRow;
    volumeSnapshot: VolumeSnapshotRow;
    volumeSnapshotBackupStorageRef: SnapshotCopyRow;
  }
}
