import { defineSetting } from '../global-config/setting.ts';
import { integer } from '../kernel/field.ts';

export const CACHE_CLEANUP_INTERVAL = defineSetting(
  'primaryStorage',
  'imageCache.garbageCollector.interval',
  integer('How often images that are gone and unused are removed from the caches of primary storages.', {
    unit: 'seconds',
    min: 1,
    max: 2_000_000,
    default: 86_400,
  }),
);
