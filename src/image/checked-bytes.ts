/** An image's bytes from the first to the last, the last of which are held back where the whole is not the image. */
import { createHash } from 'node:crypto';
import { IngotError } from '../kernel/errors.ts';
import type { AnsweredBytes } from '../kernel/message.ts';
import { noteDamage } from './damage.ts';
import { type CopiesBytes, damagedCopy, type ReadingParts } from './read-copies.ts';
import type { ImageWithCopies } from './ready-copies.ts';

/** Whoever reads to the end has the image or, in place of the last piece, SYS.1016. `bytes` begin at the first. */
export function checkedBytes(
  parts: ReadingParts,
  { uuid: imageUuid, actualSize, sha256Sum }: ImageWithCopies['image'],
  bytes: CopiesBytes,
): AnsweredBytes {
  const hash = createHash('sha256');
  let position = 0;
  return {
    async read(target) {
      const length = await bytes.read(target);
      hash.update(target.subarray(0, length));
      position += length;
      if (length === 0 || position < actualSize) return length;
      const found = hash.digest('hex');
      if (found === sha256Sum) return length;
      const damage = `its SHA-256 is ${found}, not ${sha256Sum}`;
      const [copy, ...others] = bytes.sources;
      // Of several, a scrub will tell which it is.
      if (!copy || others.length > 0) {
        throw new IngotError('SYS.1016', `one of the ${bytes.sources.length} copies is damaged: ${damage}`);
      }
      await noteDamage(parts, { imageUuid, storageUuid: copy.storageUuid }, damage);
      throw damagedCopy(copy, damage);
    },
    close: () => bytes.close(),
  };
}
