import type { Database } from '../../src/database/database.ts';
import type { Image, ImageBackupStorageRef } from '../../src/image/image.ts';
import type { RowOf } from '../../src/kernel/resource.ts';
import { newUuid } from '../../src/kernel/uuid.ts';

type ImageRow = RowOf<typeof Image>;

const NOON = Date.UTC(2026, 0, 31, 12, 0, 0);

/** A row as AddImage leaves it, with other values where they are given. */
export function imageRow(values: Partial<ImageRow>): ImageRow {
  return {
    uuid: newUuid(),
    name: 'image',
    description: null,
    state: 'Enabled',
    status: 'Ready',
    size: 0,
    actualSize: 0,
    md5Sum: null,
    sha256Sum: null,
    url: 'http://example/image',
    mediaType: 'RootVolumeTemplate',
    guestOsType: null,
    platform: 'Linux',
    architecture: 'x86_64',
    type: 'zstack',
    format: 'qcow2',
    system: false,
    virtio: true,
    createDate: NOON,
    lastOpDate: NOON,
    ...values,
  };
}

export async function insertImages(database: Database, rows: Partial<ImageRow>[]): Promise<ImageRow[]> {
  const images = rows.map(imageRow);
  for (const row of images) await database.sql.insertInto('image').values(row).execute();
  return images;
}

export async function insertZone(database: Database, name: string): Promise<string> {
  const uuid = newUuid();
  await database.sql
    .insertInto('zone')
    .values({
      uuid,
      name,
      description: null,
      state: 'Enabled',
      type: 'zstack',
      isDefault: false,
      createDate: NOON,
      lastOpDate: NOON,
    })
    .execute();
  return uuid;
}

export async function insertStorage(
  database: Database,
  name: string,
  zones: readonly string[] = [],
): Promise<string> {
  const uuid = newUuid();
  await database.sql
    .insertInto('backupStorage')
    .values({
      uuid,
      name,
      description: null,
      url: `/srv/${name}`,
      totalCapacity: 10 * 2 ** 30,
      availableCapacity: 10 * 2 ** 30,
      type: 'LocalBackupStorage',
      state: 'Enabled',
      status: 'Connected',
      createDate: NOON,
      lastOpDate: NOON,
    })
    .execute();
  for (const [i, zoneUuid] of zones.entries()) {
    await database.sql
      .insertInto('backupStorageZoneRef')
      .values({ backupStorageUuid: uuid, zoneUuid, createDate: NOON + i, lastOpDate: NOON })
      .execute();
  }
  return uuid;
}

export async function insertCopy(
  database: Database,
  imageUuid: string,
  backupStorageUuid: string,
  values: Partial<RowOf<typeof ImageBackupStorageRef>> = {},
): Promise<void> {
  await database.sql
    .insertInto('imageBackupStorageRef')
    .values({
      imageUuid,
      backupStorageUuid,
      installPath: `/srv/store/${imageUuid}`,
      status: 'Ready',
      path: imageUuid,
      size: 0,
      createDate: NOON,
      lastOpDate: NOON,
      ...values,
    })
    .execute();
}

export async function insertVolume(database: Database, name: string, rootImageUuid: string): Promise<void> {
  await database.sql
    .insertInto('volume')
    .values({
      uuid: newUuid(),
      name,
      rootImageUuid,
      type: 'Data',
      size: 0,
      actualSize: 0,
      state: 'Enabled',
      status: 'Ready',
      isShareable: false,
      createDate: NOON,
      lastOpDate: NOON,
    })
    .execute();
}
