/** May a volume be made from the image, and on which primary storage? (zstack-api.md 5.7, 5.8) */
import type { SqlTransaction } from '../database/database.ts';
import { noReadableCopy, readableImage } from '../image/ready-copies.ts';
import { IngotError } from '../kernel/errors.ts';
import type { PrimaryStorageRow } from '../primary-storage/primary-storage.ts';
import { chooseUsable, requireUsable } from '../primary-storage/usable.ts';

interface SourceImage {
  uuid: string;
  name: string;
  size: number;
}

/** @throws IngotError SYS.1003 where there is no such image, SYS.1006 saying why no such volume is made from it */
export async function requireSource(
  tx: SqlTransaction,
  uuid: string,
  mediaType: 'RootVolumeTemplate' | 'DataVolumeTemplate',
): Promise<SourceImage> {
  const image = await tx
    .selectFrom('image')
    .select(['uuid', 'name', 'size', 'state', 'status', 'mediaType', 'system'])
    .where('uuid', '=', uuid)
    .executeTakeFirst();
  if (!image) throw new IngotError('SYS.1003', `there is no Image with the uuid ${uuid}`);
  const refuse = (why: string, elaboration?: string) =>
    new IngotError('SYS.1006', `image '${image.name}' (${uuid}) ${why}`, elaboration ? { elaboration } : {});
  if (image.state !== 'Enabled') throw refuse(`is ${image.state}; nothing can be made from it`);
  if (image.status !== 'Ready') throw refuse(`is ${image.status}, not Ready`);
  if (image.mediaType !== mediaType) {
    const kind = mediaType === 'RootVolumeTemplate' ? 'root' : 'data';
    const way =
      image.mediaType === 'RootVolumeTemplate'
        ? 'Make a root volume of it, and a DataVolumeTemplate of that with CreateDataVolumeTemplateFromVolume.'
        : undefined;
    throw refuse(`is of the media type ${image.mediaType}; a ${kind} volume needs a ${mediaType}`, way);
  }
  if (image.system && mediaType === 'RootVolumeTemplate') {
    throw refuse('is a system image; only appliance virtual machines are made from it');
  }
  return image;
}

/**
 * The named primary storage, or one that fits: it has the image in its cache, or can get it from a backup storage of
 * its zone. @throws IngotError saying why not
 */
export async function storageFor(
  tx: SqlTransaction,
  image: SourceImage,
  bytes: number,
  named: string | undefined,
): Promise<PrimaryStorageRow> {
  if (named === undefined) {
    const zones = await zonesWith(tx, image.uuid);
    return chooseUsable(tx, bytes, image.uuid, zones);
  }
  const storage = await requireUsable(tx, named);
  const cached = await tx
    .selectFrom('imageCache')
    .select('id')
    .where('primaryStorageUuid', '=', named)
    .where('imageUuid', '=', image.uuid)
    .where('state', '=', 'ready')
    .executeTakeFirst();
  if (cached) return storage;
  const readable = await readableImage(tx, image.uuid, storage.zoneUuid);
  if (readable.copies.length === 0) throw noReadableCopy(readable);
  return storage;
}

/** The zones whose primary storages could fetch the image. */
async function zonesWith(tx: SqlTransaction, imageUuid: string): Promise<string[]> {
  const rows = await tx.selectFrom('zone').select('uuid').execute();
  const zones: string[] = [];
  let last: Parameters<typeof noReadableCopy>[0] | undefined;
  for (const { uuid } of rows) {
    last = await readableImage(tx, imageUuid, uuid);
    if (last.copies.length > 0) zones.push(uuid);
  }
  const cached = await tx
    .selectFrom('imageCache')
    .select('id')
    .where('imageUuid', '=', imageUuid)
    .where('state', '=', 'ready')
    .executeTakeFirst();
  if (zones.length === 0 && !cached && last) throw noReadableCopy(last);
  return zones;
}
