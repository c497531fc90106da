/** DownloadImage: an image's bytes, from the best of its copies. */
import type { SyncOperation } from '../job/operation.ts';
import type { AnsweredFile } from '../kernel/message.ts';
import type { DownloadImage } from './messages.ts';
import { openCopies, type ReadingParts } from './read-copies.ts';
import { type ImageWithCopies, imageWithCopies, noCopyToRead } from './ready-copies.ts';

export function downloadImage(parts: ReadingParts): SyncOperation<typeof DownloadImage> {
  return async ({ parameters: { uuid } }) => fileOf(parts, await imageWithCopies(parts.database.sql, uuid));
}

/** What people and hypervisors call such files. */
const EXTENSIONS = { qcow2: 'qcow2', raw: 'img', iso: 'iso' } as const;

/** SYS.1006 where no copy can be read. */
export function fileOf(parts: ReadingParts, found: ImageWithCopies): AnsweredFile {
  if (found.copies.length === 0) throw noCopyToRead(found);
  const { name, actualSize, sha256Sum, format } = found.image;
  return {
    name: `${name}.${EXTENSIONS[format]}`,
    size: actualSize,
    sha256: sha256Sum,
    open: (start, signal) => openCopies(parts, found, start, signal),
  };
}
