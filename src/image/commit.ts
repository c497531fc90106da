/** Makes the copies of an image visible, each all of it or nothing; may be done again after a death. */
import type { BackupStorages } from '../backup-storage/backup-storages.ts';
import type { BackupStorageDriver } from '../backup-storage/driver.ts';
import { objectDigest } from '../backup-storage/object-digest.ts';
import { LeaseLost } from '../job/operation.ts';
import { IngotError, toErrorBody } from '../kernel/errors.ts';
import type { Landing } from './add-state.ts';
import type { Copy, CopyFailure } from './copies.ts';

export async function commitCopies(
  parts: { storages: Pick<BackupStorages, 'driver'> },
  copies: readonly Copy[],
  landing: Landing,
  signal: AbortSignal,
): Promise<{ landed: string[]; failures: CopyFailure[] }> {
  const dropped = new Set(landing.failures.map((failure) => failure.backupStorageUuid));
  const landed: string[] = [];
  const failures: CopyFailure[] = [];
  await Promise.all(
    copies
      .filter((copy) => !dropped.has(copy.storageUuid))
      .map(async (copy) => {
        try {
          if (isAnothers(signal)) throw signal.reason;
          await commitOne(await parts.storages.driver(copy.storageUuid), copy, landing);
          landed.push(copy.storageUuid);
        } catch (error) {
          await landing.writers
            .get(copy.storageUuid)
            ?.abort({ keep: isAnothers(signal) })
            .catch(() => {});
          failures.push({ backupStorageUuid: copy.storageUuid, error: toErrorBody(error) });
        }
      }),
  );
  return { landed, failures };
}

/** Another process goes on with these very bytes. */
const isAnothers = (signal: AbortSignal) => signal.reason instanceof LeaseLost;

async function commitOne(driver: BackupStorageDriver, copy: Copy, landing: Landing): Promise<void> {
  const open = landing.writers.get(copy.storageUuid);
  if (open) return open.commit({ sha256: landing.sha256 });
  // The process that wrote it is dead: it may have made it visible already, or not yet.
  let whole: string | undefined;
  if ((await driver.size(copy.path)) === landing.bytes) {
    whole = await objectDigest(driver, copy.path);
    if (whole === landing.sha256) return;
  }
  const found = await objectDigest(driver, copy.path, { partial: true, end: landing.bytes }).catch(
    (error) => {
      // Else it is a damaged one, which what was written beside it is to replace.
      if (whole !== undefined) requireSameDigest(whole, copy, landing.sha256);
      throw error;
    },
  );
  requireSameDigest(found, copy, landing.sha256);
  const writer = await driver.create(copy.path, { resumeAt: landing.bytes, expectedSize: landing.bytes });
  await writer.commit();
}

export function requireSameDigest(found: string, copy: Copy, sha256: string): void {
  if (found === sha256) return;
  throw new IngotError(
    'SYS.1016',
    `what was written to backup storage ${copy.storageUuid} is damaged: its SHA-256 is ${found}, not ${sha256}`,
  );
}
