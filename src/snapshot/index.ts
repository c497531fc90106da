import type { Operations, QueryCompletion } from '../job/operation.ts';
import { type BackupParts, backupVolumeSnapshot, deleteVolumeSnapshotFromBackupStorage } from './backup.ts';
import { createVolumeSnapshot } from './create.ts';
import { createDataVolumeFromVolumeSnapshot } from './create-volume.ts';
import { batchDeleteVolumeSnapshot, deleteVolumeSnapshot } from './delete.ts';
import type * as messages from './messages.ts';
import { completeSnapshotTrees } from './query-tree.ts';
import { revertVolumeFromSnapshot } from './revert.ts';
import { changeVolumeSnapshotState, getVolumeSnapshotSize, updateVolumeSnapshot } from './state.ts';

export function snapshotOperations(parts: BackupParts): Operations<typeof messages> & {
  queryVolumeSnapshotTree: QueryCompletion;
} {
  return {
    createVolumeSnapshot: createVolumeSnapshot(parts),
    queryVolumeSnapshotTree: completeSnapshotTrees(parts),
    deleteVolumeSnapshot: deleteVolumeSnapshot(parts),
    batchDeleteVolumeSnapshot: batchDeleteVolumeSnapshot(parts),
    revertVolumeFromSnapshot: revertVolumeFromSnapshot(parts),
    updateVolumeSnapshot: updateVolumeSnapshot(parts),
    changeVolumeSnapshotState: changeVolumeSnapshotState(parts),
    getVolumeSnapshotSize: getVolumeSnapshotSize(parts),
    backupVolumeSnapshot: backupVolumeSnapshot(parts),
    deleteVolumeSnapshotFromBackupStorage: deleteVolumeSnapshotFromBackupStorage(parts),
    createDataVolumeFromVolumeSnapshot: createDataVolumeFromVolumeSnapshot(parts),
  };
}
