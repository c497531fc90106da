import { bytes, choice, json, list, optional, uuid } from '../kernel/field.ts';
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
import { Volume } from '../volume/volume.ts';
import { VolumeSnapshot, VolumeSnapshotTree } from './snapshot.ts';

const zstackPackage = 'org.zstack.header.storage.snapshot';
const about = { resource: VolumeSnapshot, zstackPackage, caller: 'account' } as const;
const SNAPSHOT = uuid('The snapshot.', { references: 'VolumeSnapshot' });

export const CreateVolumeSnapshot = defineMessage({
  ...about,
  zstackPackage: 'org.zstack.header.volume',
  name: 'CreateVolumeSnapshot',
  doc: 'Keeps what a volume holds now. After incrementalSnapshot.maxNum in a chain, the next one is whole and begins a new tree.',
  source: 'related-chapters.md, Volume snapshot; zstack-api.md 3.4, 5.6',
  kind: 'job',
  route: 'POST /volumes/{volumeUuid}/volume-snapshots',
  parameters: {
    volumeUuid: uuid('The volume.', { references: 'Volume' }),
    name: NAME,
    description: DESCRIPTION,
    ...CREATION_PARAMETERS,
  },
  answer: inventoryOf(VolumeSnapshot),
});

export const QueryVolumeSnapshot = defineQuery(VolumeSnapshot, {
  route: 'GET /volume-snapshots',
  source: 'zstack-api.md 3.4',
  zstackPackage,
});

/** Its inventories have the whole `tree` besides. */
export const QueryVolumeSnapshotTree = defineQuery(VolumeSnapshotTree, {
  route: 'GET /volume-snapshots/trees',
  source: 'zstack-api.md 3.4, 4.8',
  zstackPackage,
});

export const DeleteVolumeSnapshot = defineMessage({
  ...about,
  name: 'DeleteVolumeSnapshot',
  doc: 'Deletes a snapshot with those that stand on it, and their copies on backup storages; the volume keeps what it holds.',
  source: 'zstack-api.md 3.4, 5.6',
  kind: 'job',
  route: 'DELETE /volume-snapshots/{uuid}',
  parameters: { uuid: SNAPSHOT, ...DELETION_PARAMETERS },
  answer: nothing,
  successIfMissing: true,
});

export const RevertVolumeFromSnapshot = defineMessage({
  ...about,
  name: 'RevertVolumeFromSnapshot',
  doc: 'Makes the volume hold what it held when the snapshot was taken; what it holds now and is in no snapshot is lost.',
  source: 'zstack-api.md 3.4, 5.6',
  kind: 'job',
  route: 'PUT /volume-snapshots/{uuid}/actions',
  parameters: { uuid: SNAPSHOT },
  answer: nothing,
});

export const UpdateVolumeSnapshot = defineMessage({
  ...about,
  name: 'UpdateVolumeSnapshot',
  doc: 'Changes what a snapshot says of itself; what is not given stays as it is.',
  source: 'zstack-api.md 3.4',
  kind: 'change',
  route: 'PUT /volume-snapshots/{uuid}/actions',
  parameters: { uuid: SNAPSHOT, name: optional(NAME), description: DESCRIPTION },
  answer: inventoryOf(VolumeSnapshot),
});

export const ChangeVolumeSnapshotState = defineMessage({
  ...about,
  name: 'ChangeVolumeSnapshotState',
  doc: 'Puts a snapshot into use or takes it out of use.',
  source: 'related-chapters.md, Volume snapshot',
  kind: 'change',
  route: 'PUT /volume-snapshots/{uuid}/actions',
  parameters: {
    uuid: SNAPSHOT,
    stateEvent: choice('What to do.', { enable: 'state becomes Enabled', disable: 'state becomes Disabled' }),
  },
  answer: inventoryOf(VolumeSnapshot),
});

export const GetVolumeSnapshotSize = defineMessage({
  ...about,
  name: 'GetVolumeSnapshotSize',
  doc: 'Looks at once how much a snapshot takes on its storage.',
  source: 'zstack-api.md 3.4',
  kind: 'job',
  route: 'PUT /volume-snapshots/{uuid}/actions',
  parameters: { uuid: SNAPSHOT },
  answer: answerOf({
    size: bytes('Virtual size in bytes.'),
    actualSize: bytes('Bytes that its layer takes.'),
  }),
});

export const BackupVolumeSnapshot = defineMessage({
  ...about,
  name: 'BackupVolumeSnapshot',
  doc: 'Keeps a copy of a snapshot, which stands alone, on a backup storage.',
  source: 'related-chapters.md, Volume snapshot',
  kind: 'job',
  route: 'POST /volume-snapshots/{uuid}/backups',
  parameters: {
    uuid: SNAPSHOT,
    backupStorageUuid: uuid('Where to keep it; one that can take it is chosen at random by default.', {
      optional: true,
      references: 'BackupStorage',
    }),
  },
  answer: inventoryOf(VolumeSnapshot),
});

export const DeleteVolumeSnapshotFromBackupStorage = defineMessage({
  ...about,
  name: 'DeleteVolumeSnapshotFromBackupStorage',
  doc: 'Deletes copies of a snapshot from the named backup storages, or from all; the snapshot itself stays.',
  source: 'related-chapters.md, Volume snapshot',
  kind: 'change',
  route: 'DELETE /volume-snapshots/{uuid}/backups',
  parameters: {
    uuid: SNAPSHOT,
    backupStorageUuids: list(
      'Backup storages to delete it from; all by default.',
      uuid('', { references: 'BackupStorage' }),
      { optional: true, max: 100 },
    ),
    ...DELETION_PARAMETERS,
  },
  answer: inventoryOf(VolumeSnapshot),
});

export const CreateDataVolumeFromVolumeSnapshot = defineMessage({
  ...about,
  resource: Volume,
  zstackPackage: 'org.zstack.header.volume',
  name: 'CreateDataVolumeFromVolumeSnapshot',
  doc: 'Makes a data volume that holds what a snapshot holds, and does not need it afterwards.',
  source: 'zstack-api.md 3.3',
  kind: 'job',
  route: 'POST /volumes/data/from/volume-snapshots/{volumeSnapshotUuid}',
  parameters: {
    name: NAME,
    description: DESCRIPTION,
    volumeSnapshotUuid: uuid('The snapshot.', { references: 'VolumeSnapshot' }),
    primaryStorageUuid: uuid("Where to make it; by default, and only, the snapshot's own.", {
      optional: true,
      references: 'PrimaryStorage',
    }),
    ...CREATION_PARAMETERS,
  },
  answer: inventoryOf(Volume),
});

export const BatchDeleteVolumeSnapshot = defineMessage({
  ...about,
  name: 'BatchDeleteVolumeSnapshot',
  doc: 'Deletes several snapshots of one volume with those that stand on them.',
  source: 'zstack-api.md 3.4',
  kind: 'job',
  route: 'PUT /volume-snapshots/batch-delete',
  parameters: { uuids: list('The snapshots.', uuid('', { references: 'VolumeSnapshot' }), { max: 1000 }) },
  answer: answerOf({ results: json<{ snapshotUuid: string; success: boolean }[]>('One for each snapshot.') }),
});
