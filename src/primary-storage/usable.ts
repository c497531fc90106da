import type { SqlTransaction } from '../database/database.ts';
import { IngotError } from '../kernel/errors.ts';
import { formatSize } from '../kernel/format.ts';
import type { PrimaryStorageRow } from './primary-storage.ts';

/** The storage, if it takes new volumes. @throws IngotError SYS.1003 where there is none, SYS.1006 saying why not */
export async function requireUsable(tx: SqlTransaction, uuid: string): Promise<PrimaryStorageRow> {
  const storage = await requireStorage(tx, uuid);
  if (storage.state !== 'Enabled') {
    throw new IngotError(
      'SYS.1006',
      `primary storage '${storage.name}' (${uuid}) is ${storage.state}; it takes no new volumes`,
    );
  }
  return requireConnected(storage);
}

/** The storage, if what is on it can be worked with. */
export async function requireReachable(tx: SqlTransaction, uuid: string): Promise<PrimaryStorageRow> {
  const storage = await requireStorage(tx, uuid);
  if (storage.state === 'Maintenance' || storage.state === 'Deleting') {
    throw new IngotError(
      'SYS.1006',
      `primary storage '${storage.name}' (${uuid}) is in the state ${storage.state}`,
    );
  }
  return requireConnected(storage);
}

async function requireStorage(tx: SqlTransaction, uuid: string): Promise<PrimaryStorageRow> {
  const storage = await tx
    .selectFrom('primaryStorage')
    .selectAll()
    .where('uuid', '=', uuid)
    .executeTakeFirst();
  if (!storage) throw new IngotError('SYS.1003', `there is no PrimaryStorage with the uuid ${uuid}`);
  return storage;
}

function requireConnected(storage: PrimaryStorageRow): PrimaryStorageRow {
  if (storage.status === 'Connected') return storage;
  throw new IngotError(
    'SYS.1006',
    `primary storage '${storage.name}' (${storage.uuid}) is ${storage.status}`,
    {
      retryable: true,
    },
  );
}

/**
 * A storage for a volume of `bytes` whose caller named none: Enabled, Connected, with room; of those, one that has
 * the image in its cache before others, then the one with the most room.
 */
export async function chooseUsable(
  tx: SqlTransaction,
  bytes: number,
  imageUuid?: string,
  zones?: readonly string[],
): Promise<PrimaryStorageRow> {
  let query = tx
    .selectFrom('primaryStorage')
    .selectAll()
    .where('state', '=', 'Enabled')
    .where('status', '=', 'Connected')
    .where('availableCapacity', '>=', bytes);
  const cached = imageUuid
    ? await tx
        .selectFrom('imageCache')
        .select('primaryStorageUuid')
        .where('imageUuid', '=', imageUuid)
        .where('state', '=', 'ready')
        .execute()
    : [];
  const have = cached.map(({ primaryStorageUuid }) => primaryStorageUuid);
  if (zones) {
    query = query.where((where) =>
      where.or([where('zoneUuid', 'in', [...zones, '']), where('uuid', 'in', [...have, ''])]),
    );
  }
  const candidates = await query.orderBy('availableCapacity', 'desc').orderBy('uuid').execute();
  const chosen = candidates.find(({ uuid }) => have.includes(uuid)) ?? candidates[0];
  if (chosen) return chosen;
  throw new IngotError(
    'PS.1000',
    `no primary storage can take the volume: none is Enabled, Connected, has ${formatSize(bytes)} left${zones ? ' and is in a zone whose backup storages have the image' : ''}`,
    { elaboration: "See 'QueryPrimaryStorage'; add one with 'AddLocalPrimaryStorage'." },
  );
}
