import type { Database } from '../database/database.ts';
import type { Operations } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import type { Resource } from '../kernel/resource.ts';
import { addBackupStorage } from './add.ts';
import type { BackupStorages } from './backup-storages.ts';
import { getBackupStorageCapacity } from './capacity.ts';
import { deleteBackupStorage, type StorageContents } from './delete.ts';
import { KINDS } from './kinds.ts';
import type * as messages from './messages.ts';
import { reconnectBackupStorage } from './reconnect.ts';
import { changeBackupStorageState } from './state.ts';
import { updateBackupStorage } from './update.ts';
import { attachBackupStorageToZone, detachBackupStorageFromZone } from './zones.ts';

export function backupStorageOperations(parts: {
  database: Database;
  storages: BackupStorages;
  contents: StorageContents;
  clock: Clock;
  resources: ReadonlyMap<string, Resource>;
  log: Log;
  reserved: readonly string[];
}): Operations<typeof messages> {
  return {
    addLocalBackupStorage: addBackupStorage(parts, 'LocalBackupStorage'),
    addS3BackupStorage: addBackupStorage(parts, 'S3BackupStorage'),
    updateS3BackupStorage: updateBackupStorage(parts, 'S3BackupStorage'),
    reconnectS3BackupStorage: reconnectBackupStorage(parts, 'S3BackupStorage'),
    addSftpBackupStorage: addBackupStorage(parts, 'SftpBackupStorage'),
    updateSftpBackupStorage: updateBackupStorage(parts, 'SftpBackupStorage'),
    reconnectSftpBackupStorage: reconnectBackupStorage(parts, 'SftpBackupStorage', ({ acceptNewHostKey }) =>
      acceptNewHostKey ? { hostKey: null } : {},
    ),
    updateBackupStorage: updateBackupStorage(parts),
    reconnectBackupStorage: reconnectBackupStorage(parts),
    deleteBackupStorage: deleteBackupStorage(parts),
    attachBackupStorageToZone: attachBackupStorageToZone(parts),
    detachBackupStorageFromZone,
    getBackupStorageTypes: async () => ({ types: Object.keys(KINDS) }),
    changeBackupStorageState: changeBackupStorageState(parts),
    getBackupStorageCapacity: getBackupStorageCapacity(parts),
  };
}
