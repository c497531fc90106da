import { atIntervals } from '../global-config/at-intervals.ts';
import type { Settings } from '../global-config/settings.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import type { BackupStorages } from './backup-storages.ts';
import { PING_INTERVAL, PING_PARALLELISM } from './settings.ts';

interface Parts {
  storages: BackupStorages;
  settings: Settings;
  clock: Clock;
  log: Log;
}

/** Asks all backup storages again and again, those that were gone too, until the signal ends it. */
export function runPings(parts: Parts, signal: AbortSignal): Promise<void> {
  const work = async () => {
    const parallel = await parts.settings.get(PING_PARALLELISM);
    await parts.storages.check({ patient: true, parallel });
  };
  const failed = 'asking the backup storages failed; it is tried again';
  return atIntervals(parts, { setting: PING_INTERVAL, work, failed }, signal);
}
