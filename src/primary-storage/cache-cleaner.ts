import { ADMIN_UUID } from '../account/account.ts';
import type { Database } from '../database/database.ts';
import type { Settings } from '../global-config/settings.ts';
import type { JobRunner } from '../job/runner.ts';
import { type Clock, sleep } from '../kernel/clock.ts';
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

/** The interval may be changed meanwhile, so that it is looked at this often, in milliseconds. */
const LOOK = 1000;

/** Now and then, images that are gone and that no volume stands on leave the caches, until the signal ends it. */
export async function runCacheCleaner(parts: Parts, signal: AbortSignal): Promise<void> {
  let last = parts.clock.now();
  while (!signal.aborted) {
    await sleep(LOOK, signal).catch(() => {});
    if (signal.aborted) return;
    try {
      const interval = await parts.settings.get(CACHE_CLEANUP_INTERVAL);
      if (parts.clock.now() - last < interval * 1000) continue;
      last = parts.clock.now();
      await cleanUpAll(parts);
    } catch (error) {
      parts.log.error({ err: error }, 'cleaning up image caches failed; it is tried again');
    }
  }
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
