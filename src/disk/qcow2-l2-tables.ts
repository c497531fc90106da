import { randomInt } from 'node:crypto';
import type { PageBudget } from './cluster-set.ts';
import { damaged } from './refusal.ts';

/** What a known table's number says beside its place in the L1 table, which has 22 bits at most. */
const OWN = 1;
const READ = 2;
const INDEX = 4;

/** What is to be done with a table that an entry of an L1 table has named. */
export type Naming = 'new' | 'known' | 'read-again';

/**
 * The L2 tables that were heard of, each with its place in the L1 table. A snapshot has a copy of the disk's L1 table,
 * so that all who share an L2 table have it at the same place; one that is at two would be a disk's data twice.
 */
export class L2Tables {
  readonly #numbers: ClusterNumbers;

  constructor(budget: PageBudget) {
    this.#numbers = new ClusterNumbers(budget);
  }

  /** @param table its cluster; `index` its place in an L1 table, of the disk itself or of a snapshot */
  name(table: number, start: number, index: number, own: boolean): Naming {
    const known = this.#numbers.get(table);
    if (known === undefined) {
      this.#numbers.set(table, index * INDEX + (own ? OWN : 0));
      return 'new';
    }
    const isOwn = (known & OWN) !== 0;
    if (indexOf(known) !== index || (own && isOwn))
      throw damaged(`two of its L2 tables are at byte ${start}`);
    if (!own) return 'known';
    this.#numbers.set(table, known | OWN);
    // What was read as a snapshot's has yet to be held against the disk's own.
    return (known & READ) === 0 ? 'known' : 'read-again';
  }

  /** The table is going to be read, as whose it is known to be by now. */
  open(table: number): { index: number; own: boolean } {
    const known = this.#numbers.get(table) ?? 0;
    this.#numbers.set(table, known | READ);
    return { index: indexOf(known), own: (known & OWN) !== 0 };
  }
}

function indexOf(known: number): number {
  return Math.floor(known / INDEX);
}

const SEGMENTS = 64;
const FIRST_SLOTS = 16;
const SLOT_BYTES = 12;
const FULL = { least: 0.4, most: 0.8 };

/**
 * A number of 31 bits for each of many clusters: a hash table without an object for each. It is in segments that grow
 * at different loads, one after the other, so that no step has to move all of it.
 */
export class ClusterNumbers {
  readonly #budget: PageBudget;
  readonly #segments: (Segment | undefined)[] = new Array(SEGMENTS).fill(undefined);
  /** Who makes an image can't know which clusters meet in one slot. */
  readonly #seed = randomInt(2 ** 32);

  constructor(budget: PageBudget) {
    this.#budget = budget;
  }

  get(cluster: number): number | undefined {
    const hash = this.#hash(cluster);
    const segment = this.#segments[hash % SEGMENTS];
    if (!segment) return undefined;
    const slot = find(segment, cluster, hash);
    return segment.clusters[slot] === cluster ? segment.numbers[slot] : undefined;
  }

  /** @param cluster not 0 */
  set(cluster: number, number: number): void {
    const hash = this.#hash(cluster);
    const at = hash % SEGMENTS;
    this.#segments[at] ??= this.#segment(FIRST_SLOTS);
    let segment = this.#segments[at] as Segment;
    let slot = find(segment, cluster, hash);
    if (segment.clusters[slot] !== cluster) {
      const load = FULL.least + ((FULL.most - FULL.least) * at) / SEGMENTS;
      if (segment.used >= segment.clusters.length * load) {
        segment = this.#grow(segment);
        this.#segments[at] = segment;
        slot = find(segment, cluster, hash);
      }
      segment.clusters[slot] = cluster;
      segment.used++;
    }
    segment.numbers[slot] = number;
  }

  #segment(slots: number): Segment {
    // A grown one takes the place of one of half its size.
    this.#budget.takeBytes((slots === FIRST_SLOTS ? slots : slots / 2) * SLOT_BYTES);
    return { clusters: new Float64Array(slots), numbers: new Uint32Array(slots), used: 0 };
  }

  #grow(from: Segment): Segment {
    const to = this.#segment(from.clusters.length * 2);
    to.used = from.used;
    for (let at = 0; at < from.clusters.length; at++) {
      const cluster = from.clusters[at] as number;
      if (cluster === 0) continue;
      const slot = find(to, cluster, this.#hash(cluster));
      to.clusters[slot] = cluster;
      to.numbers[slot] = from.numbers[at] as number;
    }
    // Its memory is free at once, not when the collector comes by.
    from.clusters.buffer.transfer(0);
    from.numbers.buffer.transfer(0);
    return to;
  }

  /** Mixes all bits into all bits (the end of MurmurHash3). */
  #hash(cluster: number): number {
    const high = Math.floor(cluster / 2 ** 32);
    let hash = (cluster ^ this.#seed ^ Math.imul(high, 0x9e3779b1)) >>> 0;
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    return (hash ^ (hash >>> 16)) >>> 0;
  }
}

interface Segment {
  /** A power of two of slots; 0 in those that are free. */
  clusters: Float64Array<ArrayBuffer>;
  numbers: Uint32Array<ArrayBuffer>;
  used: number;
}

/** The cluster's slot, or the free one where it would be. */
function find({ clusters }: Segment, cluster: number, hash: number): number {
  const mask = clusters.length - 1;
  let slot = Math.floor(hash / SEGMENTS) & mask;
  while (clusters[slot] !== 0 && clusters[slot] !== cluster) slot = (slot + 1) & mask;
  return slot;
}
