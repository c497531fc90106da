import type { Holds } from './cluster-runs.ts';
import { ClusterRuns } from './cluster-runs.ts';
import { DiskExtents } from './disk-extents.ts';
import { diskChain } from './layer-header.ts';
import { LayerReader } from './layer-reader.ts';
import type { Limits } from './program.ts';
import { Qcow2Plan } from './qcow2-plan.ts';
import { type DiskFile, type LayerFormat, type MapEntry, mapDisk } from './qemu-img.ts';

export interface StreamOptions {
  /** Bytes of the disk. */
  virtualSize: number;
  /**
   * Only what the disk's topmost `layers` files hold; the stream is then a disk over `backing`. Without it, all
   * there is, standing alone.
   */
  above?: { layers: number; backing?: { name: string; format: LayerFormat } };
}

/**
 * A disk as one qcow2 without holes in its file and without the layers it was made of, from the first byte to
 * the last in one pass: written nowhere before, and the same bytes each time while the disk doesn't change.
 */
export class DiskStream {
  readonly #plan: Qcow2Plan;
  readonly #reader: LayerReader;

  private constructor(plan: Qcow2Plan, reader: LayerReader) {
    this.#plan = plan;
    this.#reader = reader;
  }

  static async open(
    disk: DiskFile,
    options: StreamOptions,
    limits: Partial<Limits> = {},
  ): Promise<DiskStream> {
    const runs = new ClusterRuns();
    const holds = options.above ? holdsAbove(options.above.layers) : holdsAtAll;
    const extents = new DiskExtents();
    const onEntry = (entry: MapEntry) => {
      runs.add(entry.start, entry.length, holds(entry));
      extents.add(entry);
    };
    const [chain] = await Promise.all([diskChain(disk), mapDisk(disk, onEntry, limits)]);
    const backing = options.above?.backing;
    const plan = new Qcow2Plan({
      virtualSize: options.virtualSize,
      runs: runs.end(),
      ...(backing && { backing }),
    });
    return new DiskStream(plan, new LayerReader(disk, chain, extents));
  }

  /** Bytes of the qcow2. */
  get size(): number {
    return this.#plan.size;
  }

  /** Fills `target` with the qcow2's bytes from `position` on, which must not reach behind its end. */
  async read(target: Uint8Array, position: number, signal?: AbortSignal): Promise<void> {
    const head = Math.max(0, Math.min(target.length, this.#plan.dataStart - position));
    if (head > 0) {
      target.fill(0, 0, head);
      this.#plan.writeHead(target.subarray(0, head), position);
    }
    const parts: Promise<void>[] = [];
    for (let at = head; at < target.length; ) {
      const { diskOffset, length } = this.#plan.dataAt(position + at);
      const part = target.subarray(at, at + length);
      parts.push(this.#reader.read(part, diskOffset, signal));
      at += part.length;
    }
    await Promise.all(parts);
  }

  close(): void {
    void this.#reader.close();
  }
}

function holdsAtAll({ present, data }: MapEntry): Holds {
  return present && data ? 'data' : 'nothing';
}

function holdsAbove(layers: number): (entry: MapEntry) => Holds {
  return ({ present, data, depth }) => {
    if (!present || depth >= layers) return 'nothing';
    return data ? 'data' : 'zero';
  };
}
