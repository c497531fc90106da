/** Primary storages and their rows held against each other, in both directions, and the sums of capacity. */
import { createHash } from 'node:crypto';
import type { Database } from '../database/database.ts';
import { checkDisk } from '../disk/qemu-img.ts';
import { toIngotError } from '../kernel/errors.ts';
import type { Inspection } from '../kernel/finding.ts';
import { formatSize } from '../kernel/format.ts';
import { promisable } from './capacity.ts';
import type { PrimaryStorageDriver } from './driver.ts';
import type { PrimaryStorageRow } from './primary-storage.ts';
import type { PrimaryStorages } from './primary-storages.ts';

/** A file that a row says is there. */
export interface ExpectedFile {
  path: string;
  /** What it is, as the subject of a sentence. */
  what: string;
  /** Uuids by which open jobs may answer for it. */
  owners: string[];
  /** Undefined when the row is Ready; else the state it is in. */
  unready?: string;
  /** Of the whole file, where that is known. */
  sha256?: string;
  /** The virtual machine that may be writing to it. */
  vmUuid?: string;
  /** A layer is held against what it should stand on. */
  base?: { path: string | undefined };
  /** Deletes the row, or puts it right; with the file's removal, that mends it. */
  mend(): Promise<void>;
  /** True where mending keeps the file. */
  keepsFile?: boolean;
}

export type Expecting = (database: Database, storageUuid: string) => Promise<ExpectedFile[]>;

interface Parts {
  database: Database;
  primaryStorages: PrimaryStorages;
  expecting: readonly Expecting[];
  /** Virtual machines that run: what they write to is not read. */
  running?: ReadonlySet<string>;
}

export async function checkPrimaryStorages(parts: Parts, inspection: Inspection): Promise<number> {
  const storages = await parts.database.sql
    .selectFrom('primaryStorage')
    .selectAll()
    .orderBy('createDate')
    .execute();
  for (const storage of storages) {
    if (inspection.inWork.has(storage.uuid)) continue;
    const driver = parts.primaryStorages.driverOf(storage);
    try {
      await driver.ping();
    } catch (error) {
      const why = toIngotError(error).details;
      inspection.find('unreachable', `primary storage '${storage.name}' can't be looked into: ${why}`);
      continue;
    }
    await checkOne(parts, inspection, storage, driver);
  }
  await checkCapacities(parts.database, inspection);
  return storages.length;
}

async function checkOne(
  { database, expecting, running }: Parts,
  inspection: Inspection,
  storage: PrimaryStorageRow,
  driver: PrimaryStorageDriver,
): Promise<void> {
  const lists = await Promise.all(
    [cachedImages, ...expecting].map((expected) => expected(database, storage.uuid)),
  );
  const trash = await database.sql
    .selectFrom('trash')
    .select('path')
    .where('storageUuid', '=', storage.uuid)
    .execute();
  const known = new Set(trash.map(({ path }) => path));
  /** What open jobs answer for, unfinished or not. */
  const busy = new Set<string>();
  for (const file of lists.flat()) {
    known.add(file.path);
    if (file.owners.some((owner) => inspection.inWork.has(owner))) {
      busy.add(file.path);
      continue;
    }
    const written = file.vmUuid !== undefined && running?.has(file.vmUuid) === true;
    const problem = await problemOf(file, driver, inspection.deep && !written);
    if (!problem) continue;
    if (inspection.repair) {
      await file.mend();
      if (!file.keepsFile) await driver.remove(file.path);
    }
    const sentence = `${file.what} on primary storage '${storage.name}': ${problem.says}`;
    inspection.find(problem.kind, sentence, inspection.repair);
  }
  for await (const { path, size, partial } of driver.list('')) {
    inspection.count();
    const directory = path.split('/')[1] ?? '';
    if (
      (known.has(path) && !partial) ||
      busy.has(path) ||
      inspection.inWork.has(path) ||
      inspection.inWork.has(directory)
    )
      continue;
    const mendable = inspection.repair && !known.has(path);
    if (mendable) await driver.remove(path);
    const what = partial ? `an unfinished ${formatSize(size)}` : formatSize(size);
    inspection.find(
      'stray-bytes',
      `primary storage '${storage.name}' holds ${what} that belongs to nothing: ${driver.location(path)}${partial ? ' (.part)' : ''}`,
      mendable,
    );
  }
}

type Problem = { kind: 'missing-bytes' | 'half-done' | 'wrong-digest' | 'unsound'; says: string };

async function problemOf(
  file: ExpectedFile,
  driver: PrimaryStorageDriver,
  deep: boolean,
): Promise<Problem | undefined> {
  if (file.unready) return { kind: 'half-done', says: `it is ${file.unready}, but no job works on it` };
  const at = driver.location(file.path);
  if ((await driver.usage(file.path)) === undefined) {
    return { kind: 'missing-bytes', says: `the row is Ready, but ${at} does not exist` };
  }
  if (!deep) return undefined;
  if (file.sha256 !== undefined) {
    const hash = createHash('sha256');
    for await (const chunk of driver.read(file.path)) hash.update(chunk);
    const found = hash.digest('hex');
    if (found === file.sha256) return undefined;
    return { kind: 'wrong-digest', says: `${at} is damaged: its SHA-256 is ${found}, not ${file.sha256}` };
  }
  try {
    await checkDisk(at);
    const base = await driver.baseOf(file.path);
    if (!file.base || base === file.base.path) return undefined;
    return {
      kind: 'unsound',
      says: `it stands on ${base ?? 'nothing'}, and not on ${file.base.path ?? 'nothing'}`,
    };
  } catch (error) {
    const says = toIngotError(error).details;
    // Somebody else's guest writes to it, and what is half written is no finding.
    if (/Failed to get .* lock/.test(says)) return undefined;
    return { kind: 'unsound', says };
  }
}

const cachedImages: Expecting = async (database, storageUuid) => {
  const entries = await database.sql
    .selectFrom('imageCache')
    .selectAll()
    .where('primaryStorageUuid', '=', storageUuid)
    .execute();
  return entries.map(({ id, imageUuid, path, state, jobUuid, sha256sum }) => ({
    path,
    what: `the entry of image ${imageUuid} in the cache`,
    owners: [imageUuid, ...(jobUuid === null ? [] : [jobUuid])],
    ...(state !== 'ready' && { unready: state }),
    sha256: sha256sum,
    mend: async () => {
      await database.sql.deleteFrom('imageCache').where('id', '=', id).execute();
    },
  }));
};

/** availableCapacity is what may be promised less what is, to the byte. */
async function checkCapacities(database: Database, inspection: Inspection): Promise<void> {
  const sums = await database.sql
    .selectFrom('primaryStorage as storage')
    .leftJoin('volume', 'volume.primaryStorageUuid', 'storage.uuid')
    .select((select) => [
      'storage.uuid',
      'storage.name',
      'storage.totalCapacity',
      'storage.overProvisioning',
      'storage.availableCapacity',
      select.fn.coalesce(select.fn.sum<number>('volume.size'), select.lit(0)).as('promised'),
    ])
    .groupBy([
      'storage.uuid',
      'storage.name',
      'storage.totalCapacity',
      'storage.overProvisioning',
      'storage.availableCapacity',
    ])
    .execute();
  for (const storage of sums) {
    const right = promisable(storage.totalCapacity, storage.overProvisioning) - Number(storage.promised);
    if (storage.availableCapacity === right || inspection.inWork.size > 0) continue;
    if (inspection.repair) {
      await database.sql
        .updateTable('primaryStorage')
        .set({ availableCapacity: right })
        .where('uuid', '=', storage.uuid)
        .execute();
    }
    inspection.find(
      'wrong-capacity',
      `primary storage '${storage.name}' says ${storage.availableCapacity} bytes are available, but ${right} are`,
      inspection.repair,
    );
  }
}
