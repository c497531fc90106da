import type { Settings } from '../global-config/settings.ts';
import type { Operations } from '../job/operation.ts';
import type { JobRunner } from '../job/runner.ts';
import type { SecretBox } from '../kernel/secret-box.ts';
import type { LocalHost } from '../vm/hosts.ts';
import type { LiveLayers } from '../vm/live-layers.ts';
import { type AddImageParts, addImage } from './add.ts';
import { addImageToBackupStorage } from './add-to-storages.ts';
import {
  getCandidateBackupStorageForCreatingImage,
  getCandidateBackupStorageForCreatingImageFromVolume,
  getCandidateBackupStorageForCreatingImageFromVolumeSnapshot,
} from './candidates.ts';
import { calculateImageHash, syncImageSize } from './checks.ts';
import { deleteImage } from './delete.ts';
import { downloadImage } from './download.ts';
import { deleteExportedImageFromBackupStorage, exportImageFromBackupStorage } from './export.ts';
import { expungeImage, recoverImage } from './expunge.ts';
import type * as messages from './messages.ts';
import { rebuildFromStorage } from './rebuild.ts';
import { scrubBackupStorage } from './scrub.ts';
import { setImageBootMode } from './set-boot-mode.ts';
import { changeImageState } from './state.ts';
import type { TemplateParts } from './template.ts';
import {
  createDataVolumeTemplateFromVolumeSnapshot,
  createRootVolumeTemplateFromVolumeSnapshot,
} from './template-from-snapshot.ts';
import {
  createDataVolumeTemplateFromVolume,
  createRootVolumeTemplateFromRootVolume,
} from './template-from-volume.ts';
import { updateImage } from './update.ts';
import { getUploadImageJobDetails } from './upload/details.ts';

export function imageOperations(
  parts: AddImageParts &
    TemplateParts & {
      runner: () => JobRunner;
      settings: Settings;
      secrets: SecretBox;
      publicUrl: () => string;
      live: LiveLayers;
      host: LocalHost;
    },
): Operations<typeof messages> {
  return {
    addImage: addImage(parts),
    getUploadImageJobDetails: getUploadImageJobDetails(parts),
    downloadImage: downloadImage(parts),
    exportImageFromBackupStorage: exportImageFromBackupStorage(parts),
    deleteExportedImageFromBackupStorage: deleteExportedImageFromBackupStorage(),
    addImageToBackupStorage: addImageToBackupStorage(parts),
    scrubBackupStorage: scrubBackupStorage(parts),
    updateImage: updateImage(parts),
    changeImageState: changeImageState(parts),
    deleteImage: deleteImage(parts),
    createRootVolumeTemplateFromRootVolume: createRootVolumeTemplateFromRootVolume(parts),
    createRootVolumeTemplateFromVolumeSnapshot: createRootVolumeTemplateFromVolumeSnapshot(parts),
    createDataVolumeTemplateFromVolume: createDataVolumeTemplateFromVolume(parts),
    createDataVolumeTemplateFromVolumeSnapshot: createDataVolumeTemplateFromVolumeSnapshot(parts),
    expungeImage: expungeImage(parts),
    recoverImage: recoverImage(parts),
    rebuildFromStorage: rebuildFromStorage(parts),
    setImageBootMode: setImageBootMode(parts),
    syncImageSize: syncImageSize(parts),
    calculateImageHash: calculateImageHash(parts),
    getCandidateBackupStorageForCreatingImage: getCandidateBackupStorageForCreatingImage(parts),
    getCandidateBackupStorageForCreatingImageFromVolume:
      getCandidateBackupStorageForCreatingImageFromVolume(parts),
    getCandidateBackupStorageForCreatingImageFromVolumeSnapshot:
      getCandidateBackupStorageForCreatingImageFromVolumeSnapshot(parts),
  };
}
