/** Whether the bytes of a copy are those that were described, and would be taken in today: judged as AddImage judges. */
import { createHash } from 'node:crypto';
import type { BackupStorageDriver } from '../backup-storage/driver.ts';
import { openAtAnyPlace } from '../backup-storage/object-reader.ts';
import { DiskInspector } from '../disk/inspector.ts';
import { askQemu } from '../disk/second-opinion.ts';
import { readSecondTime } from '../disk/second-reading.ts';
import { Skeleton } from '../disk/skeleton.ts';
import type { Settings } from '../global-config/settings.ts';
import type { Job } from '../job/operation.ts';
import { IngotError } from '../kernel/errors.ts';
import type { Log } from '../kernel/log.ts';
import type { Message } from '../kernel/message.ts';
import type { readDescription } from './description.ts';
import { MAX_VIRTUAL_SIZE } from './settings.ts';
import { requireFittingMediaType } from './update.ts';

interface Parts {
  log: Log;
  /** A directory for files that end with the process. */
  scratch: string;
  settings: Pick<Settings, 'get'>;
}

type Described = Pick<ReturnType<typeof readDescription>, 'image' | 'signed'>;

/** Why a description is not taken. */
export const unfit = (reason: string) => new IngotError('IMG.1002', reason);

/**
 * Reads the copy whole, for its digests and for what it is, and once more what was understood too late; then QEMU is
 * asked.
 * @throws IngotError IMG.1002 where it is not what was described, or is refused; SYS.1007 for a media type of others
 */
export async function requireDescribedBytes(
  parts: Parts,
  job: Pick<Job<Message, unknown>, 'signal' | 'report'>,
  driver: BackupStorageDriver,
  path: string,
  { image, signed }: Described,
): Promise<void> {
  requireFittingMediaType(image.mediaType, image.format ?? undefined, image.system);
  const size = await driver.size(path);
  if (size === undefined) throw unfit('the copy that it describes is not there');
  if (size !== image.actualSize) throw unfit(`the copy has ${size} bytes, not ${image.actualSize}`);
  const { scratch } = parts;
  const maxVirtualSize = await parts.settings.get(MAX_VIRTUAL_SIZE);
  // For QEMU, where the storage has no file of this machine.
  const skeleton = driver.localFile ? undefined : new Skeleton(scratch);
  try {
    const inspector = new DiskInspector({
      totalSize: size,
      maxVirtualSize,
      ...(skeleton && { onMetadata: (bytes, position) => skeleton.write(bytes, position) }),
    });
    const sums = [{ name: 'SHA-256', hash: createHash('sha256'), expected: image.sha256Sum }];
    // It takes longer than all the rest, so it is left out where it was computed by this installation.
    if (!signed && image.md5Sum !== null)
      sums.push({ name: 'MD5', hash: createHash('md5'), expected: image.md5Sum });
    let bytesDone = 0;
    for await (const chunk of driver.read(path)) {
      job.signal.throwIfAborted();
      for (const { hash } of sums) hash.update(chunk);
      inspector.write(chunk);
      bytesDone += chunk.length;
      job.report({ bytesDone, bytesTotal: size });
    }
    for (const { name, hash, expected } of sums) {
      const found = hash.digest('hex');
      if (found !== expected) throw unfit(`the copy's ${name} is ${found}, not ${expected}`);
    }
    const facts = inspector.end();
    if (facts.format !== image.format || facts.virtualSize !== image.size) {
      throw unfit(
        `the copy is ${facts.format} of ${facts.virtualSize} bytes, not ${image.format} of ${image.size}`,
      );
    }
    if (inspector.unread()) {
      const { signal } = job;
      const reader = await openAtAnyPlace(driver, path, { partial: false, signal });
      await readSecondTime(inspector, { size, read: reader.read, signal }).finally(reader.close);
    }
    if (facts.format !== 'qcow2') return;
    const file = driver.localFile?.(path) ?? skeleton?.finish(size);
    const notAsked =
      file === undefined
        ? 'no file of this machine has it'
        : await askQemu(file, { scratch, signal: job.signal });
    if (notAsked) {
      parts.log.info(
        { image: image.uuid, because: notAsked },
        'qemu-img check was not asked for its opinion',
      );
    }
  } finally {
    skeleton?.remove();
  }
}
