import assert from 'node:assert/strict';
import { it } from 'node:test';
import { PING_INTERVAL } from '../../src/backup-storage/settings.ts';
import { atIntervals } from '../../src/global-config/at-intervals.ts';
import { createLog } from '../../src/kernel/log.ts';

it('work is done again after a failure, as often as its setting says by then, and ends with the signal', async () => {
  const end = new AbortController();
  const lines: string[] = [];
  const log = createLog('info', { write: (line) => lines.push(line) });
  // An hour passes with each look; the second time, the setting says more than that.
  let now = 0;
  const clock = { now: () => now };
  const intervals = [3600, 7200, 7200, 3600];
  const seen: number[] = [];
  const settings = {
    async get<T>(): Promise<T> {
      now += 3_600_000;
      return (intervals.shift() ?? 3600) as T;
    },
  };
  const work = async (interval: number) => {
    seen.push(interval);
    if (seen.length === 1) throw new Error('not this time');
    if (seen.length === 3) end.abort();
  };
  await atIntervals(
    { settings, clock, log },
    { setting: PING_INTERVAL, work, failed: 'it failed' },
    end.signal,
  );
  assert.deepEqual(seen, [3600, 7200, 3600]);
  assert.equal(lines.filter((line) => line.includes('it failed')).length, 1);
});
