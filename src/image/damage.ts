/** What is found wrong with copies: kept on their rows, so that nobody reads them again until they are renewed. */
import { Counter, Gauge } from 'prom-client';
import type { Database, Sql } from '../database/database.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import { metrics } from '../kernel/metrics.ts';

const found = new Counter({
  name: 'ingot_copy_damages_found_total',
  help: 'Copies of images found damaged, by whatever read them.',
  registers: [metrics],
});

interface Parts {
  database: Database;
  clock: Clock;
  log: Log;
}

export interface CopyPlace {
  imageUuid: string;
  storageUuid: string;
}

/**
 * Marks a Ready copy as damaged. Where it is the image's last good one, it says so louder: nothing can be read of the
 * image until the copy is renewed from elsewhere.
 */
export async function noteDamage(parts: Parts, { imageUuid, storageUuid }: CopyPlace, damage: string) {
  const { numUpdatedRows } = await parts.database.sql
    .updateTable('imageBackupStorageRef')
    .set({ damage: damage.slice(0, 4096), lastOpDate: parts.clock.now() })
    .where('imageUuid', '=', imageUuid)
    .where('backupStorageUuid', '=', storageUuid)
    .where('status', '=', 'Ready')
    .where('damage', 'is', null)
    .executeTakeFirst();
  // It went meanwhile, or is known already.
  if (numUpdatedRows === 0n) return;
  found.inc();
  const good = await countGood(parts.database.sql, imageUuid);
  parts.log.error(
    { image: imageUuid, storage: storageUuid, damage, goodCopies: good },
    'a copy of an image is damaged',
  );
}

/** Keeps that the copy has just been read whole; where it was found right, what was noted is taken back. */
export async function noteChecked(
  parts: Pick<Parts, 'database' | 'clock'>,
  { imageUuid, storageUuid }: CopyPlace,
  damage?: string,
): Promise<void> {
  await parts.database.sql
    .updateTable('imageBackupStorageRef')
    .set({ checkDate: parts.clock.now(), ...(damage === undefined && { damage: null }) })
    .where('imageUuid', '=', imageUuid)
    .where('backupStorageUuid', '=', storageUuid)
    .where('status', '=', 'Ready')
    .execute();
}

async function countGood(on: Sql, imageUuid: string): Promise<number> {
  const { count } = await on
    .selectFrom('imageBackupStorageRef')
    .select((select) => select.fn.countAll<number>().as('count'))
    .where('imageUuid', '=', imageUuid)
    .where('status', '=', 'Ready')
    .where('damage', 'is', null)
    .executeTakeFirstOrThrow();
  return Number(count);
}

/** From now on, the metrics tell how many copies are damaged. */
export function reportDamages(database: Database): void {
  metrics.removeSingleMetric('ingot_damaged_copies');
  new Gauge({
    name: 'ingot_damaged_copies',
    help: 'Copies of images that are known to be damaged now.',
    registers: [metrics],
    async collect() {
      const { count } = await database.sql
        .selectFrom('imageBackupStorageRef')
        .select((select) => select.fn.countAll<number>().as('count'))
        .where('damage', 'is not', null)
        .executeTakeFirstOrThrow();
      this.set(Number(count));
    },
  });
}
