import { refusal } from './refusal.ts';

/** Clusters of a page, a bit each. Small pages, as L2 tables lie far from each other. */
const PAGE_BITS = 2048;
const PAGE_WORDS = PAGE_BITS / 32;
/** What one takes, its object and its place in the map with it (measured). */
const PAGE_BYTES = 512;

/** What the sets of one image may take together. */
export class PageBudget {
  #left: number;

  constructor(bytes: number) {
    this.#left = Math.floor(bytes / PAGE_BYTES);
  }

  /** @throws IngotError IMG.1002 when nothing is left: only a file of many TiB in small clusters needs so much */
  take(): void {
    if (--this.#left >= 0) return;
    throw refusal(
      'qcow2-scattered',
      'The image is a qcow2 whose maps are scattered so widely that they can not be judged in bounded memory. Rewrite it with larger clusters: qemu-img convert -O qcow2 -o cluster_size=2M SOURCE TARGET.qcow2',
    );
  }
}

/** A set of cluster numbers, a bit each where any are. */
export class ClusterSet {
  readonly #budget: PageBudget;
  readonly #pages = new Map<number, Uint32Array>();
  /** Most clusters come in a row: the page that was asked for last. */
  #lastNumber = -1;
  #last: Uint32Array | undefined;

  constructor(budget: PageBudget) {
    this.#budget = budget;
  }

  has(cluster: number): boolean {
    const bit = cluster % PAGE_BITS;
    const word = this.#find((cluster - bit) / PAGE_BITS)?.[bit >>> 5] ?? 0;
    return ((word >>> (bit & 31)) & 1) === 1;
  }

  /** False where it was in already. */
  add(cluster: number): boolean {
    const bit = cluster % PAGE_BITS;
    const page = this.#make((cluster - bit) / PAGE_BITS);
    const word = page[bit >>> 5] as number;
    page[bit >>> 5] = word | (1 << (bit & 31));
    return ((word >>> (bit & 31)) & 1) === 0;
  }

  /** The first of the clusters [start, end) that is in, if any. */
  firstIn(start: number, end: number): number | undefined {
    for (let cluster = start; cluster < end; ) {
      const bit = cluster % PAGE_BITS;
      const page = this.#find((cluster - bit) / PAGE_BITS);
      if (!page) cluster += PAGE_BITS - bit;
      else if (bit % 32 === 0 && page[bit >>> 5] === 0) cluster += 32;
      else if (this.has(cluster)) return cluster;
      else cluster++;
    }
    return undefined;
  }

  addAll(start: number, end: number): void {
    for (let cluster = start; cluster < end; ) {
      const bit = cluster % PAGE_BITS;
      if (bit === 0 && end - cluster >= PAGE_BITS) {
        this.#make(cluster / PAGE_BITS).fill(0xffffffff);
        cluster += PAGE_BITS;
      } else {
        this.add(cluster);
        cluster++;
      }
    }
  }

  #find(number: number): Uint32Array | undefined {
    if (number !== this.#lastNumber) {
      this.#lastNumber = number;
      this.#last = this.#pages.get(number);
    }
    return this.#last;
  }

  #make(number: number): Uint32Array {
    const found = this.#find(number);
    if (found) return found;
    this.#budget.take();
    const page = new Uint32Array(PAGE_WORDS);
    this.#pages.set(number, page);
    this.#last = page;
    return page;
  }
}
