import type { BackupStorageKind, StorageRow } from './kind.ts';
import { localKind } from './local/kind.ts';
import { s3Kind } from './s3/kind.ts';
import { sftpKind } from './sftp/kind.ts';

/** Every kind there is, by its type; tsc names one that is declared and missing here. */
export const KINDS: Readonly<Record<StorageRow['type'], BackupStorageKind>> = {
  LocalBackupStorage: localKind,
  S3BackupStorage: s3Kind,
  SftpBackupStorage: sftpKind,
};
