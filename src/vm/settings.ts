import { defineSetting } from '../global-config/setting.ts';
import { choice, integer } from '../kernel/field.ts';

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

export const GUEST_NETWORK = defineSetting(
  'vm',
  'guest.network',
  choice(
    'What guests without a bridge reach, from their next start on.',
    {
      isolated: 'nothing; they get an address, and that is all',
      user: "what the service's machine reaches, in its name: its own loopback and the metadata of a cloud as well",
    },
    { default: 'isolated' },
  ),
);
