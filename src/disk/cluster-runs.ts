/** Which clusters of a disk hold something, as runs in the order of the disk. */

/** Cluster size of every qcow2 that we write: QEMU's own default. Bytes. */
export const CLUSTER_BYTES = 65536;

export interface ClusterRun {
  /** First cluster of the disk. */
  start: number;
  count: number;
  /** False where the clusters read as zeros whatever a backing file has there. */
  data: boolean;
}

export type Holds = 'data' | 'zero' | 'nothing';

/** Gathers runs from extents, which come in the disk's order and may begin and end inside a cluster. */
export class ClusterRuns {
  readonly runs: ClusterRun[] = [];
  /** The cluster that the last extent ended in. */
  #open: { cluster: number; data: boolean; zero: boolean; nothing: boolean } | undefined;

  add(start: number, length: number, holds: Holds): void {
    let cluster = Math.floor(start / CLUSTER_BYTES);
    const end = start + length;
    if (this.#open?.cluster === cluster || start % CLUSTER_BYTES !== 0) {
      this.#note(cluster, holds);
      cluster++;
    }
    const whole = Math.floor(end / CLUSTER_BYTES) - cluster;
    if (whole > 0) {
      this.#close();
      this.#append(cluster, whole, holds);
      cluster += whole;
    }
    if (end > cluster * CLUSTER_BYTES) this.#note(cluster, holds);
  }

  end(): ClusterRun[] {
    this.#close();
    return this.runs;
  }

  #note(cluster: number, holds: Holds): void {
    if (this.#open?.cluster !== cluster) {
      this.#close();
      this.#open = { cluster, data: false, zero: false, nothing: false };
    }
    this.#open[holds] = true;
  }

  #close(): void {
    const open = this.#open;
    this.#open = undefined;
    if (!open) return;
    // Partly zero and partly what is below: only reading it tells.
    const mixed = open.zero && open.nothing;
    this.#append(open.cluster, 1, open.data || mixed ? 'data' : open.zero ? 'zero' : 'nothing');
  }

  #append(start: number, count: number, holds: Holds): void {
    if (holds === 'nothing') return;
    const data = holds === 'data';
    const last = this.runs.at(-1);
    if (last && last.data === data && last.start + last.count === start) last.count += count;
    else this.runs.push({ start, count, data });
  }
}
