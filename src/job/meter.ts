import type { Clock } from '../kernel/clock.ts';

/** How fast bytes go, over the last few seconds, in bytes a second. */
export class Meter {
  readonly #clock: Clock;
  readonly #samples: { at: number; bytes: number }[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Notes how many bytes there are by now. */
  note(bytes: number): void {
    const at = this.#clock.now();
    const last = this.#samples.at(-1);
    if (last && at - last.at < 200) return;
    this.#samples.push({ at, bytes });
    while (this.#samples.length > 2 && at - (this.#samples[0]?.at ?? at) > WINDOW) this.#samples.shift();
  }

  rate(): number {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    if (!first || !last || last.at === first.at) return 0;
    // A stall shows: the time since the last sample counts as well.
    const elapsed = Math.max(last.at, this.#clock.now() - 1000) - first.at;
    return Math.max(0, ((last.bytes - first.bytes) * 1000) / elapsed);
  }
}

const WINDOW = 5000;
