/** Where an image can be read from, for those who keep copies of their own. */
import type { Sql } from '../database/database.ts';
import { IngotError } from '../kernel/errors.ts';
import type { RowOf } from '../kernel/resource.ts';
import type { Image } from './image.ts';

export interface ReadyCopy {
  storageUuid: string;
  storageName: string;
  /** Inside the storage. */
  path: string;
  size: number;
  /** Whatever was written to the copy's file later than this was not written by us. Milliseconds since 1970. */
  readySince: number;
}

export interface ImageWithCopies {
  image: RowOf<typeof Image> & { format: NonNullable<RowOf<typeof Image>['format']>; sha256Sum: string };
  /** Best first: those of the service's own machine, then by age. */
  copies: ReadyCopy[];
  /** Those that could be reached, but were found damaged. */
  damaged: ReadyCopy[];
  /** Why its other copies can't be read, one sentence each. */
  reasons: string[];
}

export interface ReadableImage extends ImageWithCopies {
  /** `format` is how its bytes are read; an ISO is read as it is. */
  image: ImageWithCopies['image'] & { format: 'qcow2' | 'raw' };
}

/**
 * The image with the copies that a primary storage of the zone may read: on backup storages that are Enabled,
 * Connected and attached to the zone. Whoever asks compares digests; so those known to be damaged come last, as
 * somebody may have mended them.
 * @throws IngotError SYS.1003 when there is no such image, SYS.1006 when it is not Ready
 */
export async function readableImage(on: Sql, imageUuid: string, zoneUuid: string): Promise<ReadableImage> {
  const found = await imageWithCopies(on, imageUuid, zoneUuid);
  const { image, copies, damaged } = found;
  const format = image.format === 'iso' ? 'raw' : image.format;
  return { ...found, image: { ...image, format }, copies: [...copies, ...damaged] };
}

/**
 * The image with the copies that can be read from anywhere, or from the zone.
 * @throws IngotError SYS.1003 when there is no such image, SYS.1006 when it is not Ready
 */
export async function imageWithCopies(
  on: Sql,
  imageUuid: string,
  zoneUuid?: string,
): Promise<ImageWithCopies> {
  const image = await on.selectFrom('image').selectAll().where('uuid', '=', imageUuid).executeTakeFirst();
  if (!image) throw new IngotError('SYS.1003', `there is no Image with the uuid ${imageUuid}`);
  const { status, format, sha256Sum } = image;
  if (status !== 'Ready' || format === null || sha256Sum === null) {
    throw new IngotError('SYS.1006', `image '${image.name}' (${imageUuid}) is ${status}, not Ready`, {
      retryable: true,
    });
  }
  const rows = await on
    .selectFrom('imageBackupStorageRef as ref')
    .innerJoin('backupStorage as storage', 'storage.uuid', 'ref.backupStorageUuid')
    .leftJoin('backupStorageZoneRef as zone', (join) =>
      join.onRef('zone.backupStorageUuid', '=', 'storage.uuid').on('zone.zoneUuid', '=', zoneUuid ?? ''),
    )
    .select([
      'ref.path',
      'ref.size',
      'ref.lastOpDate',
      'ref.status as refStatus',
      'ref.damage',
      'storage.uuid',
      'storage.name',
      'storage.type',
      'storage.state',
      'storage.status',
      'zone.zoneUuid',
    ])
    .where('ref.imageUuid', '=', imageUuid)
    .orderBy('ref.createDate')
    .orderBy('ref.backupStorageUuid')
    .execute();
  const copies: (ReadyCopy & { local: boolean })[] = [];
  const damaged: ReadyCopy[] = [];
  const reasons: string[] = [];
  for (const row of rows) {
    const storage = `backup storage '${row.name}' (${row.uuid})`;
    if (row.refStatus !== 'Ready') reasons.push(`the copy on ${storage} is ${row.refStatus}`);
    else if (row.state !== 'Enabled') reasons.push(`${storage} is ${row.state}`);
    else if (row.status !== 'Connected') reasons.push(`${storage} is ${row.status}`);
    else if (zoneUuid !== undefined && row.zoneUuid === null)
      reasons.push(`${storage} is not attached to the zone ${zoneUuid}`);
    else {
      const { uuid: storageUuid, name: storageName, path, size, lastOpDate: readySince } = row;
      const copy = { storageUuid, storageName, path, size, readySince };
      if (row.damage === null) copies.push({ ...copy, local: row.type === 'LocalBackupStorage' });
      else {
        reasons.push(`the copy on ${storage} is damaged: ${row.damage}`);
        // Whatever it holds has to be read.
        damaged.push({ ...copy, readySince: 0 });
      }
    }
  }
  copies.sort((one, other) => Number(other.local) - Number(one.local));
  return { image: { ...image, format, sha256Sum }, copies, damaged, reasons };
}

/** The error for an image none of whose copies can be read. */
export function noCopyToRead({ image, reasons }: ImageWithCopies): IngotError {
  return new IngotError(
    'SYS.1006',
    `no copy of image '${image.name}' (${image.uuid}) can be read: ${reasons.join('; ') || 'it has none'}`,
    { elaboration: "See 'QueryBackupStorage'; enable or reconnect one that has it.", retryable: true },
  );
}

/** The same, for whoever looked in a cache first. */
export function noReadableCopy({ image, reasons }: ReadableImage): IngotError {
  return new IngotError(
    'SYS.1006',
    `image '${image.name}' (${image.uuid}) is not in the cache, and none of its copies can be read: ${reasons.join('; ') || 'it has none'}`,
    { elaboration: "See 'QueryBackupStorage'; enable, reconnect or attach one that has it." },
  );
}
