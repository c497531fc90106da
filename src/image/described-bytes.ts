/** Whether the bytes of a copy are those that were described, and would be taken in today: judged as AddImage judges. */
import { createHash } from 'node:crypto';
import type { BackupStorageDriver } from '../backup-storage/driver.ts';
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

interface Parts {
  log: Log;
  settings: Pick<Settings, 'get'>;
}

type DescribedImage = ReturnType<typeof readDescription>['image'];

/** Why a description is not taken. */
export const unfit = (reason: string) => new IngotError('IMG.1002', reason);

/**
 * Reads the copy whole, for its digest and for what it is, and once more what was understood too late; then QEMU is
 * asked.
 * @throws IngotError IMG.1002 where it is not what was described, or is refused
 */
export async function requireDescribedBytes(
  parts: Parts,
  job: Pick<Job<Message, unknown>, 'signal' | 'report'>,
  driver: BackupStorageDriver,
  path: string,
  image: DescribedImage,
): Promise<void> {
  const size = await driver.size(path);
  if (size === undefined) throw unfit('the copy that it describes is not there');
  if (size !== image.actualSize) throw unfit(`the copy has ${size} bytes, not ${image.actualSize}`);
  const maxVirtualSize = await parts.settings.get(MAX_VIRTUAL_SIZE);
  // For QEMU, where the storage has no file of this machine.
  const skeleton = driver.localFile ? undefined : new Skeleton();
  try {
    const inspector = new DiskInspector({
      totalSize: size,
      maxVirtualSize,
      ...(skeleton && { onMetadata: (bytes, position) => skeleton.write(bytes, position) }),
    });
    const hash = createHash('sha256');
    let bytesDone = 0;
    for await (const chunk of driver.read(path)) {
      job.signal.throwIfAborted();
      hash.update(chunk);
      inspector.write(chunk);
      bytesDone += chunk.length;
      job.report({ bytesDone, bytesTotal: size });
    }
    const found = hash.digest('hex');
    if (found !== image.sha256Sum) throw unfit(`the copy's SHA-256 is ${found}, not ${image.sha256Sum}`);
    const facts = inspector.end();
    if (facts.format !== image.format || facts.virtualSize !== image.size) {
      throw unfit(
        `the copy is ${facts.format} of ${facts.virtualSize} bytes, not ${image.format} of ${image.size}`,
      );
    }
    await readSecondTime(inspector, (range) => driver.read(path, range));
    if (facts.format !== 'qcow2') return;
    const file = driver.localFile?.(path) ?? skeleton?.finish(size);
    const notAsked = file === undefined ? 'no file of this machine has it' : await askQemu(file, job.signal);
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
