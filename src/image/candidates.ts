import { BackupStorage } from '../backup-storage/backup-storage.ts';
import { candidateStorages } from '../backup-storage/choose.ts';
import type { Database } from '../database/database.ts';
import type { SyncOperation } from '../job/operation.ts';
import { findInventory } from '../query/find.ts';
import type { GetCandidateBackupStorageForCreatingImage } from './messages.ts';

export function getCandidateBackupStorageForCreatingImage(parts: {
  database: Database;
}): SyncOperation<typeof GetCandidateBackupStorageForCreatingImage> {
  return async ({ parameters: { size } }) => {
    const candidates = await candidateStorages(parts.database.sql, size);
    const found = await Promise.all(
      candidates.map(({ uuid }) => findInventory(parts.database.sql, BackupStorage, uuid)),
    );
    return { inventories: found.filter((inventory) => inventory !== undefined) };
  };
}
