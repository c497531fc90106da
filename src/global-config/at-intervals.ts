import { type Clock, sleep } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import type { Setting } from './setting.ts';
import type { Settings } from './settings.ts';

/** The interval may be changed meanwhile, so that it is looked at this often, in milliseconds. */
const LOOK = 1000;

/** Work that is done again and again. */
interface Recurring {
  /** The interval, in seconds. */
  setting: Setting<number>;
  /** Done at least this often, in milliseconds, where the work itself looks what is due. */
  atLeast?: number;
  /** `interval`: in seconds. A failure is told in the log, and the work is done again at the next time. */
  work(interval: number): Promise<unknown>;
  /** What the log says of a failure. */
  failed: string;
}

/** Does the work whenever the interval of the setting has passed, until the signal ends it. Never rejects. */
export async function atIntervals(
  { settings, clock, log }: { settings: Pick<Settings, 'get'>; clock: Clock; log: Log },
  { setting, atLeast = Number.POSITIVE_INFINITY, work, failed }: Recurring,
  signal: AbortSignal,
): Promise<void> {
  let last = clock.now();
  while (!signal.aborted) {
    await sleep(LOOK, signal).catch(() => {});
    if (signal.aborted) return;
    try {
      const interval = await settings.get(setting);
      if (clock.now() - last < Math.min(interval * 1000, atLeast)) continue;
      last = clock.now();
      await work(interval);
    } catch (error) {
      log.error({ err: error }, failed);
    }
  }
}
