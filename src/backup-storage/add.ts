/** Adding a backup storage of any kind: its row, its mark in the place, its first answer. */
import type { Database, SqlTransaction } from '../database/database.ts';
import type { JobOperation } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Message } from '../kernel/message.ts';
import { bornAt } from '../kernel/properties.ts';
import type { Resource } from '../kernel/resource.ts';
import { newUuid } from '../kernel/uuid.ts';
import { requireFreeUuid, requireInventory } from '../query/find.ts';
import { BackupStorage } from './backup-storage.ts';
import type { BackupStorages } from './backup-storages.ts';
import type { Place, StorageRow } from './kind.ts';
import { KINDS } from './kinds.ts';
import type { AddLocalBackupStorage } from './messages.ts';

/** What all calls that add one have in common is what the simplest of them has, apart from how they name the place. */
type Local = typeof AddLocalBackupStorage;
type AddMessage = Message<Omit<Local['parameters'], 'url'>, Local['answer'], Local['kind']>;

interface Checkpoint {
  uuid: string;
  /** The place was this very storage before, as of a database that was lost: it stays one, whatever becomes of the call. */
  takenUp?: boolean;
}

export interface AddParts {
  database: Database;
  storages: BackupStorages;
  clock: Clock;
  resources: ReadonlyMap<string, Resource>;
  /** Directories of the service's own, which no storage may contain. */
  reserved: readonly string[];
}

export function addBackupStorage(
  parts: AddParts,
  type: StorageRow['type'],
): JobOperation<AddMessage, Checkpoint> {
  return {
    async admit({ message, parameters }, tx) {
      if (parameters.resourceUuid)
        await requireFreeUuid(tx, parts.resources.values(), parameters.resourceUuid);
      const others = await tx.selectFrom('backupStorage').selectAll().execute();
      // A kind whose calls name no url makes one of what they name.
      const wanted: Place = { url: '', ...parameters };
      const place = await KINDS[type].place(wanted, {
        others,
        reserved: parts.reserved,
        egress: parts.storages.egress,
        uuid: parameters.resourceUuid,
      });
      const uuid = parameters.resourceUuid ?? newUuid();
      await tx
        .insertInto('backupStorage')
        .values({
          ...place,
          uuid,
          name: parameters.name,
          description: parameters.description ?? null,
          totalCapacity: 0,
          availableCapacity: 0,
          type,
          state: 'Enabled',
          status: 'Connecting',
          // A job keeps no secrets: from here on they are in the row alone.
          secrets: parts.storages.sealSecrets(uuid, message, parameters),
          ...bornAt(parts.clock.now()),
        })
        .execute();
      return { target: uuid, checkpoint: { uuid } };
    },

    async run(job) {
      const { uuid } = job.checkpoint;
      const driver = await parts.storages.driver(uuid);
      if (job.checkpoint.takenUp === undefined) {
        const takenUp =
          job.call.parameters.resourceUuid !== undefined &&
          (await driver.ping().then(
            () => true,
            () => false,
          ));
        await job.save({ uuid, takenUp });
      }
      await driver.initialise();
      await driver.ping();
      const { total } = await driver.capacity();
      return async (tx) => {
        await tx
          .updateTable('backupStorage')
          .set({
            status: 'Connected',
            statusReason: null,
            totalCapacity: total,
            availableCapacity: total,
            lastOpDate: parts.clock.now(),
          })
          .where('uuid', '=', uuid)
          .execute();
        await attachToDefaultZone(tx, uuid, parts.clock.now());
        return { inventory: await requireInventory(tx, BackupStorage, uuid) };
      };
    },

    async undo(job) {
      const { uuid, takenUp } = job.checkpoint;
      // What can't be reached can't be given back either, and a mark without a row is no storage of ours.
      await parts.storages
        .driver(uuid)
        .then((driver) => (takenUp ? undefined : driver.retire()))
        .catch((error) => parts.storages.noteLeftBehind(uuid, error));
      parts.storages.forget(uuid);
      return async (tx) => {
        await tx.deleteFrom('backupStorage').where('uuid', '=', uuid).execute();
      };
    },
  };
}

/** One that is attached to no zone would never be chosen for an image that names none. */
async function attachToDefaultZone(tx: SqlTransaction, uuid: string, now: number): Promise<void> {
  const zone = await tx
    .selectFrom('zone')
    .select('uuid')
    .where('isDefault', '=', true)
    .orderBy('createDate')
    .limit(1)
    .executeTakeFirst();
  if (!zone) return;
  await tx
    .insertInto('backupStorageZoneRef')
    .values({ backupStorageUuid: uuid, zoneUuid: zone.uuid, ...bornAt(now) })
    .execute();
}
