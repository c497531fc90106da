import { refusal } from './refusal.ts';

/** Clusters of a page, a bit each. Small pages, as L2 tables lie far from each other. */
const PAGE_BITS = 2048;
const PAGE_WORDS = PAGE_BITS / 32;
/** Pages are cut from larger arrays: one of its own would take as much again. */
const SLAB_PAGES = 64;
/** What a page takes, its place in the map with it (measured). */
const PAGE_BYTES = 320;

/** What the sets of one image, and all else that grows with its maps, may take together. */
export class PageBudget {
  #left: number;

  constructor(bytes: number) {
    this.#left = Math.floor(bytes / PAGE_BYTES);
  }

  /** @throws IngotError IMG.1002 when nothing is left: only a file of many TiB in small clusters needs so much */
  take(pages = 1): void {
    this.#left -= pages;
    if (this.#left >= 0) return;
    throw refusal(
      'qcow2-scattered',
      'The image is a qcow2 whose maps are scattered so widely that they can not be judged in bounded memory. Rewrite it with larger clusters: qemu-img convert -O qcow2 -o cluster_size=2M SOURCE TARGET.qcow2',
    );
  }

  takeBytes(bytes: number): void {
    this.take(Math.ceil(bytes / PAGE_BYTES));
  }
}

/** A set of cluster numbers, a bit each where any are. */
export class ClusterSet {
  readonly #budget: PageBudget;
  readonly #slabs: Uint32Array[] = [];
  /** The place of each page among all of the slabs. */
  readonly #pages = new Map<number, number>();
  /** Most clusters come in a row: the page that was asked for last, if it is there, and its first word. */
  #lastNumber = -1;
  #slab: Uint32Array | undefined;
  #first = 0;

  constructor(budget: PageBudget) {
    this.#budget = budget;
  }

  has(cluster: number): boolean {
    const bit = cluster % PAGE_BITS;
    const slab = this.#find((cluster - bit) / PAGE_BITS);
    const word = slab ? (slab[this.#first + (bit >>> 5)] as number) : 0;
    return ((word >>> (bit & 31)) & 1) === 1;
  }

  /** False where it was in already. */
  add(cluster: number): boolean {
    const bit = cluster % PAGE_BITS;
    const slab = this.#make((cluster - bit) / PAGE_BITS);
    const at = this.#first + (bit >>> 5);
    const word = slab[at] as number;
    slab[at] = word | (1 << (bit & 31));
    return ((word >>> (bit & 31)) & 1) === 0;
  }

  /** The first of the clusters [start, end) that is in, if any. */
  firstIn(start: number, end: number): number | undefined {
    for (let cluster = start; cluster < end; ) {
      const bit = cluster % PAGE_BITS;
      const slab = this.#find((cluster - bit) / PAGE_BITS);
      if (!slab) cluster += PAGE_BITS - bit;
      else if (bit % 32 === 0 && slab[this.#first + (bit >>> 5)] === 0) cluster += 32;
      else if (this.has(cluster)) return cluster;
      else cluster++;
    }
    return undefined;
  }

  addAll(start: number, end: number): void {
    for (let cluster = start; cluster < end; ) {
      const bit = cluster % PAGE_BITS;
      if (bit === 0 && end - cluster >= PAGE_BITS) {
        const slab = this.#make(cluster / PAGE_BITS);
        slab.fill(0xffffffff, this.#first, this.#first + PAGE_WORDS);
        cluster += PAGE_BITS;
      } else {
        this.add(cluster);
        cluster++;
      }
    }
  }

  #find(number: number): Uint32Array | undefined {
    if (number !== this.#lastNumber) this.#remember(number, this.#pages.get(number));
    return this.#slab;
  }

  #make(number: number): Uint32Array {
    const found = this.#find(number);
    if (found) return found;
    this.#budget.take();
    const place = this.#pages.size;
    if (place % SLAB_PAGES === 0) this.#slabs.push(new Uint32Array(SLAB_PAGES * PAGE_WORDS));
    this.#pages.set(number, place);
    this.#remember(number, place);
    return this.#slab as unknown as Uint32Array;
  }

  #remember(number: number, place: number | undefined): void {
    this.#lastNumber = number;
    this.#slab = place === undefined ? undefined : this.#slabs[Math.floor(place / SLAB_PAGES)];
    this.#first = ((place ?? 0) % SLAB_PAGES) * PAGE_WORDS;
  }
}
