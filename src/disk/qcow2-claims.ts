import { ClusterSet, type PageBudget } from './cluster-set.ts';
import { damaged } from './refusal.ts';

/**
 * What each cluster of a qcow2 is used for, as far as its maps have told. One use excludes others: metadata that
 * lie in data could be written by a guest, and a table that is its own entry would never end.
 *
 * Only what the format allows to be shared may be: an L2 table and a cluster of data between the disk and its
 * snapshots, and a cluster of the file between several compressed ones.
 */
export class ClusterClaims {
  readonly #clusterSize: number;
  readonly #metadata: ClusterSet;
  /** Plain clusters of the disk itself. */
  readonly #ownData: ClusterSet;
  /** Plain clusters of snapshots. */
  readonly #otherData: ClusterSet;
  readonly #packed: ClusterSet;
  #metadataClusters = 0;

  constructor(clusterSize: number, budget: PageBudget) {
    this.#clusterSize = clusterSize;
    this.#metadata = new ClusterSet(budget);
    this.#ownData = new ClusterSet(budget);
    this.#otherData = new ClusterSet(budget);
    this.#packed = new ClusterSet(budget);
  }

  /** Metadata own their clusters whole. Bytes; `start` is where a cluster begins. */
  metadata(name: string, start: number, end: number): void {
    const first = start / this.#clusterSize;
    const stop = Math.ceil(end / this.#clusterSize);
    for (const set of [this.#metadata, this.#ownData, this.#otherData, this.#packed]) {
      const taken = set.firstIn(first, stop);
      if (taken === undefined) continue;
      const what = set === this.#metadata ? 'other metadata' : 'data';
      throw damaged(
        `its ${name} at byte ${start} reaches over byte ${taken * this.#clusterSize}, where ${what} are`,
      );
    }
    this.#metadata.addAll(first, stop);
    this.#metadataClusters += stop - first;
  }

  /** Bytes of the clusters that metadata own. */
  get metadataBytes(): number {
    return this.#metadataClusters * this.#clusterSize;
  }

  /** A plain cluster, of the disk itself or of a snapshot. */
  data(start: number, own: boolean): void {
    const cluster = start / this.#clusterSize;
    if (this.#metadata.has(cluster))
      throw damaged(`a cluster of data is at byte ${start}, where metadata are`);
    if (this.#packed.has(cluster)) {
      throw damaged(`a cluster of data is at byte ${start}, where compressed data are`);
    }
    if (!own) this.#otherData.add(cluster);
    else if (!this.#ownData.add(cluster)) throw damaged(`two clusters of data are at byte ${start}`);
  }

  /** Compressed data, which lie anywhere: bytes [start, end). */
  packed(start: number, end: number): void {
    const stop = Math.ceil(end / this.#clusterSize);
    for (let cluster = Math.floor(start / this.#clusterSize); cluster < stop; cluster++) {
      if (this.#metadata.has(cluster)) {
        throw damaged(`a compressed cluster reaches from byte ${start} into metadata`);
      }
      if (this.#ownData.has(cluster) || this.#otherData.has(cluster)) {
        throw damaged(`a compressed cluster reaches from byte ${start} into a cluster of plain data`);
      }
      this.#packed.add(cluster);
    }
  }

  /** Whether the byte is in a cluster that a guest has written: data of the disk, its snapshots or bitmaps. */
  isData(position: number): boolean {
    const cluster = Math.floor(position / this.#clusterSize);
    return [this.#ownData, this.#otherData, this.#packed].some((set) => set.has(cluster));
  }
}
