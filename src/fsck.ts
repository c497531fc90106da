/**
 * `ingot fsck`: a store holds nothing without a row, and no row is Ready without its bytes. Checks both
 * directions, and the sums of capacity; with `repair`, makes the sentence true again: by removing what is damaged, half
 * done or belongs to nothing, and by correcting the sums.
 */
import { checkOwners } from './account/fsck.ts';
import type { BackupStorages } from './backup-storage/backup-storages.ts';
import { checkCapacities, checkObjects } from './backup-storage/fsck.ts';
import { resources } from './catalogue.ts';
import type { Database } from './database/database.ts';
import { checkCopies, checkHalfDone, checkImagesWithoutCopy } from './image/fsck-copies.ts';
import { toIngotError } from './kernel/errors.ts';
import { type Finding, type Inspection, isStoragesOwn } from './kernel/finding.ts';
import { checkPrimaryStorages } from './primary-storage/fsck.ts';
import type { PrimaryStorages } from './primary-storage/primary-storages.ts';
import { snapshotLayers } from './snapshot/fsck.ts';
import { checkTags } from './tag/fsck.ts';
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
  const inspection = inspectionFor(report, options, await openWork(parts.database, report));
  const { database, hypervisor } = parts;
  await checkHalfDone(parts, inspection);
  for (const storage of await database.sql
    .selectFrom('backupStorage')
    .selectAll()
    .orderBy('createDate')
    .execute()) {
    report.storages++;
    // An open job that makes or empties it answers for all that is there.
    if (inspection.inWork.has(storage.uuid)) continue;
    const driver = await parts.storages.driverOf(storage);
    try {
      await driver.ping();
      await checkCopies(database, inspection, { storage, driver });
      const { removeUnregistered = false } = options;
      await checkObjects(database, inspection, { storage, driver, removeUnregistered });
    } catch (error) {
      if (!isStoragesOwn(error)) throw error;
      const { details } = toIngotError(error);
      inspection.find('unreachable', `backup storage '${storage.name}' can't be looked into: ${details}`);
    }
  }
  report.images = await checkImagesWithoutCopy(parts, inspection);
  await checkCapacities(database, inspection);
  const running = new Set(await hypervisor?.list());
  report.storages += await checkPrimaryStorages(
    { ...parts, expecting: [volumeLayers, snapshotLayers], running },
    inspection,
  );
  if (hypervisor) await checkMachines({ database, hypervisor }, inspection);
  await checkTags(database, resources.values(), inspection);
  await checkOwners(database, resources.values(), inspection);
  return report;
}

/** Puts what is found and counted into the report. `inWork`: paths and uuids that open jobs answer for. */
function inspectionFor(
  report: FsckReport,
  { repair, deep }: Options,
  inWork: ReadonlySet<string>,
): Inspection {
  return {
    repair,
    deep,
    inWork,
    find: (kind, sentence, repaired = false) => {
      report.findings.push({ kind, sentence, repaired });
    },
    count: () => {
      report.objects++;
    },
  };
}

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
