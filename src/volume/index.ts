import type { Operations } from '../job/operation.ts';
import {
  createDataVolume,
  createDataVolumeFromVolumeTemplate,
  createRootVolumeFromImage,
  type VolumeParts,
} from './create.ts';
import { deleteVolume } from './delete.ts';
import { changeDiskOfferingState, createDiskOffering, deleteDiskOffering } from './disk-offerings.ts';
import { exportVolume } from './export.ts';
import type * as messages from './messages.ts';
import { resizeVolume, syncVolumeSize } from './resize.ts';
import { changeVolumeState, updateVolume } from './state.ts';

export function volumeOperations(
  parts: VolumeParts & { reserved: readonly string[] },
): Operations<typeof messages> {
  return {
    createDataVolume: createDataVolume(parts),
    createDataVolumeFromVolumeTemplate: createDataVolumeFromVolumeTemplate(parts),
    createRootVolumeFromImage: createRootVolumeFromImage(parts),
    updateVolume: updateVolume(parts),
    changeVolumeState: changeVolumeState(parts),
    deleteDataVolume: deleteVolume(parts, 'Data'),
    deleteRootVolume: deleteVolume(parts, 'Root'),
    resizeRootVolume: resizeVolume(parts, 'Root'),
    resizeDataVolume: resizeVolume(parts, 'Data'),
    syncVolumeSize: syncVolumeSize(parts),
    getVolumeFormat: async () => ({ formats: [{ format: 'qcow2', masterHypervisorType: 'KVM' }] }),
    exportVolume: exportVolume(parts),
    createDiskOffering: createDiskOffering(parts),
    changeDiskOfferingState: changeDiskOfferingState(parts),
    deleteDiskOffering,
  };
}
