import type { PageBudget } from './cluster-set.ts';

/** Numbers that come out smallest first: a binary heap without an object for each. */
export class NumberHeap {
  readonly #budget: PageBudget;
  #items: Float64Array<ArrayBuffer> = new Float64Array(64);
  #length = 0;

  constructor(budget: PageBudget) {
    this.#budget = budget;
  }

  get length(): number {
    return this.#length;
  }

  get least(): number | undefined {
    return this.#length === 0 ? undefined : this.#items[0];
  }

  push(item: number): void {
    if (this.#length === this.#items.length) {
      this.#budget.takeBytes(this.#items.byteLength);
      // The smaller one's memory is free at once, not when the collector comes by.
      this.#items = new Float64Array(this.#items.buffer.transfer(this.#items.byteLength * 2));
    }
    const items = this.#items;
    let at = this.#length++;
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      const above = items[parent] as number;
      if (above <= item) break;
      items[at] = above;
      at = parent;
    }
    items[at] = item;
  }

  pop(): number | undefined {
    if (this.#length === 0) return undefined;
    const items = this.#items;
    const least = items[0];
    const item = items[--this.#length] as number;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.#length) break;
      if (child + 1 < this.#length && (items[child + 1] as number) < (items[child] as number)) child++;
      const below = items[child] as number;
      if (below >= item) break;
      items[at] = below;
      at = child;
    }
    items[at] = item;
    return least;
  }
}
