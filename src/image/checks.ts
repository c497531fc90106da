/** SyncImageSize and CalculateImageHash: reads copies again and compares them with what is known of the image. */
import { createHash } from 'node:crypto';
import type { BackupStorages } from '../backup-storage/backup-storages.ts';
import type { Database, SqlTransaction } from '../database/database.ts';
import type { JobOperation } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import { IngotError } from '../kernel/errors.ts';
import type { Log } from '../kernel/log.ts';
import { requireInventory } from '../query/find.ts';
import { noteDamage } from './damage.ts';
import { Image } from './image.ts';
import type { CalculateImageHash, SyncImageSize } from './messages.ts';
import { copiesOf } from './removal.ts';

interface Copy {
  imageUuid: string;
  backupStorageUuid: string;
  path: string;
  size: number;
}

const CHECK_FILES = "'ingot fsck --deep' looks at every copy, and with --repair takes damaged ones out.";

export function syncImageSize(parts: {
  storages: BackupStorages;
  clock: Clock;
}): JobOperation<typeof SyncImageSize, Copy> {
  return {
    async admit({ parameters: { uuid } }, tx) {
      return { target: uuid, checkpoint: await readyCopy(tx, uuid) };
    },

    async run(job) {
      const copy = job.checkpoint;
      const found = await (await parts.storages.driver(copy.backupStorageUuid)).size(copy.path);
      if (found !== copy.size) {
        throw new IngotError(
          'IMG.1002',
          `the copy of image ${copy.imageUuid} on backup storage ${copy.backupStorageUuid} ${found === undefined ? 'is gone' : `has ${found} bytes, not ${copy.size}`}: it is damaged`,
          { elaboration: CHECK_FILES },
        );
      }
      return async (tx) => {
        await tx
          .updateTable('image')
          .set({ actualSize: found, lastOpDate: parts.clock.now() })
          .where('uuid', '=', copy.imageUuid)
          .execute();
        return { inventory: await requireInventory(tx, Image, copy.imageUuid) };
      };
    },

    undo: async () => async () => {},
  };
}

/** Which member of the inventory holds the digest. */
const MEMBER = { md5: 'md5Sum', sha256: 'sha256Sum' } as const;

export function calculateImageHash(parts: {
  database: Database;
  storages: BackupStorages;
  clock: Clock;
  log: Log;
}): JobOperation<typeof CalculateImageHash, Copy> {
  return {
    async admit({ parameters: { uuid, backupStorageUuid } }, tx) {
      return { target: uuid, checkpoint: await readyCopy(tx, uuid, backupStorageUuid) };
    },

    async run(job) {
      const copy = job.checkpoint;
      const { algorithm } = job.call.parameters;
      const hash = createHash(algorithm);
      const driver = await parts.storages.driver(copy.backupStorageUuid);
      let bytesDone = 0;
      for await (const chunk of driver.read(copy.path)) {
        job.signal.throwIfAborted();
        hash.update(chunk);
        bytesDone += chunk.length;
        job.report({ bytesDone, bytesTotal: copy.size });
      }
      const digest = hash.digest('hex');
      const { [MEMBER[algorithm]]: expected } = await requireInventory(
        parts.database.sql,
        Image,
        copy.imageUuid,
      );
      if (expected !== undefined && expected !== digest) {
        const place = { imageUuid: copy.imageUuid, storageUuid: copy.backupStorageUuid };
        await noteDamage(parts, place, `its ${algorithm} is ${digest}, not ${expected}`);
      }
      return async (tx) => {
        const image = await requireInventory(tx, Image, copy.imageUuid);
        const member = MEMBER[algorithm];
        const known = image[member];
        if (known !== undefined && known !== digest) {
          throw new IngotError(
            'IMG.1002',
            `the ${algorithm} of the copy of image ${copy.imageUuid} on backup storage ${copy.backupStorageUuid} is ${digest}, not ${known}: it is damaged`,
            { elaboration: CHECK_FILES },
          );
        }
        await tx
          .updateTable('image')
          .set({ [member]: digest, lastOpDate: parts.clock.now() })
          .where('uuid', '=', copy.imageUuid)
          .execute();
        return { inventory: await requireInventory(tx, Image, copy.imageUuid) };
      };
    },

    undo: async () => async () => {},
  };
}

/** A copy that is Ready, on the named storage or any. */
async function readyCopy(tx: SqlTransaction, imageUuid: string, storageUuid?: string): Promise<Copy> {
  const image = await requireInventory(tx, Image, imageUuid);
  const copy = (await copiesOf(tx, imageUuid)).find(
    (each) =>
      each.status === 'Ready' && (storageUuid === undefined || each.backupStorageUuid === storageUuid),
  );
  if (copy) {
    const { backupStorageUuid, path, size } = copy;
    return { imageUuid, backupStorageUuid, path, size };
  }
  throw new IngotError(
    'SYS.1006',
    `image '${image.name}' (${imageUuid}) has no copy that is Ready${storageUuid === undefined ? '' : ` on backup storage ${storageUuid}`}`,
  );
}
