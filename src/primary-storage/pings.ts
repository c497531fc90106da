import { setTimeout as delay } from 'node:timers/promises';
import type { Log } from '../kernel/log.ts';
import type { PrimaryStorages } from './primary-storages.ts';
import type { Trash } from './trash.ts';

/** How often the primary storages are asked whether they are there, in milliseconds. */
const PING_INTERVAL = 60_000;

/** Asks all primary storages again and again, and empties the trash of those that are there, until the signal ends it. */
export async function runPrimaryPings(
  { primaryStorages, trash, log }: { primaryStorages: PrimaryStorages; trash: Trash; log: Log },
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await delay(PING_INTERVAL, undefined, { signal, ref: false }).catch(() => {});
    if (signal.aborted) return;
    await primaryStorages
      .check()
      .catch((error) => log.error({ err: error }, 'checking the primary storages failed'));
    // What it takes its time over is not what the next look waits for.
    void trash.empty();
  }
}
