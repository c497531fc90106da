import { ADMIN_UUID } from '../account/account.ts';
import type { Database } from '../database/database.ts';
import { atIntervals } from '../global-config/at-intervals.ts';
import type { Settings } from '../global-config/settings.ts';
import type { JobRunner } from '../job/runner.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import { newUuid } from '../kernel/uuid.ts';
import { CleanUpImageCacheOnPrimaryStorage } from './messages.ts';
import { CACHE_CLEANUP_INTERVAL } from './settings.ts';

interface Parts {
  database: Database;
  settings: Settings;
  runner: () => JobRunner;
  clock: Clock;
  log: Log;
}

/** Now and then, images that are gone and that no volume stands on leave the caches, until the signal ends it. */
export function runCacheCleaner(parts: Parts, signal: AbortSignal): Promise<void> {
  const work = () => cleanUpAll(parts);
  const failed = 'cleaning up image caches failed; it is tried again';
  return atIntervals(parts, { setting: CACHE_CLEANUP_INTERVAL, work, failed }, signal);
}

/** A job of CleanUpImageCacheOnPrimaryStorage for every storage that has something to clean up. */
async function cleanUpAll({ database, runner, log }: Parts): Promise<void> {
  const storages = await database.sql
    .selectFrom('primaryStorage')
    .select('uuid')
    .where('status', '=', 'Connected')
    .where('uuid', 'in', (entries) =>
      entries
        .selectFrom('imageCache')
        .select('primaryStorageUuid')
        .where('imageUuid', 'not in', (images) => images.selectFrom('image').select('uuid')),
    )
    .execute();
  for (const { uuid } of storages) {
    await runner()
      .submit({
        id: newUuid(),
        message: CleanUpImageCacheOnPrimaryStorage,
        parameters: { uuid, force: false },
        caller: { accountUuid: ADMIN_UUID, admin: true },
      })
      .catch((error) => log.warn({ storage: uuid, err: error }, 'an image cache could not be cleaned up'));
  }
}
