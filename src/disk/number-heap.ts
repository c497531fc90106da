/** Numbers that come out smallest first: a binary heap without an object for each. */
export class NumberHeap {
  #items = new Float64Array(64);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  get least(): number | undefined {
    return this.#length === 0 ? undefined : this.#items[0];
  }

  push(item: number): void {
    if (this.#length === this.#items.length) {
      const larger = new Float64Array(this.#length * 2);
      larger.set(this.#items);
      this.#items = larger;
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
