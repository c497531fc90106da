import { defineSetting } from '../global-config/setting.ts';
import { choice, integer } from '../kernel/field.ts';

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
