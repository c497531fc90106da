import { defineSetting } from '../global-config/setting.ts';
import { bytes, choice, integer } from '../kernel/field.ts';

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

export const MAX_VIRTUAL_SIZE = defineSetting(
  'image',
  'maxVirtualSize',
  bytes(
    'The largest disk that an image may be; a larger one is refused, however small its file is. In bytes.',
    { min: 512, default: 64 * 2 ** 40 },
  ),
);
