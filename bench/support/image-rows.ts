/** Many images in the real tables, quickly: rows as AddImage would leave them, without bytes behind them. */
import { createHash } from 'node:crypto';
import type { Database } from '../../src/database/database.ts';
import { Image, ImageBackupStorageRef } from '../../src/image/image.ts';
import type { RowOf } from '../../src/kernel/resource.ts';

const SYSTEMS = ['CentOS7', 'Debian 12', 'Rocky Linux 9', 'Ubuntu 24.04', 'Windows Server 2022'];
const FIRST_DATE = Date.parse('2026-01-01T00:00:00Z');
/** SQLite binds 32,766 values at most. */
const ROWS_AT_ONCE = 1000;

export const imageName = (i: number) => `image-${String(i).padStart(7, '0')}`;

/** The same uuid for the same number, in no order. */
export function imageUuid(i: number): string {
  const digest = createHash('md5').update(`image ${i}`).digest('hex');
  return `${digest.slice(0, 12)}4${digest.slice(13, 16)}a${digest.slice(17)}`;
}

/** Adds the images from number `from` up to `to`, each with a copy on each of the storages. */
export async function insertImages(
  database: Database,
  storages: readonly string[],
  from: number,
  to: number,
): Promise<void> {
  await database.transaction(async (tx) => {
    for (let start = from; start < to; start += ROWS_AT_ONCE) {
      const numbers = Array.from({ length: Math.min(ROWS_AT_ONCE, to - start) }, (_, i) => start + i);
      await tx
        .insertInto(Image.table as 'image')
        .values(numbers.map(imageRow))
        .execute();
      for (const storage of storages) {
        const rows = numbers.map((i) => copyRow(i, storage));
        await tx
          .insertInto(ImageBackupStorageRef.table as 'imageBackupStorageRef')
          .values(rows)
          .execute();
      }
    }
  });
}

function imageRow(i: number): RowOf<typeof Image> {
  // A few a second, as a migration would bring them.
  const date = FIRST_DATE + i * 300;
  const system = SYSTEMS[i % SYSTEMS.length] ?? '';
  return {
    uuid: imageUuid(i),
    name: imageName(i),
    description: i % 2 === 0 ? `Golden image of ${system}, build ${i}` : null,
    state: i % 50 === 0 ? 'Disabled' : 'Enabled',
    status: 'Ready',
    size: (10 + (i % 90)) * 2 ** 30,
    actualSize: 600_000_000 + i * 4096,
    md5Sum: createHash('md5').update(`bytes ${i}`).digest('hex'),
    sha256Sum: createHash('sha256').update(`bytes ${i}`).digest('hex'),
    url: `https://images.example.com/${system.replaceAll(' ', '-').toLowerCase()}/${i}.qcow2`,
    mediaType: i % 20 === 0 ? 'ISO' : 'RootVolumeTemplate',
    guestOsType: i % 3 === 0 ? null : system,
    platform: system.startsWith('Windows') ? 'Windows' : 'Linux',
    architecture: 'x86_64',
    type: 'zstack',
    format: i % 20 === 0 ? 'iso' : 'qcow2',
    system: false,
    virtio: true,
    createDate: date,
    lastOpDate: date,
  };
}

function copyRow(i: number, backupStorageUuid: string): RowOf<typeof ImageBackupStorageRef> {
  const path = `templates/${imageUuid(i)}/${imageUuid(i)}.template`;
  const date = FIRST_DATE + i * 300;
  return {
    imageUuid: imageUuid(i),
    backupStorageUuid,
    installPath: `/srv/storage-${backupStorageUuid.slice(0, 4)}/${path}`,
    status: 'Ready',
    exportUrl: null,
    exportMd5Sum: null,
    exportKey: null,
    damage: null,
    checkDate: null,
    createDate: date,
    lastOpDate: date,
    path,
    size: 600_000_000 + i * 4096,
  };
}
