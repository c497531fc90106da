/** DeleteDataVolume, DeleteRootVolume: the rows at once, the files as soon as their storage can be reached. */
import type { SqlTransaction } from '../database/database.ts';
import { requireFree } from '../job/holds.ts';
import type { ChangeOperation } from '../job/operation.ts';
import { IngotError } from '../kernel/errors.ts';
import { type Trash, throwAway } from '../primary-storage/trash.ts';
import { dropSnapshots } from '../snapshot/drop.ts';
import type { DeleteDataVolume, DeleteRootVolume } from './messages.ts';
import { forgetVolume, requireDetached } from './volumes.ts';

export function deleteVolume(
  parts: { trash: Trash },
  type: 'Root' | 'Data',
): ChangeOperation<typeof DeleteDataVolume | typeof DeleteRootVolume> {
  return async ({ parameters: { uuid } }, tx, afterCommit) => {
    await requireFree(tx, { table: 'volume', uuid, mode: 'change' });
    const volume = await tx
      .selectFrom('volume')
      .selectAll()
      .where('uuid', '=', uuid)
      .executeTakeFirstOrThrow();
    if (volume.type !== type) {
      throw new IngotError(
        'SYS.1006',
        `volume '${volume.name}' (${uuid}) is a ${volume.type === 'Root' ? 'root' : 'data'} volume; use Delete${volume.type}Volume`,
      );
    }
    if (volume.status === 'Creating') {
      throw new IngotError(
        'SYS.1006',
        `volume '${volume.name}' (${uuid}) is just being made; wait, or cancel that`,
        {
          retryable: true,
        },
      );
    }
    requireDetached(volume);
    await dropVolume(tx, uuid);
    afterCommit(() => void parts.trash.empty());
    return {};
  };
}

/** Lets go of the volume with its snapshots, in the caller's transaction. */
export async function dropVolume(tx: SqlTransaction, uuid: string): Promise<void> {
  await dropSnapshots(tx, uuid);
  const volume = await tx
    .selectFrom('volume')
    .select(['path', 'primaryStorageUuid'])
    .where('uuid', '=', uuid)
    .executeTakeFirst();
  if (volume?.path && volume.primaryStorageUuid) {
    await throwAway(tx, 'primary', volume.primaryStorageUuid, [volume.path]);
  }
  await forgetVolume(tx, uuid);
}
