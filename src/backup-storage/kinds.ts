import type { BackupStorageKind, StorageRow } from './kind.ts';
import { localKind } from './local/kind.ts';
import { sftpKind } from './sftp/kind.ts';

/** Every kind there is, by its type; tsc names one that is declared and missing here. */
export const KINDS: Readonly<Record<StorageRow['type'], BackupStorageKind>> = {
  LocalBackupStorage: localKind,
  SftpBackupStorage: sftpKind,
};
