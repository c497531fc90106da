import { defineSetting } from '../global-config/setting.ts';
import { integer } from '../kernel/field.ts';

export const PING_INTERVAL = defineSetting(
  'backupStorage',
  'ping.interval',
  integer(
    'How often backup storages are asked whether they are there; one that misses three times is Disconnected.',
    {
      unit: 'seconds',
      min: 1,
      max: 2_000_000,
      default: 60,
    },
  ),
);

export const PING_PARALLELISM = defineSetting(
  'backupStorage',
  'ping.parallelismDegree',
  integer('How many backup storages are asked at once.', { unit: 'count', min: 1, max: 1000, default: 50 }),
);
