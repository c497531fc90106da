/** What is looked at once more when all bytes are on the storages, before anybody sees them. */
import type { BackupStorages } from '../backup-storage/backup-storages.ts';
import type { BackupStorageDriver } from '../backup-storage/driver.ts';
import { openAtAnyPlace } from '../backup-storage/object-reader.ts';
import { DiskInspector, type InspectorOptions } from '../disk/inspector.ts';
import { askQemu } from '../disk/second-opinion.ts';
import { readSecondTime } from '../disk/second-reading.ts';
import { Skeleton } from '../disk/skeleton.ts';
import type { Log } from '../kernel/log.ts';
import type { Writer } from '../transfer/sink.ts';
import type { Copy } from './copies.ts';

interface Parts {
  storages: Pick<BackupStorages, 'driver'>;
  log: Log;
}

interface Place {
  copy: Copy;
  driver: BackupStorageDriver;
}

/** What the transfer has come to. */
interface Passed {
  bytes: number;
  inspector: DiskInspector;
  /** By storage; the one that has to be read elsewhere is taken out, closed with its bytes kept. */
  writers: Map<string, Writer>;
}

export class SecondLook {
  readonly #log: Log;
  readonly #places: readonly Place[];
  /** For QEMU, where no storage has the image in a file of this machine. */
  readonly #skeleton: Skeleton | undefined;
  /** Where QEMU's files lie; undefined where it is not asked. */
  readonly #scratch: string | undefined;

  private constructor(
    log: Log,
    places: readonly Place[],
    { skeleton, scratch }: { skeleton: Skeleton | undefined; scratch: string | undefined },
  ) {
    this.#log = log;
    this.#places = places;
    this.#skeleton = skeleton;
    this.#scratch = scratch;
  }

  /** @param foreign given where the bytes were made by somebody else: then QEMU is asked about them too */
  static async open(
    { storages, log }: Parts,
    copies: readonly Copy[],
    foreign?: { scratch: string },
  ): Promise<SecondLook> {
    const opened = await Promise.allSettled(
      copies.map(async (copy) => ({ copy, driver: await storages.driver(copy.storageUuid) })),
    );
    // One that can't be opened has no bytes to look at.
    const places = opened.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    // A local storage may be dropped on the way, or have been before a death; then the image has no opinion of QEMU's.
    const isElsewhere = !places.some(({ driver }) => driver.localFile !== undefined);
    const skeleton = foreign && isElsewhere ? new Skeleton(foreign.scratch) : undefined;
    return new SecondLook(log, places, { skeleton, scratch: foreign?.scratch });
  }

  /** The first look, for each time that the bytes begin anew. */
  inspector(options: InspectorOptions = {}): DiskInspector {
    const skeleton = this.#skeleton;
    if (!skeleton) return new DiskInspector(options);
    skeleton.clear();
    return new DiskInspector({
      ...options,
      onMetadata: (bytes, position) => skeleton.write(bytes, position),
    });
  }

  /**
   * Ends the inspection with the parts whose meaning it learnt too late, and asks qemu-img check about a foreign
   * qcow2. All the storages have the same bytes, so one is enough.
   * @throws IngotError IMG.1002 when the image is refused
   */
  async take({ bytes, inspector, writers }: Passed, { signal }: { signal: AbortSignal }): Promise<void> {
    const written = this.#places.filter(({ copy }) => writers.has(copy.storageUuid));
    // Reading from this machine is quicker.
    const local = written.find(({ driver }) => driver.localFile !== undefined);
    const first = local ?? written[0];
    if (first && inspector.unread()) {
      // Elsewhere, what is being written can be read only when nobody writes it any more; it is committed as after a death.
      if (!local) await close(writers, first.copy);
      const { driver, copy } = first;
      const reader = await openAtAnyPlace(driver, copy.path, { partial: true, signal });
      await readSecondTime(inspector, { size: bytes, read: reader.read, signal }).finally(reader.close);
    }
    const scratch = this.#scratch;
    if (scratch === undefined || inspector.end().format !== 'qcow2') return;
    const file =
      local?.driver.localFile?.(local.copy.path, { partial: true }) ?? this.#skeleton?.finish(bytes);
    const notAsked =
      file === undefined ? 'no file of this machine has it' : await askQemu(file, { scratch, signal });
    if (notAsked) this.#log.info({ because: notAsked }, 'qemu-img check was not asked for its opinion');
  }

  close(): void {
    this.#skeleton?.remove();
  }
}

async function close(writers: Map<string, Writer>, { storageUuid }: Copy): Promise<void> {
  const writer = writers.get(storageUuid);
  writers.delete(storageUuid);
  await writer?.abort({ keep: true });
}
