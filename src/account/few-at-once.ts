/** Does some of what it is given at once, and the rest in line; what is `urgent` goes before what is not. */
export class FewAtOnce {
  #free: number;
  readonly #urgent: (() => void)[] = [];
  readonly #others: (() => void)[] = [];

  constructor(most: number) {
    this.#free = most;
  }

  async run<T>(work: () => Promise<T>, { urgent = false } = {}): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => (urgent ? this.#urgent : this.#others).push(resolve));
    try {
      return await work();
    } finally {
      // The place goes straight to the next one.
      const next = this.#urgent.shift() ?? this.#others.shift();
      if (next) next();
      else this.#free++;
    }
  }
}
