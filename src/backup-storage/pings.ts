import type { Settings } from '../global-config/settings.ts';
import { type Clock, sleep } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import type { BackupStorages } from './backup-storages.ts';
import { PING_INTERVAL, PING_PARALLELISM } from './settings.ts';

interface Parts {
  storages: BackupStorages;
  settings: Settings;
  clock: Clock;
  log: Log;
}

/** The interval may be changed meanwhile, so that it is looked at this often, in milliseconds. */
const LOOK = 1000;

/** Asks all backup storages again and again, those that were gone too, until the signal ends it. */
export async function runPings(parts: Parts, signal: AbortSignal): Promise<void> {
  let last = parts.clock.now();
  while (!signal.aborted) {
    await sleep(LOOK, signal).catch(() => {});
    if (signal.aborted) return;
    try {
      const interval = await parts.settings.get(PING_INTERVAL);
      if (parts.clock.now() - last < interval * 1000) continue;
      last = parts.clock.now();
      const parallel = await parts.settings.get(PING_PARALLELISM);
      await parts.storages.check({ patient: true, parallel });
    } catch (error) {
      parts.log.error({ err: error }, 'asking the backup storages failed; it is tried again');
    }
  }
}
