/** The pass of an AddImage: source → meter → digests → inspection → all storages, once, and resumed after a death. */
import { Counter } from 'prom-client';
import type { BackupStorages } from '../backup-storage/backup-storages.ts';
import type { Database } from '../database/database.ts';
import { checkDeclaredFormat } from '../disk/declared.ts';
import type { DiskInspector, InspectorOptions } from '../disk/inspector.ts';
import type { Settings } from '../global-config/settings.ts';
import { type Job, LeaseLost, ServiceStopping } from '../job/operation.ts';
import { IngotError } from '../kernel/errors.ts';
import type { Log } from '../kernel/log.ts';
import type { Message } from '../kernel/message.ts';
import { metrics } from '../kernel/metrics.ts';
import type { LeastPace } from '../transfer/pace.ts';
import type { Sink } from '../transfer/sink.ts';
import type { Source } from '../transfer/source.ts';
import { SHUTDOWN, transfer } from '../transfer/transfer.ts';
import type { AddImageState, Landing, Taken } from './add-state.ts';
import { type Copy, requirePhysicalRoom, reserve } from './copies.ts';
import type { AddImage } from './messages.ts';
import { SecondLook } from './second-look.ts';
import { MAX_VIRTUAL_SIZE } from './settings.ts';
import { sourceOf, type TransferSettings } from './source.ts';

interface Parts {
  database: Database;
  storages: BackupStorages;
  log: Log;
}

type AddImageJob = Job<typeof AddImage, AddImageState>;
type IntakeJob = Pick<Job<Message, AddImageState>, 'call' | 'checkpoint' | 'signal' | 'report' | 'save'>;

const takenIn = new Counter({
  name: 'ingot_image_bytes_total',
  help: 'Bytes taken in from sources.',
  registers: [metrics],
});

/** What a death may cost: so many bytes, or so many milliseconds of the download. */
const CHECKPOINTS = { bytes: 32 * 1024 * 1024, milliseconds: 1000 };

/** Brings the bytes in and checks them, or finds that an earlier process has. */
export async function takeIn(
  parts: Parts & { transfer: TransferSettings; settings: Pick<Settings, 'get'>; scratch: string },
  job: AddImageJob,
): Promise<Landing> {
  const { parameters } = job.call;
  const maxVirtualSize = await parts.settings.get(MAX_VIRTUAL_SIZE);
  return bringIn(parts, job, {
    inspector: { maxVirtualSize },
    source: () => sourceOf(parameters.url, parts.transfer),
    pace: parts.transfer.pace,
    judge: (result) => checkTaken(parameters, result),
    foreign: parts,
  });
}

interface Passed {
  sha256: string;
  md5: string;
  inspector: DiskInspector;
}

/** What one kind of taking in differs in from another. */
export interface Intake {
  source: () => Source | Promise<Source>;
  /** What is asked of the bytes besides. */
  inspector?: Pick<InspectorOptions, 'maxVirtualSize'>;
  /** What the bytes are, or an error where they are not what they should be. */
  judge: (result: Passed) => Pick<Taken, 'format' | 'virtualSize' | 'mediaType'>;
  /** What the source has to give at the least. */
  pace?: LeastPace | undefined;
  /** Given where the bytes were made by somebody else: then QEMU is asked about them too, with its files there. */
  foreign?: { scratch: string };
}

/** The pass itself, for any source; see `takeIn`. */
export async function bringIn(parts: Parts, job: IntakeJob, intake: Intake): Promise<Landing> {
  const { taken } = job.checkpoint;
  if (taken) return { ...taken, writers: new Map() };
  const log = parts.log.child({ job: job.call.id, image: job.checkpoint.imageUuid });
  const look = await SecondLook.open({ ...parts, log }, job.checkpoint.copies, intake.foreign);
  try {
    return await pass({ ...parts, log }, job, intake, look);
  } finally {
    look.close();
  }
}

async function pass(parts: Parts, job: IntakeJob, intake: Intake, look: SecondLook): Promise<Landing> {
  const { log } = parts;
  let counted = job.checkpoint.transfer?.offset ?? 0;
  const result = await transfer({
    source: await intake.source(),
    pace: intake.pace,
    sinks: job.checkpoint.copies.map((copy) => sinkFor(parts, job, copy)),
    // A size that is known lets an image be refused at the first thing that it has behind its end.
    inspect: ({ totalSize }) =>
      look.inspector({ ...intake.inspector, ...(totalSize !== undefined && { totalSize }) }),
    signal: transferSignal(job.signal),
    ...(job.checkpoint.transfer && { checkpoint: job.checkpoint.transfer }),
    checkpointPolicy: CHECKPOINTS,
    onCheckpoint: (transfer) => job.save({ ...job.checkpoint, transfer }),
    onProgress: ({ bytes, total, resumedBytes }) => {
      job.report({
        bytesDone: bytes,
        ...(total !== undefined && { bytesTotal: total }),
        bytesResumed: resumedBytes,
      });
      if (bytes > counted) takenIn.inc(bytes - counted);
      counted = bytes;
    },
    onEvent: (event) => log.info(event, 'transfer'),
  });

  let isRight = false;
  try {
    const checked = intake.judge(result);
    await look.take(result, { signal: job.signal });
    const { bytes, sha256, md5, writers } = result;
    const failures = [...result.failures].map(([backupStorageUuid, error]) => ({
      backupStorageUuid,
      error: error.toBody(),
    }));
    const taken: Taken = { bytes, sha256, md5, ...checked, failures };
    isRight = true;
    // From here on, only making the copies visible is left, whatever dies.
    await job.save({ ...job.checkpoint, taken });
    return { ...taken, writers };
  } catch (error) {
    // Where the job is undone, right bytes that could only not be noted go with it; else they are gone on with.
    const keep = isRight || isGoneOnWith(error) || isGoneOnWith(job.signal.reason);
    await Promise.allSettled([...result.writers.values()].map((writer) => writer.abort({ keep })));
    throw error;
  }
}

function sinkFor(parts: Parts, job: IntakeJob, copy: Copy): Sink {
  const { imageUuid, transfer } = job.checkpoint;
  // A storage that is gone, or can't be opened, fails alone.
  const opened = parts.storages.driver(copy.storageUuid);
  opened.catch(() => {});
  let begun = false;
  return {
    id: copy.storageUuid,
    open: async (options) => {
      begun = true;
      return (await opened).create(copy.path, options);
    },
    async *readPartial(range) {
      yield* (await opened).readPartial(copy.path, range);
    },
    /** Told the whole size as soon as it is known, else what has come so far. */
    checkSize: async (bytes) => {
      await parts.database.transaction((tx) => reserve(tx, imageUuid, copy.storageUuid, bytes));
      // Only before the bytes come: later, what is written already would count twice.
      if (!begun) await requirePhysicalRoom(await opened, copy.storageUuid, bytes - (transfer?.offset ?? 0));
    },
  };
}

/** Whether the job is not over with this: the next start or another process goes on with what was written. */
function isGoneOnWith(reason: unknown): boolean {
  return reason instanceof ServiceStopping || reason instanceof LeaseLost;
}

/** A stopping service keeps what was written; a cancelled job doesn't. */
function transferSignal(signal: AbortSignal): AbortSignal {
  const stop = new AbortController();
  const abort = () => stop.abort(isGoneOnWith(signal.reason) ? SHUTDOWN : signal.reason);
  if (signal.aborted) abort();
  else signal.addEventListener('abort', abort, { once: true });
  return stop.signal;
}

/** Are the bytes what the caller said they are? */
export function checkTaken(
  parameters: AddImageJob['call']['parameters'],
  result: Passed,
): Pick<Taken, 'format' | 'virtualSize' | 'mediaType'> {
  for (const [name, given, found] of [
    ['sha256Sum', parameters.sha256Sum, result.sha256],
    ['md5Sum', parameters.md5Sum, result.md5],
  ] as const) {
    if (given === undefined || given.toLowerCase() === found) continue;
    throw new IngotError(
      'IMG.1002',
      `the '${name}' of the bytes is ${found}, but ${given.toLowerCase()} was expected`,
      {
        elaboration: 'The download was damaged, or the source holds another file.',
      },
    );
  }
  const facts = result.inspector.end();
  const asIso = parameters.mediaType === 'ISO' && parameters.format === 'raw';
  checkDeclaredFormat(asIso ? 'iso' : parameters.format, facts);
  const mediaType = parameters.mediaType ?? (facts.format === 'iso' ? 'ISO' : 'RootVolumeTemplate');
  if ((mediaType === 'ISO') !== (facts.format === 'iso')) {
    throw new IngotError('IMG.1002', `the media type is ${mediaType}, but the bytes are ${facts.format}`, {
      elaboration:
        facts.format === 'iso' ? 'Give mediaType=ISO, or none.' : 'Give another mediaType, or none.',
    });
  }
  if (mediaType === 'ISO' && parameters.system) {
    throw new IngotError('SYS.1007', 'the bytes are an ISO, and an ISO can not be a system image');
  }
  return { format: facts.format, virtualSize: facts.virtualSize, mediaType };
}
