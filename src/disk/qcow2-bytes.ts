import type { PageBudget } from './cluster-set.ts';

/** Places of the L1 table that are kept together: few, as those that are used may lie far from each other. */
const PAGE_PLACES = 64;
/** What such a page takes, its object and its place in the map with it (measured). */
const PAGE_BYTES = 1024;

/**
 * How many bytes of the file the disk has at least, and so has whatever it becomes when it is reverted to a snapshot.
 * Each of these takes at each place of its L1 table one of the L2 tables that were named for the place. So none has
 * more than all places together where each counts with the largest of its tables.
 *
 * And that is no more than the file has beside its metadata, where no bytes are at two places of a disk: who changes a
 * cluster that is shared copies it, and the copy is at the same place of the disk. More is a bomb, whichever snapshot it
 * hides in.
 */
export class DiskBytes {
  readonly #budget: PageBudget;
  /** The bytes of the largest table at each place; without snapshots there is but one. */
  readonly #largest: Map<number, Float64Array<ArrayBuffer>> | undefined;
  #page = new Float64Array(PAGE_PLACES);
  #at = 0;
  #table = 0;
  #total = 0;

  constructor(budget: PageBudget, options: { hasSnapshots: boolean }) {
    this.#budget = budget;
    if (options.hasSnapshots) this.#largest = new Map();
  }

  get total(): number {
    return this.#total;
  }

  /** What is added from now on is in an L2 table at this place of an L1 table. */
  open(index: number): void {
    this.#table = 0;
    this.#at = index % PAGE_PLACES;
    if (this.#largest) this.#page = this.#pageAt(this.#largest, Math.floor(index / PAGE_PLACES));
    else this.#page[this.#at] = 0;
  }

  /** @returns the bytes in all */
  add(bytes: number): number {
    this.#table += bytes;
    const more = this.#table - (this.#page[this.#at] as number);
    if (more > 0) {
      this.#page[this.#at] = this.#table;
      this.#total += more;
    }
    return this.#total;
  }

  #pageAt(pages: Map<number, Float64Array<ArrayBuffer>>, number: number): Float64Array<ArrayBuffer> {
    const found = pages.get(number);
    if (found) return found;
    this.#budget.takeBytes(PAGE_BYTES);
    const page = new Float64Array(PAGE_PLACES);
    pages.set(number, page);
    return page;
  }
}

/** Bytes of the smallest that a whole cluster can be compressed to, whatever is in it. */
export function leastPacked(clusterSize: number, compression: 'zlib' | 'zstd'): number {
  // Of deflate, two bits stand for 258 bytes at most; of zstd, a block of 4 bytes for 128 KiB, behind a header of 6.
  return compression === 'zlib' ? Math.ceil(clusterSize / 1032) : 6 + 4 * Math.ceil(clusterSize / 2 ** 17);
}
