/** What the clients of a soak have seen: how long each kind of call took, and what went wrong. */
export class Figures {
  readonly failures: string[] = [];
  /** Downloaded. */
  bytes = 0;
  readonly #times = new Map<string, number[]>();

  /** A call of the kind has ended well after so many milliseconds. */
  note(name: string, milliseconds: number): void {
    const times = this.#times.get(name);
    if (times) times.push(milliseconds);
    else this.#times.set(name, [milliseconds]);
  }

  get count(): number {
    return [...this.#times.values()].reduce((sum, times) => sum + times.length, 0);
  }

  percentile(name: string, share: number): number {
    return at(this.#sorted(name), share);
  }

  longest(name: string): number {
    return at(this.#sorted(name), 1);
  }

  rows(): { name: string; count: number; p50: number; p99: number; longest: number }[] {
    return [...this.#times.keys()].sort().map((name) => {
      const times = this.#sorted(name);
      return { name, count: times.length, p50: at(times, 0.5), p99: at(times, 0.99), longest: at(times, 1) };
    });
  }

  #sorted(name: string): number[] {
    return [...(this.#times.get(name) ?? [])].sort((one, other) => one - other);
  }
}

function at(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
