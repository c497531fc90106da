/** What the clients of a soak have seen: how long each kind of call took, and what went wrong. */
export class Figures {
  readonly failures: string[] = [];
  /** Downloaded. */
  bytes = 0;
  readonly #times = new Map<string, number[]>();
  /** By kind, then by client. */
  readonly #ofClients = new Map<string, Map<string, number[]>>();

  /** The client's call of the kind has ended well after so many milliseconds. */
  note(name: string, client: string, milliseconds: number): void {
    add(this.#times, name, milliseconds);
    let ofClients = this.#ofClients.get(name);
    if (!ofClients) {
      ofClients = new Map();
      this.#ofClients.set(name, ofClients);
    }
    add(ofClients, client, milliseconds);
  }

  get count(): number {
    return [...this.#times.values()].reduce((sum, times) => sum + times.length, 0);
  }

  percentile(name: string, share: number): number {
    return at(this.#sorted(name), share);
  }

  /** The mean of the client that waited longest on the average, in the mean of all. */
  unfairness(name: string): number {
    const means = [...(this.#ofClients.get(name)?.values() ?? [])].map(mean);
    return Math.max(...means) / mean(means);
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

function add(map: Map<string, number[]>, key: string, value: number): void {
  const values = map.get(key);
  if (values) values.push(value);
  else map.set(key, [value]);
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

function at(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
