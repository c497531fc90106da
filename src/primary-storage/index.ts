import type { Operations, SyncOperation } from '../job/operation.ts';
import type { AnyField } from '../kernel/field.ts';
import type { Log } from '../kernel/log.ts';
import {
  type AddParts,
  addLocalPrimaryStorage,
  addNfsPrimaryStorage,
  addSharedMountPointPrimaryStorage,
} from './add.ts';
import { getPrimaryStorageCapacity } from './capacity.ts';
import { cleanUpImageCacheOnPrimaryStorage, prefetchImageToPrimaryStorage } from './clean-up.ts';
import { deletePrimaryStorage, type StorageDisks } from './delete.ts';
import type { ImageCaches } from './image-cache.ts';
import type * as messages from './messages.ts';
import type { GetPrimaryStorageTypes } from './messages.ts';
import { PrimaryStorage } from './primary-storage.ts';
import { changePrimaryStorageState, reconnectPrimaryStorage, updatePrimaryStorage } from './state.ts';

export function primaryStorageOperations(
  parts: AddParts & { disks: StorageDisks; caches: ImageCaches; log: Log },
): Operations<typeof messages> {
  return {
    addLocalPrimaryStorage: addLocalPrimaryStorage(parts),
    addSharedMountPointPrimaryStorage: addSharedMountPointPrimaryStorage(parts),
    addNfsPrimaryStorage: addNfsPrimaryStorage(parts),
    deletePrimaryStorage: deletePrimaryStorage(parts),
    changePrimaryStorageState: changePrimaryStorageState(parts),
    updatePrimaryStorage: updatePrimaryStorage(parts),
    reconnectPrimaryStorage: reconnectPrimaryStorage(parts),
    syncPrimaryStorageCapacity: reconnectPrimaryStorage(parts),
    getPrimaryStorageCapacity: getPrimaryStorageCapacity(parts),
    getPrimaryStorageTypes: types,
    cleanUpImageCacheOnPrimaryStorage: cleanUpImageCacheOnPrimaryStorage(parts),
    prefetchImageToPrimaryStorage: prefetchImageToPrimaryStorage(parts),
  };
}

const types: SyncOperation<typeof GetPrimaryStorageTypes> = async () => {
  const field: AnyField = PrimaryStorage.fields.type;
  return { types: field.kind === 'choice' ? Object.keys(field.choices) : [] };
};
