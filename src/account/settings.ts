import { defineSetting } from '../global-config/setting.ts';
import { integer } from '../kernel/field.ts';

export const SESSION_TIMEOUT = defineSetting(
  'identity',
  'session.timeout',
  integer('How long a session lives from its log-in; use does not prolong it.', {
    unit: 'seconds',
    min: 60,
    max: 31_536_000,
    default: 7200,
  }),
);

export const SESSION_MOST = defineSetting(
  'identity',
  'session.maxConcurrent',
  integer('Sessions that one account may have at once.', { min: 1, max: 100_000, default: 500 }),
);
