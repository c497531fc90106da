import { defineSetting } from '../global-config/setting.ts';
import { integer } from '../kernel/field.ts';

export const STOP_PATIENCE = defineSetting(
  'vm',
  'stop.patience',
  integer('How long a guest that was asked to power off may take before it is ended.', {
    min: 1,
    max: 3600,
    default: 60,
    unit: 'seconds',
  }),
);

export const TRACER_INTERVAL = defineSetting(
  'vm',
  'tracer.interval',
  integer('How often the states of virtual machines are compared with what their hosts say.', {
    min: 1,
    max: 3600,
    default: 60,
    unit: 'seconds',
  }),
);
