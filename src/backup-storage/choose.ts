import { randomInt } from 'node:crypto';
import type { Sql, SqlTransaction } from '../database/database.ts';
import { IngotError } from '../kernel/errors.ts';
import { formatSize } from '../kernel/format.ts';

/** A number from 0 up to but without `limit`; tests give their own. */
export type Random = (limit: number) => number;

/** Those that are Enabled, Connected, attached to a zone (the one, where it is named), and have more room than `bytes`. */
export function candidateStorages(on: Sql, bytes: number, zoneUuid?: string): Promise<{ uuid: string }[]> {
  return on
    .selectFrom('backupStorage')
    .select(['uuid'])
    .where('state', '=', 'Enabled')
    .where('status', '=', 'Connected')
    .where('availableCapacity', '>', bytes)
    .where('uuid', 'in', (inner) => {
      const attached = inner.selectFrom('backupStorageZoneRef').select('backupStorageUuid');
      return zoneUuid === undefined ? attached : attached.where('zoneUuid', '=', zoneUuid);
    })
    .orderBy('uuid')
    .execute();
}

/**
 * A backup storage for an image whose caller named none: at random among those that are Enabled, Connected,
 * attached to a zone, and have room (image chapter, Backup Storage UUIDs; zstack-api.md 5.2).
 */
export async function chooseStorage(
  tx: SqlTransaction,
  bytes: number,
  random?: Random,
  /** Only those attached to this zone. */
  zoneUuid?: string,
): Promise<string> {
  const candidates = await candidateStorages(tx, bytes, zoneUuid);
  const chosen = pickStorage(candidates, random);
  if (chosen !== undefined) return chosen;
  throw new IngotError(
    'BS.1003',
    `no backup storage can take the image: none is Enabled, Connected, attached to ${zoneUuid === undefined ? 'a zone' : `the zone ${zoneUuid}`} and has more than ${formatSize(bytes)} left`,
    { elaboration: "See 'QueryBackupStorage'; add one with 'AddLocalBackupStorage'." },
  );
}

/** One of the candidates at random; undefined where there is none. */
export function pickStorage(
  candidates: readonly { uuid: string }[],
  random: Random = (limit) => randomInt(limit),
): string | undefined {
  return candidates.length === 0 ? undefined : candidates[random(candidates.length)]?.uuid;
}
