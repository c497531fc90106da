/** What all templates have in common: an image that is made of a volume or a snapshot (image chapter; zstack-api.md 5.2). */
import type { BackupStorages } from '../backup-storage/backup-storages.ts';
import { chooseStorage } from '../backup-storage/choose.ts';
import { objectDigest } from '../backup-storage/object-digest.ts';
import type { Database, SqlTransaction } from '../database/database.ts';
import { letGo } from '../job/holds.ts';
import type { Job, JobOperation } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import { IngotError } from '../kernel/errors.ts';
import type { Log } from '../kernel/log.ts';
import type { Message } from '../kernel/message.ts';
import { bornAt } from '../kernel/properties.ts';
import type { RowOf } from '../kernel/resource.ts';
import { newUuid } from '../kernel/uuid.ts';
import { diskSource } from '../primary-storage/disk-source.ts';
import type { PrimaryStorages } from '../primary-storage/primary-storages.ts';
import type { Trash } from '../primary-storage/trash.ts';
import { requireReachable } from '../primary-storage/usable.ts';
import { requireFreeUuid } from '../query/find.ts';
import { takeVolume } from '../volume/volumes.ts';
import { chooseStorages, endTakingIn, undoTakingIn } from './add.ts';
import type { AddImageState, Landing } from './add-state.ts';
import { requireSameDigest } from './commit.ts';
import { type CopyFailure, copyPath, insertCopy } from './copies.ts';
import { hostArchitecture, isParavirtual } from './guest.ts';
import { Image } from './image.ts';
import { bringIn } from './take-in.ts';

export interface TemplateParts {
  database: Database;
  storages: BackupStorages;
  primaryStorages: PrimaryStorages;
  trash: Trash;
  clock: Clock;
  log: Log;
}

export interface TemplateState extends AddImageState {
  mediaType: 'RootVolumeTemplate' | 'DataVolumeTemplate';
  from: { storageUuid: string; path: string; size: number };
}

/** Where a template comes from, the job's hold on its volume taken. */
export interface TemplateSource {
  url: string;
  volume: { primaryStorageUuid: string; rootImageUuid: string | null; baseImageUuid: string | null };
  path: string;
  /** Virtual and real size, bytes. */
  size: number;
  actualSize: number;
}

type ImageRow = RowOf<typeof Image>;

export interface TemplateParameters {
  name: string;
  description?: string;
  resourceUuid?: string;
  backupStorageUuids?: string[];
  platform?: ImageRow['platform'];
  guestOsType?: string;
  architecture?: ImageRow['architecture'];
  system?: boolean;
  virtio?: boolean;
}

/** Writes the rows of the image to be. */
export async function admitTemplate(
  parts: TemplateParts,
  tx: SqlTransaction,
  accountUuid: string,
  parameters: TemplateParameters,
  source: TemplateSource,
  mediaType: TemplateState['mediaType'],
): Promise<{ target: string; checkpoint: TemplateState }> {
  const { resourceUuid, name, description } = parameters;
  if (resourceUuid) await requireFreeUuid(tx, Image, resourceUuid);
  const { zoneUuid } = await requireReachable(tx, source.volume.primaryStorageUuid);
  const { usable, failures } = await chooseStorages(tx, parameters.backupStorageUuids, () =>
    chooseStorage(tx, source.actualSize, undefined, zoneUuid),
  );
  const imageUuid = resourceUuid ?? newUuid();
  const now = parts.clock.now();
  const origin = await originOf(tx, source.volume);
  const platform = parameters.platform ?? origin?.platform ?? 'Linux';
  await tx
    .insertInto('image')
    .values({
      uuid: imageUuid,
      name,
      description: description ?? null,
      state: 'Enabled',
      status: 'Creating',
      size: source.size,
      actualSize: 0,
      md5Sum: null,
      sha256Sum: null,
      url: source.url,
      mediaType,
      guestOsType: parameters.guestOsType ?? origin?.guestOsType ?? null,
      platform,
      architecture: parameters.architecture ?? origin?.architecture ?? hostArchitecture(),
      type: 'zstack',
      format: 'qcow2',
      system: parameters.system ?? false,
      virtio:
        parameters.virtio ?? (parameters.platform ? undefined : origin?.virtio) ?? isParavirtual(platform),
      ...bornAt(now),
    })
    .execute();
  const path = copyPath(accountUuid, imageUuid);
  const copies = usable.map((storageUuid) => ({ storageUuid, path }));
  for (const copy of copies) {
    await insertCopy(tx, imageUuid, copy, await parts.storages.driver(copy.storageUuid, tx), now, 'Creating');
  }
  const from = { storageUuid: source.volume.primaryStorageUuid, path: source.path, size: source.size };
  return { target: imageUuid, checkpoint: { imageUuid, copies, failures, mediaType, from } };
}

/** The volume of a template, Ready, Enabled, and held for reading. */
export async function takeSource(tx: SqlTransaction, job: string, uuid: string) {
  const volume = await takeVolume(tx, uuid, { job, mode: 'read' });
  if (volume.state === 'Enabled') return volume;
  throw new IngotError(
    'SYS.1006',
    `volume '${volume.name}' (${uuid}) is ${volume.state}; no template can be made of it`,
  );
}

/** What a template says of its guest is inherited from the image that its volume came from, while that is there. */
async function originOf(
  tx: SqlTransaction,
  { rootImageUuid, baseImageUuid }: TemplateSource['volume'],
): Promise<Pick<ImageRow, 'platform' | 'guestOsType' | 'architecture' | 'virtio'> | undefined> {
  const uuid = rootImageUuid ?? baseImageUuid;
  if (uuid === null) return undefined;
  return tx
    .selectFrom('image')
    .select(['platform', 'guestOsType', 'architecture', 'virtio'])
    .where('uuid', '=', uuid)
    .executeTakeFirst();
}

/** What every template does once its rows stand. */
export function makingTemplate(
  parts: TemplateParts,
): Pick<JobOperation<Message, TemplateState>, 'run' | 'undo' | 'ended'> {
  return {
    async run(job) {
      const landing = await readBack(parts, job, await streamOut(parts, job));
      const end = await endTakingIn(parts, job.checkpoint, landing, job.signal).catch((error) => {
        throw asTemplateError(error);
      });
      return async (tx) => {
        await letGo(tx, job.call.id);
        return (await end(tx)) as never;
      };
    },

    async undo(job) {
      const end = await undoTakingIn(parts, job.checkpoint);
      return async (tx) => {
        await letGo(tx, job.call.id);
        await end(tx);
      };
    },

    ended: () => void parts.trash.empty(),
  };
}

/** The disk goes to all the stores as one qcow2 that stands alone, written nowhere before. */
async function streamOut(parts: TemplateParts, job: Job<Message, TemplateState>): Promise<Landing> {
  const { from, mediaType } = job.checkpoint;
  const driver = await parts.primaryStorages.driver(from.storageUuid);
  const { call, signal, report } = job;
  return bringIn(
    parts,
    {
      call,
      signal,
      report,
      get checkpoint() {
        return job.checkpoint;
      },
      save: (next) => job.save({ ...job.checkpoint, ...next }),
    },
    {
      source: () => diskSource(driver, from.path, from.size),
      judge: ({ inspector }) => {
        const facts = inspector.end();
        if (facts.format === 'qcow2' && facts.virtualSize === from.size) {
          return { format: 'qcow2', virtualSize: facts.virtualSize, mediaType };
        }
        throw new IngotError(
          'IMG.1000',
          `the template came out as ${facts.format} of ${facts.virtualSize} bytes, not as qcow2 of ${from.size}`,
        );
      },
    },
  ).catch((error) => {
    throw asTemplateError(error);
  });
}

/** Reads what the stores have written before anyone may use it; one that gives back something else is dropped. */
async function readBack(
  parts: TemplateParts,
  job: Job<Message, TemplateState>,
  landing: Landing,
): Promise<Landing> {
  const failures: CopyFailure[] = [...landing.failures];
  const writers = new Map(landing.writers);
  await Promise.all(
    job.checkpoint.copies.map(async (copy) => {
      const writer = writers.get(copy.storageUuid);
      // Those of an earlier process are read when they are made visible.
      if (!writer) return;
      try {
        const driver = await parts.storages.driver(copy.storageUuid);
        // A store that opens nothing, S3, checks each part against its SHA-256; and reading what is being written would end it.
        if (!driver.openForReading) return;
        const found = await objectDigest(driver, copy.path, {
          partial: true,
          end: landing.bytes,
          signal: job.signal,
        });
        requireSameDigest(found, copy, landing.sha256);
      } catch (error) {
        const { code, details } = error as IngotError;
        failures.push({ backupStorageUuid: copy.storageUuid, error: new IngotError(code, details).toBody() });
        writers.delete(copy.storageUuid);
        await writer.abort();
      }
    }),
  );
  return { ...landing, failures, writers };
}

function asTemplateError(error: unknown): unknown {
  if (!(error instanceof IngotError) || (error.code !== 'SYS.1002' && error.code !== 'BS.1000')) return error;
  return new IngotError('IMG.1000', error.details, {
    cause: error.cause,
    causes: error.causes,
    retryable: error.retryable,
    ...(error.opaque && { opaque: error.opaque }),
  });
}
