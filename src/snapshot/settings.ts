import { defineSetting } from '../global-config/setting.ts';
import { integer } from '../kernel/field.ts';

export const LONGEST_CHAIN = defineSetting(
  'volumeSnapshot',
  'incrementalSnapshot.maxNum',
  integer('Snapshots in a chain at most; the next one is whole, and begins a new tree.', {
    min: 2,
    max: 200,
    default: 16,
  }),
);
