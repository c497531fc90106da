import { defineSetting } from '../global-config/setting.ts';
import { integer } from '../kernel/field.ts';

export const AUDIT_RETENTION = defineSetting(
  'audit',
  'retention',
  integer('How long the audit log keeps a call, in days; 0 for ever.', { max: 36_500, default: 365 }),
);
