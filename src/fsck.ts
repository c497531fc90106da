/**
 * `ingot fsck`: a store holds nothing without a row, and no row is Ready without its bytes. Checks both
 * directions, and the sums of capacity; with `repair`, makes the sentence true again: by removing what is damaged, half
 * done or belongs to nothing, and by correcting the sums.
 */
import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import { ADMIN_UUID } from './account/account.ts';
import { own } from './account/ownership.ts';
import type { BackupStorages } from './backup-storage/backup-storages.ts';
import type { BackupStorageDriver } from './backup-storage/driver.ts';
import { resources } from './catalogue.ts';
import type { Database } from './database/database.ts';
import { describedCopy, descriptionPath, removeWithDescription } from './image/description.ts';
import { checkDescriptions, expectedDescriptions } from './image/fsck.ts';
import { IngotError, isSystemError, toIngotError } from './kernel/errors.ts';
import type { Finding, Inspection } from './kernel/finding.ts';
import { formatSize, shorten } from './kernel/format.ts';
import { isOwned } from './kernel/resource.ts';
import { checkPrimaryStorages } from './primary-storage/fsck.ts';
import type { PrimaryStorages } from './primary-storage/primary-storages.ts';
import { snapshotCopies, snapshotLayers } from './snapshot/fsck.ts';
import { findStrayTags } from './tag/stray.ts';
import { checkMachines } from './vm/fsck.ts';
import type { Hypervisor } from './vm/hypervisor.ts';
import { volumeLayers } from './volume/fsck.ts';

export type { Finding };

export interface FsckReport {
  findings: Finding[];
  storages: number;
  images: number;
  objects: number;
  /** Jobs that the next start ends or goes on with; what they hold is no finding. */
  openJobs: number;
}

interface Options {
  /** Removes or corrects what it finds. */
  repair: boolean;
  /** Reads every copy, and compares its digest. */
  deep: boolean;
  /** Removes images, too, that have all they need to be registered again. */
  removeUnregistered?: boolean;
}

interface Context extends Options {
  database: Database;
  storages: BackupStorages;
  report: FsckReport;
  /** Paths and images that open jobs answer for. */
  inWork: Set<string>;
}

/** Must have the data directory to itself: nothing else may be changing what it looks at. */
export async function fsck(
  parts: {
    database: Database;
    storages: BackupStorages;
    primaryStorages: PrimaryStorages;
    /** This host's, to look after what it runs and keeps. */
    hypervisor?: Hypervisor;
  },
  options: Options,
): Promise<FsckReport> {
  const report: FsckReport = { findings: [], storages: 0, images: 0, objects: 0, openJobs: 0 };
  const context: Context = { ...parts, ...options, report, inWork: await openWork(parts.database, report) };
  await checkHalfDone(context);
  for (const storage of await parts.database.sql
    .selectFrom('backupStorage')
    .selectAll()
    .orderBy('createDate')
    .execute()) {
    report.storages++;
    // An open job that makes or empties it answers for all that is there.
    if (context.inWork.has(storage.uuid)) continue;
    const driver = await parts.storages.driverOf(storage);
    try {
      await driver.ping();
      await checkCopies(context, storage, driver);
      await checkObjects(context, storage, driver);
    } catch (error) {
      if (!isStoragesOwn(error)) throw error;
      const { details } = toIngotError(error);
      find(context, 'unreachable', `backup storage '${storage.name}' can't be looked into: ${details}`);
    }
  }
  await checkImagesWithoutCopy(context);
  await checkCapacities(context);
  const running = new Set(await parts.hypervisor?.list());
  report.storages += await checkPrimaryStorages(
    { ...parts, expecting: [volumeLayers, snapshotLayers], running },
    inspectionOf(context),
  );
  const { database, hypervisor } = parts;
  if (hypervisor) await checkMachines({ database, hypervisor }, inspectionOf(context));
  await checkTags(context);
  await checkOwners(context);
  return report;
}

/** Copies that have all their bytes: Deleted ones can be brought back until they are expunged. */
const KEPT = ['Ready', 'Deleted'] as const;

function inspectionOf(context: Context): Inspection {
  const { repair, deep, inWork, report } = context;
  return {
    repair,
    deep,
    inWork,
    find: (kind, sentence, repaired) => find(context, kind, sentence, repaired),
    count: () => {
      report.objects++;
    },
  };
}

function find(context: Context, kind: Finding['kind'], sentence: string, repaired = false): void {
  context.report.findings.push({ kind, sentence, repaired });
}

/** Notes the finding, and with `repair` mends it first; where its storage does not let it be mended, it is left. */
async function findAndMend(
  context: Context,
  kind: Finding['kind'],
  sentence: string,
  mend: () => Promise<unknown>,
): Promise<void> {
  if (!context.repair) return find(context, kind, sentence);
  try {
    await mend();
  } catch (error) {
    if (!isStoragesOwn(error)) throw error;
    return find(context, kind, `${sentence}; it is left: ${toIngotError(error).details}`);
  }
  find(context, kind, sentence, true);
}

/** What a storage says of itself; anything else is a fault of the database or of ours. */
const isStoragesOwn = (error: unknown) => error instanceof IngotError || isSystemError(error);

/** An open job's checkpoint names the paths that it answers for. */
async function openWork(database: Database, report: FsckReport): Promise<Set<string>> {
  const jobs = await database.sql
    .selectFrom('longJob')
    .select(['uuid', 'checkpoint', 'targetResourceUuid'])
    .where('state', 'in', ['Waiting', 'Running', 'Canceling'])
    .execute();
  report.openJobs = jobs.length;
  const inWork = new Set<string>();
  for (const job of jobs) {
    if (job.targetResourceUuid !== null) inWork.add(job.targetResourceUuid);
    inWork.add(job.uuid);
    // Paths inside storages are the only strings there that are made so.
    for (const [, path] of (job.checkpoint ?? '').matchAll(/"([\w-]+\/[^"]+)"/g)) if (path) inWork.add(path);
  }
  const held = await database.sql
    .selectFrom('jobHold')
    .select('resourceUuid')
    .where('jobUuid', 'in', [...jobs.map(({ uuid }) => uuid), ''])
    .execute();
  for (const { resourceUuid } of held) inWork.add(resourceUuid);
  return inWork;
}

/** Every row that says Ready has its bytes. */
async function checkCopies(
  context: Context,
  storage: { uuid: string; name: string },
  driver: BackupStorageDriver,
): Promise<void> {
  const copies = await context.database.sql
    .selectFrom('imageBackupStorageRef as ref')
    .innerJoin('image', 'image.uuid', 'ref.imageUuid')
    .select(['ref.imageUuid', 'ref.path', 'ref.size', 'image.name', 'image.sha256Sum'])
    .where('ref.backupStorageUuid', '=', storage.uuid)
    .where('ref.status', 'in', KEPT)
    .execute();
  for (const copy of copies) {
    if (context.inWork.has(copy.path)) continue;
    const where = `image '${copy.name}' (${copy.imageUuid}) on backup storage '${storage.name}'`;
    const problem = await problemOf(copy, driver, context.deep);
    if (!problem) continue;
    await findAndMend(context, problem.kind, `${where}: ${problem.says}`, () =>
      removeCopy(context, copy, storage.uuid, driver),
    );
  }
}

async function problemOf(
  copy: { path: string; size: number; sha256Sum: string | null },
  driver: BackupStorageDriver,
  deep: boolean,
): Promise<{ kind: Finding['kind']; says: string } | undefined> {
  const size = await driver.size(copy.path);
  const at = driver.location(copy.path);
  if (size === undefined)
    return { kind: 'missing-bytes', says: `the row is Ready, but ${at} does not exist` };
  if (size !== copy.size) return { kind: 'wrong-size', says: `${at} has ${size} bytes, not ${copy.size}` };
  if (!deep || copy.sha256Sum === null) return undefined;
  const hash = createHash('sha256');
  for await (const chunk of driver.read(copy.path)) hash.update(chunk);
  const found = hash.digest('hex');
  if (found === copy.sha256Sum) return undefined;
  return { kind: 'wrong-digest', says: `${at} is damaged: its SHA-256 is ${found}, not ${copy.sha256Sum}` };
}

/** What bytes there are go, and then the row: a storage that does not let them go keeps it. The image stays as long as it has another copy. */
async function removeCopy(
  context: Context,
  copy: { imageUuid: string; path: string },
  storageUuid: string,
  driver: BackupStorageDriver,
): Promise<void> {
  await removeWithDescription(driver, copy.path);
  await context.database.sql
    .deleteFrom('imageBackupStorageRef')
    .where('imageUuid', '=', copy.imageUuid)
    .where('backupStorageUuid', '=', storageUuid)
    .execute();
}

/** Every object on the storage has a row, or a job that answers for it. */
async function checkObjects(
  context: Context,
  storage: { uuid: string; name: string },
  driver: BackupStorageDriver,
): Promise<void> {
  const rows = await context.database.sql
    .selectFrom('imageBackupStorageRef')
    .select(['path', 'status'])
    .where('backupStorageUuid', '=', storage.uuid)
    .execute();
  const statusOf = new Map(rows.map((row) => [row.path, row.status]));
  const copies = await snapshotCopies(context.database, storage.uuid);
  const trash = await context.database.sql
    .selectFrom('trash')
    .select('path')
    .where('storageUuid', '=', storage.uuid)
    .execute();
  const thrownAway = new Set(trash.map(({ path }) => path));
  const others = new Set(copies.map(({ path }) => path));
  const descriptions = await expectedDescriptions(context.database, storage.uuid);
  await checkDescriptions(context.database, inspectionOf(context), {
    storage,
    driver,
    expected: descriptions,
  });
  for (const { path, size, ready, snapshotUuid } of copies) {
    if (context.inWork.has(path) || (ready && (await driver.size(path)) === size)) continue;
    if (context.repair) await forgetSnapshotCopy(context.database, snapshotUuid, storage.uuid);
    find(
      context,
      ready ? 'missing-bytes' : 'half-done',
      `the copy of snapshot ${snapshotUuid} on backup storage '${storage.name}' is not there, or not whole: ${driver.location(path)}`,
      context.repair,
    );
  }
  for await (const object of driver.list('')) {
    context.report.objects++;
    if (context.inWork.has(object.path) || thrownAway.has(object.path)) continue;
    if (others.has(object.path) && !object.partial) continue;
    const description = descriptions.get(object.path);
    // What is still to be written may be half written.
    if (description && (description.outdated || !object.partial)) continue;
    const copyPath = describedCopy(object.path);
    if (copyPath !== undefined && context.inWork.has(copyPath)) continue;
    const status = statusOf.get(object.path);
    if (!object.partial && status === undefined && (await isUnregistered(context, driver, object.path))) {
      const sentence = `backup storage '${storage.name}' holds an image that the database does not know: ${driver.location(object.path)}`;
      const remedy = 'RebuildFromStorage registers it, --remove-unregistered removes it';
      if (!context.removeUnregistered) find(context, 'unregistered', `${sentence}; ${remedy}`);
      else await findAndMend(context, 'unregistered', sentence, () => driver.remove(object.path));
      continue;
    }
    if ((status === 'Ready' || status === 'Deleted') && !object.partial) continue;
    const what = object.partial ? `an unfinished ${formatSize(object.size)}` : formatSize(object.size);
    const sentence = `backup storage '${storage.name}' holds ${what} that belongs to nothing: ${driver.location(object.path)}${object.partial ? ' (.part)' : ''}`;
    if (status !== undefined) find(context, 'stray-bytes', sentence);
    else await findAndMend(context, 'stray-bytes', sentence, () => driver.remove(object.path));
  }
}

/** Whether it is one of the two, an image's copy and its description, that are both there: their rows may be lost. */
async function isUnregistered(
  { removeUnregistered }: Context,
  driver: BackupStorageDriver,
  path: string,
): Promise<boolean> {
  const beside = describedCopy(path) ?? descriptionPath(path);
  if (beside === undefined) return false;
  // Removing them, the second of the two is alone.
  return removeUnregistered || (await driver.size(beside)) !== undefined;
}

async function forgetSnapshotCopy(
  database: Database,
  snapshotUuid: string,
  storageUuid: string,
): Promise<void> {
  await database.sql
    .deleteFrom('volumeSnapshotBackupStorageRef')
    .where('volumeSnapshotUuid', '=', snapshotUuid)
    .where('backupStorageUuid', '=', storageUuid)
    .execute();
}

/** Nothing is half done without a job that goes on with it. */
async function checkHalfDone(context: Context): Promise<void> {
  const { database, inWork } = context;
  for (const image of await database.sql
    .selectFrom('image')
    .selectAll()
    .where('status', 'not in', KEPT)
    .execute()) {
    if (inWork.has(image.uuid)) continue;
    await findAndMend(
      context,
      'half-done',
      `image '${image.name}' (${image.uuid}) is ${image.status}, but no job works on it`,
      () => forgetImage(context, image.uuid),
    );
  }
  const copies = await database.sql
    .selectFrom('imageBackupStorageRef as ref')
    .innerJoin('image', 'image.uuid', 'ref.imageUuid')
    .select(['ref.imageUuid', 'ref.backupStorageUuid', 'ref.path', 'ref.status', 'image.name'])
    .where('ref.status', 'not in', KEPT)
    .where('image.status', 'in', KEPT)
    .execute();
  for (const copy of copies) {
    if (inWork.has(copy.imageUuid)) continue;
    const storageUuid = copy.backupStorageUuid;
    await findAndMend(
      context,
      'half-done',
      `a copy of image '${copy.name}' (${copy.imageUuid}) on backup storage ${storageUuid} is ${copy.status}, but no job works on it`,
      async () => removeCopy(context, copy, storageUuid, await context.storages.driver(storageUuid)),
    );
  }
}

/** No image that is Ready is without a copy. */
async function checkImagesWithoutCopy(context: Context): Promise<void> {
  const { database, report } = context;
  const count = await database.sql
    .selectFrom('image')
    .select((select) => select.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow();
  report.images = count.count;
  const without = await database.sql
    .selectFrom('image')
    .select(['uuid', 'name'])
    .where('status', '=', 'Ready')
    .where('uuid', 'not in', (inner) =>
      inner.selectFrom('imageBackupStorageRef').select('imageUuid').where('status', '=', 'Ready'),
    )
    .execute();
  for (const image of without) {
    await findAndMend(
      context,
      'no-copy',
      `image '${image.name}' (${image.uuid}) is Ready, but no backup storage has it`,
      () => forgetImage(context, image.uuid),
    );
  }
}

async function forgetImage(context: Context, uuid: string): Promise<void> {
  const refs = await context.database.sql
    .selectFrom('imageBackupStorageRef')
    .selectAll()
    .where('imageUuid', '=', uuid)
    .execute();
  for (const ref of refs)
    await removeWithDescription(await context.storages.driver(ref.backupStorageUuid), ref.path);
  await context.database.sql.deleteFrom('image').where('uuid', '=', uuid).execute();
}

/** availableCapacity is totalCapacity less what the copies take, to the byte. */
async function checkCapacities({ database, report, repair }: Context): Promise<void> {
  const sums = await database.sql
    .selectFrom('backupStorage as storage')
    .leftJoin('imageBackupStorageRef as ref', 'ref.backupStorageUuid', 'storage.uuid')
    .select((select) => [
      'storage.uuid',
      'storage.name',
      'storage.totalCapacity',
      'storage.availableCapacity',
      select.fn.coalesce(select.fn.sum<number>('ref.size'), select.lit(0)).as('taken'),
    ])
    .groupBy(['storage.uuid', 'storage.name', 'storage.totalCapacity', 'storage.availableCapacity'])
    .execute();
  for (const storage of sums) {
    const copies = await snapshotCopies(database, storage.uuid);
    const ofSnapshots = copies.reduce((sum, { size }) => sum + size, 0);
    const right = storage.totalCapacity - Number(storage.taken) - ofSnapshots;
    if (storage.availableCapacity === right) continue;
    if (repair) {
      await database.sql
        .updateTable('backupStorage')
        .set({ availableCapacity: right })
        .where('uuid', '=', storage.uuid)
        .execute();
    }
    report.findings.push({
      kind: 'wrong-capacity',
      sentence: `backup storage '${storage.name}' says ${storage.availableCapacity} bytes are available, but ${right} are`,
      repaired: repair,
    });
  }
}

/** No tag is of something that isn't there. */
async function checkTags(context: Context): Promise<void> {
  const { database, repair } = context;
  for (const { table, uuid, tag, resourceType, resourceUuid } of await findStrayTags(
    database,
    resources.values(),
  )) {
    if (repair) await database.sql.deleteFrom(table).where('uuid', '=', uuid).execute();
    find(
      context,
      'stray-tag',
      `the tag '${shorten(tag)}' is of a ${resourceType} that isn't there: ${resourceUuid}`,
      repair,
    );
  }
}

/** Everything that can be owned is, and nothing is owned that is not there. */
async function checkOwners({ database, report, repair }: Context): Promise<void> {
  const owned = [...resources.values()].filter(isOwned);
  for (const resource of owned) {
    const { rows } = await sql<{ uuid: string }>`select uuid from ${sql.table(resource.table)}
      where uuid not in (select ${sql.ref('resourceUuid')} from ${sql.table('accountResourceRef')})`.execute(
      database.sql,
    );
    for (const { uuid } of rows) {
      if (repair) await own(database.sql, resource, uuid, ADMIN_UUID, Date.now());
      report.findings.push({
        kind: 'no-owner',
        sentence: `${resource.name} ${uuid} belongs to nobody${repair ? "; it is the administrator's now" : ''}`,
        repaired: repair,
      });
    }
  }
  const all = sql.join(
    owned.map(({ table }) => sql`select uuid from ${sql.table(table)}`),
    sql` union all `,
  );
  const { rows } = await sql<{ resourceUuid: string; resourceType: string }>`
    select ${sql.ref('resourceUuid')}, ${sql.ref('resourceType')} from ${sql.table('accountResourceRef')}
    where ${sql.ref('resourceUuid')} not in (${all})`.execute(database.sql);
  for (const { resourceUuid, resourceType } of rows) {
    if (repair) {
      await database.sql.deleteFrom('accountResourceRef').where('resourceUuid', '=', resourceUuid).execute();
    }
    report.findings.push({
      kind: 'no-owner',
      sentence: `an account owns the ${resourceType} ${resourceUuid}, which is not there`,
      repaired: repair,
    });
  }
}
