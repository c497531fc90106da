import { defineSetting } from '../global-config/setting.ts';
import { boolean, bytes, choice, integer } from '../kernel/field.ts';

export const DELETION_POLICY = defineSetting(
  'image',
  'deletionPolicy',
  choice(
    'What DeleteImage does without deleteMode=Enforcing, which always deletes at once.',
    {
      Direct: 'the bytes and the image go at once',
      Delay:
        'the image is marked Deleted, and expunged after image/expungePeriod; until then RecoverImage brings it back',
      Never: 'the image is marked Deleted, and stays so until ExpungeImage or RecoverImage',
    },
    { default: 'Direct' },
  ),
);

export const EXPUNGE_PERIOD = defineSetting(
  'image',
  'expungePeriod',
  integer('How long images are marked Deleted before they are expunged, with the policy Delay.', {
    unit: 'seconds',
    default: 259_200,
  }),
);

export const EXPUNGE_INTERVAL = defineSetting(
  'image',
  'expungeInterval',
  integer('How often it is looked for images to expunge.', {
    unit: 'seconds',
    min: 1,
    max: 2_000_000,
    default: 3600,
  }),
);

export const UPLOAD_MAX_IDLE = defineSetting(
  'image',
  'upload.maxIdle',
  integer('How long an upload may be left alone before it is given up and its image is gone.', {
    unit: 'seconds',
    min: 1,
    max: 2_592_000,
    default: 600,
  }),
);

export const SCRUB_INTERVAL = defineSetting(
  'backupStorage',
  'scrub.interval',
  integer('How long after a copy was last read whole it is read again and compared; 0 for never.', {
    unit: 'seconds',
    max: 315_360_000,
    default: 2_592_000,
  }),
);

export const SCRUB_RATE = defineSetting(
  'backupStorage',
  'scrub.rate',
  bytes('How many bytes a second a scrub reads from one storage at most; 0 for as many as can be.', {
    default: 104_857_600,
  }),
);

export const SCRUB_REPAIR = defineSetting(
  'backupStorage',
  'scrub.repair',
  boolean('Whether a scrub that begins by itself writes damaged copies again from good ones.', {
    default: false,
  }),
);

export const MAX_VIRTUAL_SIZE = defineSetting(
  'image',
  'maxVirtualSize',
  bytes(
    'The largest disk that an image may be; a larger one is refused, however small its file is. In bytes.',
    { min: 512, default: 64 * 2 ** 40 },
  ),
);
