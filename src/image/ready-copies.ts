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

export interface ReadableImage {
  /** `format` is how its bytes are read; an ISO is read as it is. */
  image: Omit<RowOf<typeof Image>, 'format'> & { format: 'qcow2' | 'raw'; sha256Sum: string };
  /** Best first: those of the service's own machine, then by age. */
  copies: ReadyCopy[];
  /** Why its other copies can't be read, one sentence each. */
  reasons: string[];
}

/**
 * The image with the copies that a primary storage of the zone may read: on backup storages that are Enabled,
 * Connected and attached to the zone.
 * @throws IngotError SYS.1003 when there is no such image, SYS.1006 when it is not Ready
 */
export async function readableImage(on: Sql, imageUuid: string, zoneUuid: string): Promise<ReadableImage> {
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
      join.onRef('zone.backupStorageUuid', '=', 'storage.uuid').on('zone.zoneUuid', '=', zoneUuid),
    )
    .select([
      'ref.path',
      'ref.size',
      'ref.lastOpDate',
      'ref.status as refStatus',
      'storage.uuid',
      'storage.name',
      'storage.type',
      'storage.state',
      'storage.status',
      'zone.zoneUuid',
    ])
    .where('ref.imageUuid', '=', imageUuid)
    .orderBy('ref.createDate')
    .execute();
  const copies: (ReadyCopy & { local: boolean })[] = [];
  const reasons: string[] = [];
  for (const row of rows) {
    const storage = `backup storage '${row.name}' (${row.uuid})`;
    if (row.refStatus !== 'Ready') reasons.push(`the copy on ${storage} is ${row.refStatus}`);
    else if (row.state !== 'Enabled') reasons.push(`${storage} is ${row.state}`);
    else if (row.status !== 'Connected') reasons.push(`${storage} is ${row.status}`);
    else if (row.zoneUuid === null) reasons.push(`${storage} is not attached to the zone ${zoneUuid}`);
    else {
      copies.push({
        storageUuid: row.uuid,
        storageName: row.name,
        path: row.path,
        size: row.size,
        readySince: row.lastOpDate,
        local: row.type === 'LocalBackupStorage',
      });
    }
  }
  copies.sort((one, other) => Number(other.local) - Number(one.local));
  return { image: { ...image, format: format === 'iso' ? 'raw' : format, sha256Sum }, copies, reasons };
}

/** The error for an image none of whose copies can be read. */
export function noReadableCopy({ image, reasons }: ReadableImage): IngotError {
  return new IngotError(
    'SYS.1006',
    `image '${image.name}' (${image.uuid}) is not in the cache, and none of its copies can be read: ${reasons.join('; ') || 'it has none'}`,
    { elaboration: "See 'QueryBackupStorage'; enable, reconnect or attach one that has it." },
  );
}
