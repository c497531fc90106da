/** What is looked at once more when all bytes are on the storages, before anybody sees them. */
import type { BackupStorages } from '../backup-storage/backup-storages.ts';
import type { DiskInspector } from '../disk/inspector.ts';
import { askQemu } from '../disk/second-opinion.ts';
import { readSecondTime } from '../disk/second-reading.ts';
import type { Log } from '../kernel/log.ts';
import type { Writer } from '../transfer/sink.ts';
import type { Copy } from './copies.ts';

/**
 * Ends the inspection with the parts whose meaning it learnt too late, and asks qemu-img check where a storage has
 * the bytes in a file of this machine. All the storages have the same bytes, so one is enough.
 * @param copies those that have all bytes, not visible yet
 * @param writers theirs, by storage; the one that has to be read elsewhere is taken out, closed with its bytes kept
 * @throws IngotError IMG.1002 when the image is refused
 */
export async function secondLook(
  parts: { storages: Pick<BackupStorages, 'driver'>; log: Log },
  inspector: DiskInspector,
  copies: readonly Copy[],
  writers: Map<string, Writer>,
  options: { askQemu: boolean; signal: AbortSignal },
): Promise<void> {
  const drivers = await Promise.all(
    copies.map(async (copy) => ({ copy, driver: await parts.storages.driver(copy.storageUuid) })),
  );
  // Reading from this machine is quicker.
  const local = drivers.find(({ driver }) => driver.localFile !== undefined);
  const first = local ?? drivers[0];
  if (first && inspector.unread()) {
    // Elsewhere, what is being written can be read only when nobody writes it any more; it is committed as after a death.
    if (!local) await close(writers, first.copy);
    await readSecondTime(inspector, (range) => first.driver.readPartial(first.copy.path, range));
  }
  if (!options.askQemu) return;
  const file = local?.driver.localFile?.(local.copy.path, { partial: true });
  const notAsked =
    file === undefined ? 'no storage of this machine has it' : await askQemu(file, options.signal);
  if (notAsked) parts.log.info({ because: notAsked }, 'qemu-img check was not asked for its opinion');
}

async function close(writers: Map<string, Writer>, { storageUuid }: Copy): Promise<void> {
  const writer = writers.get(storageUuid);
  writers.delete(storageUuid);
  await writer?.abort({ keep: true });
}
