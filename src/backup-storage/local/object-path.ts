import path from 'node:path';
import { IngotError } from '../../kernel/errors.ts';

/** Ending of a file that is being written; no object's own name may have it. */
export const PART_SUFFIX = '.part';
/** Our own files in the root begin so. */
export const OWN_PREFIX = '.ingot-';

/**
 * The file of an object under the root. Paths are made of plain names only, so that none can lead out of the
 * root: no empty name, no `.` or `..`, no NUL, nothing absolute.
 */
export function fileOf(root: string, objectPath: string): string {
  const names = objectPath.split('/');
  const sound = names.every(
    (name) =>
      name !== '' && name !== '.' && name !== '..' && !name.includes('\0') && Buffer.byteLength(name) <= 250,
  );
  if (!sound || objectPath.endsWith(PART_SUFFIX) || objectPath.startsWith(OWN_PREFIX)) {
    throw new IngotError('SYS.1007', `${JSON.stringify(objectPath)} can not be the path of an object.`);
  }
  return path.join(root, ...names);
}

export function partOf(file: string): string {
  return file + PART_SUFFIX;
}
