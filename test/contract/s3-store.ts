import { type S3StorageOptions, s3BackupStorage } from '../../src/backup-storage/s3/driver.ts';
import type { StoreUnderTest } from './backup-storage-driver.ts';

export async function openS3Store(options: S3StorageOptions): Promise<StoreUnderTest> {
  const module = new URL('../../src/backup-storage/s3/driver.ts', import.meta.url).href;
  const driver = s3BackupStorage(options);
  await driver.initialise();
  return {
    driver,
    elsewhere: { module, factory: 's3BackupStorage', options },
  };
}
