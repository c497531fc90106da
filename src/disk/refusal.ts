import { IngotError } from '../kernel/errors.ts';
import { formatSize } from '../kernel/format.ts';

/**
 * The error for an image that is not taken.
 * @param found one word for what the bytes are, for programs (`opaque.found`)
 * @param details the sentence for people: what it is, and what to do
 */
export function refusal(found: string, details: string): IngotError {
  return new IngotError('IMG.1002', details, { opaque: { found } });
}

/** The error for a file that ends before what it describes does. */
export function cutShort(found: string, what: string, end: number, fileSize: number): IngotError {
  return refusal(
    found,
    `The image is cut short: ${what} at least to byte ${end} (${formatSize(end)}), but the file ends at byte ${fileSize} (${formatSize(fileSize)}). Fetch the file again where it was made`,
  );
}

/** The error for a qcow2 that can not be true. */
export function damaged(what: string): IngotError {
  return refusal(
    'qcow2',
    `The image is a damaged qcow2: ${what}. See what qemu-img check says about it where it was made`,
  );
}

/**
 * Text out of an untrusted file, fit to stand in a sentence: control and direction characters gone, white
 * space single, at most `limit` characters.
 */
export function quotable(text: string, limit = 80): string {
  const clean = text
    .replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}\s\uFFFD]+/gu, ' ')
    .replaceAll('"', "'")
    .trim();
  const characters = [...clean];
  return characters.length <= limit ? clean : `${characters.slice(0, limit - 1).join('')}…`;
}
