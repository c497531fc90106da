/** AddLocalPrimaryStorage, AddSharedMountPointPrimaryStorage, AddNfsPrimaryStorage: a directory, mounted or not, becomes one. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { usableDirectory } from '../backup-storage/local/directory.ts';
import { initialiseLocalBackupStorage, retireLocalBackupStorage } from '../backup-storage/local/marker.ts';
import type { Database, SqlTransaction } from '../database/database.ts';
import type { JobOperation } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import { IngotError } from '../kernel/errors.ts';
import { bornAt } from '../kernel/properties.ts';
import { newUuid } from '../kernel/uuid.ts';
import { requireFreeUuid, requireInventory } from '../query/find.ts';
import { Zone } from '../zone/zone.ts';
import { promisable } from './capacity.ts';
import type {
  AddLocalPrimaryStorage,
  AddNfsPrimaryStorage,
  AddSharedMountPointPrimaryStorage,
} from './messages.ts';
import { mountNfs, unmountNfs } from './nfs/mount.ts';
import { NFS_URL } from './nfs/url.ts';
import { PrimaryStorage, type PrimaryStorageRow } from './primary-storage.ts';
import type { PrimaryStorages } from './primary-storages.ts';

export interface AddParts {
  database: Database;
  primaryStorages: PrimaryStorages;
  clock: Clock;
  /** Directories of the service's own, which no storage may contain. */
  reserved: readonly string[];
  /** Where NFS servers are mounted, each in a directory of its own. */
  mounts: string;
}

interface Checkpoint {
  uuid: string;
  url: string;
  mountPath: string;
  type: PrimaryStorageRow['type'];
}

type AddMessage =
  | typeof AddLocalPrimaryStorage
  | typeof AddSharedMountPointPrimaryStorage
  | typeof AddNfsPrimaryStorage;

export const addLocalPrimaryStorage = (parts: AddParts) => add(parts, 'LocalStorage');
export const addSharedMountPointPrimaryStorage = (parts: AddParts) => add(parts, 'SharedMountPoint');
export const addNfsPrimaryStorage = (parts: AddParts) => add(parts, 'NFS');

function add(parts: AddParts, type: PrimaryStorageRow['type']): JobOperation<AddMessage, Checkpoint> {
  return {
    async admit({ parameters }, tx) {
      if (parameters.resourceUuid) await requireFreeUuid(tx, PrimaryStorage, parameters.resourceUuid);
      await requireInventory(tx, Zone, parameters.zoneUuid);
      const uuid = parameters.resourceUuid ?? newUuid();
      // Given a path, somebody else has mounted it.
      const mounted = type === 'NFS' && NFS_URL.test(parameters.url);
      const mountPath = mounted
        ? join(parts.mounts, uuid)
        : await usableDirectory(parameters.url, await others(tx), parts.reserved, { kind: 'primary' });
      const url = mounted ? parameters.url : mountPath;
      await requireOtherUrl(tx, url);
      await tx
        .insertInto('primaryStorage')
        .values({
          uuid,
          name: parameters.name,
          description: parameters.description ?? null,
          zoneUuid: parameters.zoneUuid,
          url,
          mountPath,
          type,
          state: 'Enabled',
          status: 'Connecting',
          totalCapacity: 0,
          availableCapacity: 0,
          totalPhysicalCapacity: 0,
          availablePhysicalCapacity: 0,
          systemUsedCapacity: 0,
          overProvisioning: parameters.overProvisioning ?? 100,
          ...bornAt(parts.clock.now()),
        })
        .execute();
      return { target: uuid, checkpoint: { uuid, url, mountPath, type } };
    },

    async run(job) {
      const { uuid, url, mountPath, type } = job.checkpoint;
      if (type === 'NFS' && NFS_URL.test(url)) await mountNfs(url, mountPath);
      else await mkdir(mountPath, { recursive: true, mode: 0o750 });
      await initialiseLocalBackupStorage({ root: mountPath, uuid, kind: 'primary' });
      const driver = await parts.primaryStorages.driver(uuid);
      await driver.ping();
      const { total, available } = await driver.capacity();
      return async (tx) => {
        const { overProvisioning } = await tx
          .selectFrom('primaryStorage')
          .select('overProvisioning')
          .where('uuid', '=', uuid)
          .executeTakeFirstOrThrow();
        await tx
          .updateTable('primaryStorage')
          .set({
            status: 'Connected',
            totalCapacity: total,
            availableCapacity: promisable(total, overProvisioning),
            totalPhysicalCapacity: total,
            availablePhysicalCapacity: available,
            lastOpDate: parts.clock.now(),
          })
          .where('uuid', '=', uuid)
          .execute();
        return { inventory: await requireInventory(tx, PrimaryStorage, uuid) };
      };
    },

    async undo(job) {
      const { uuid, url, mountPath, type } = job.checkpoint;
      await parts.primaryStorages.forget(uuid);
      await retireLocalBackupStorage({ root: mountPath, uuid, kind: 'primary' });
      if (type === 'NFS' && NFS_URL.test(url)) await unmountNfs(mountPath);
      return async (tx) => {
        await tx.deleteFrom('primaryStorage').where('uuid', '=', uuid).execute();
      };
    },
  };
}

/** Directories that storages use already. */
async function others(tx: SqlTransaction) {
  const primary = await tx.selectFrom('primaryStorage').select(['name', 'mountPath as url']).execute();
  const backup = await tx
    .selectFrom('backupStorage')
    .select(['name', 'url'])
    .where('type', '=', 'LocalBackupStorage')
    .execute();
  return [...primary.map((storage) => ({ ...storage, kind: 'primary' as const })), ...backup];
}

async function requireOtherUrl(tx: SqlTransaction, url: string): Promise<void> {
  const other = await tx
    .selectFrom('primaryStorage')
    .select('name')
    .where('url', '=', url)
    .executeTakeFirst();
  if (!other) return;
  throw new IngotError('SYS.1007', `'url' ${url} is the primary storage '${other.name}' already`, {
    opaque: { parameter: 'url' },
  });
}
