/** Brings an image from a backup storage into a cache: without moving bytes where that can be, else in one pass with its digest. */
import { createHash } from 'node:crypto';
import type { BackupStorages } from '../backup-storage/backup-storages.ts';
import { storedSource } from '../backup-storage/stored-source.ts';
import type { Database } from '../database/database.ts';
import { noteChecked, noteDamage } from '../image/damage.ts';
import { damagedCopy } from '../image/read-copies.ts';
import type { ReadableImage, ReadyCopy } from '../image/ready-copies.ts';
import type { Progress } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import { IngotError, toIngotError } from '../kernel/errors.ts';
import { formatSize } from '../kernel/format.ts';
import type { Log } from '../kernel/log.ts';
import { transfer } from '../transfer/transfer.ts';
import type { PrimaryStorageDriver } from './driver.ts';

interface Parts {
  database: Database;
  clock: Clock;
  storages: BackupStorages;
  log: Log;
  driver: PrimaryStorageDriver;
  storageName: string;
  path: string;
}

type Wanted = ReadableImage['image'];

interface Work {
  signal: AbortSignal;
  report: (progress: Progress) => void;
}

/** Tries the copies, best first. Rejects with what was wrong with each when none could be had. */
export async function fetchImage(parts: Parts, readable: ReadableImage, work: Work): Promise<void> {
  const { image, copies, damaged } = readable;
  const sound = async ({ storageUuid }: ReadyCopy) => {
    if (!damaged.some((copy) => copy.storageUuid === storageUuid)) return;
    await noteChecked(parts, { imageUuid: image.uuid, storageUuid });
  };
  const failures: IngotError[] = [];
  for (const copy of copies) {
    try {
      if (await link(parts, image, copy, work.signal)) {
        work.report({ bytesDone: copy.size, bytesTotal: copy.size });
        return await sound(copy);
      }
      await download(parts, image, copy, work);
      return await sound(copy);
    } catch (error) {
      work.signal.throwIfAborted();
      const failure = toIngotError(error);
      // No other copy would find more room.
      if (failure.code === 'PS.1006') throw failure;
      parts.log.warn(
        { image: image.uuid, storage: copy.storageUuid, err: error },
        'a copy of an image could not be fetched',
      );
      failures.push(failure);
    }
  }
  const each = failures.map((failure, i) => `${copies[i]?.storageName}: ${failure.details}`).join('; ');
  throw new IngotError(
    'SYS.1006',
    `image '${image.name}' (${image.uuid}) could not be fetched from any backup storage. ${each}`,
    {
      causes: failures,
      retryable: failures.some((failure) => failure.retryable),
    },
  );
}

async function link(parts: Parts, image: Wanted, copy: ReadyCopy, signal: AbortSignal): Promise<boolean> {
  const { driver, path } = parts;
  const store = await parts.storages.driver(copy.storageUuid);
  const linked = await driver.linkImage?.(
    path,
    async (file) => (await store.link?.(copy.path, file)) ?? false,
  );
  if (!linked) return false;
  // Its digest was right when the copy became Ready; only what was written since could have spoilt it.
  if ((await driver.written(path)) <= copy.readySince) return true;
  const hash = createHash('sha256');
  for await (const chunk of driver.read(path)) {
    signal.throwIfAborted();
    hash.update(chunk);
  }
  const found = hash.digest('hex');
  if (found === image.sha256Sum) return true;
  await driver.remove(path);
  throw await damagedHere(parts, image, copy, found);
}

async function download(
  parts: Parts,
  image: Wanted,
  copy: ReadyCopy,
  { signal, report }: Work,
): Promise<void> {
  const { driver, path } = parts;
  const { available } = await driver.capacity();
  if (available < copy.size) {
    throw new IngotError(
      'PS.1006',
      `primary storage '${parts.storageName}' has no room for an image of ${formatSize(copy.size)}: its file system has ${formatSize(available)} left`,
      { retryable: true },
    );
  }
  const result = await transfer({
    source: storedSource(await parts.storages.driver(copy.storageUuid), copy.path, copy.size),
    sinks: [{ id: 'cache', open: (options) => driver.cacheImage(path, options), readPartial: nothing }],
    inspect: () => ({ write() {} }),
    signal,
    md5: false,
    // One that is interrupted begins anew.
    checkpointPolicy: { bytes: Number.POSITIVE_INFINITY, milliseconds: Number.POSITIVE_INFINITY },
    onCheckpoint: async () => {},
    onProgress: ({ bytes, total }) =>
      report({ bytesDone: bytes, ...(total !== undefined && { bytesTotal: total }) }),
  }).catch((error) => {
    throw full(error) ?? error;
  });
  const writer = result.writers.get('cache');
  if (!writer) throw [...result.failures.values()][0];
  if (result.sha256 !== image.sha256Sum) {
    await writer.abort();
    throw await damagedHere(parts, image, copy, result.sha256);
  }
  await writer.commit();
}

/** The only sink's own error says what is full. */
function full(error: unknown): IngotError | undefined {
  if (!(error instanceof IngotError)) return undefined;
  return error.causes.find(
    (cause): cause is IngotError => cause instanceof IngotError && cause.code === 'PS.1006',
  );
}

/** Notes the damage, so that nobody reads the copy again; the error to throw. */
async function damagedHere(parts: Parts, image: Wanted, copy: ReadyCopy, found: string): Promise<IngotError> {
  const damage = `its SHA-256 is ${found}, not ${image.sha256Sum}`;
  await noteDamage(parts, { imageUuid: image.uuid, storageUuid: copy.storageUuid }, damage);
  return damagedCopy(copy, damage);
}

async function* nothing(): AsyncGenerator<Uint8Array> {}
