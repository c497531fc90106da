import { ADMIN_UUID } from '../account/account.ts';
import type { Database } from '../database/database.ts';
import { atIntervals } from '../global-config/at-intervals.ts';
import type { Settings } from '../global-config/settings.ts';
import type { JobRunner } from '../job/runner.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import { newUuid } from '../kernel/uuid.ts';
import { ExpungeImage } from './messages.ts';
import { DELETION_POLICY, EXPUNGE_INTERVAL, EXPUNGE_PERIOD } from './settings.ts';

interface Parts {
  database: Database;
  settings: Settings;
  runner: () => JobRunner;
  clock: Clock;
  log: Log;
}

/** Images at once; those after them come next time. */
const BATCH = 100;
/** Expunges what has been marked Deleted for long enough, until the signal ends it. */
export function runExpunger(parts: Parts, signal: AbortSignal): Promise<void> {
  const work = () => expungeOld(parts);
  const failed = 'the expunger failed; it tries again';
  return atIntervals(parts, { setting: EXPUNGE_INTERVAL, work, failed }, signal);
}

/** A job of ExpungeImage for every image with copies marked Deleted long ago. Returns how many. */
export async function expungeOld(parts: Parts): Promise<number> {
  if ((await parts.settings.get(DELETION_POLICY)) === 'Never') return 0;
  const period = await parts.settings.get(EXPUNGE_PERIOD);
  const old = await parts.database.sql
    .selectFrom('imageBackupStorageRef')
    .select(['imageUuid', 'backupStorageUuid'])
    .where('status', '=', 'Deleted')
    .where('lastOpDate', '<=', parts.clock.now() - period * 1000)
    // One that is away would fail each time, and keep others from their turn.
    .where('backupStorageUuid', 'in', (inner) =>
      inner.selectFrom('backupStorage').select('uuid').where('status', '=', 'Connected'),
    )
    .where('imageUuid', 'not in', (inner) =>
      inner
        .selectFrom('longJob')
        .select('targetResourceUuid')
        .where('state', 'in', ['Waiting', 'Running', 'Canceling'])
        .where('targetResourceUuid', 'is not', null)
        .$castTo<{ targetResourceUuid: string }>(),
    )
    .limit(BATCH)
    .execute();
  const byImage = Map.groupBy(old, (copy) => copy.imageUuid);
  for (const [imageUuid, copies] of byImage) {
    const backupStorageUuids = copies.map((copy) => copy.backupStorageUuid);
    await parts
      .runner()
      .submit({
        id: newUuid(),
        message: ExpungeImage,
        parameters: { imageUuid, backupStorageUuids },
        caller: { accountUuid: ADMIN_UUID, admin: true },
      })
      .catch((error) => parts.log.warn({ image: imageUuid, err: error }, 'an image could not be expunged'));
  }
  return byImage.size;
}
