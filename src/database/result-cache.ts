/**
 * Rows of reads that came more than once since the last commit: a console that shows a list, a client that polls, the
 * session of each call. Turning SQLite's values into JavaScript's is most of what such a call costs.
 */

type Rows = readonly unknown[][];

/** Values of all kept rows together: 2 MiB or so. */
const MOST_VALUES = 30_000;
const MOST_SEEN = 1000;

/** What gives another answer though nothing was written. */
const FICKLE = /\b(unixepoch|random|randomblob|current_\w+|strftime|julianday|datetime|changes)\b/i;

export class ResultCache {
  #version: unknown;
  readonly #seen = new Set<string>();
  readonly #kept = new Map<string, Rows>();
  #values = 0;

  /** The rows, if they are known; else `read` has to say. `version` differs after each commit of whomever. */
  rows(version: unknown, text: string, parameters: readonly unknown[], read: () => Rows): Rows {
    if (version !== this.#version) this.#forget(version);
    const key = keyOf(text, parameters);
    const known = key === undefined ? undefined : this.#kept.get(key);
    if (known) return known;
    const rows = read();
    // What comes once is not kept: it would only be in the way.
    if (key !== undefined && this.#seen.has(key)) this.#keep(key, text, rows);
    else if (key !== undefined) {
      if (this.#seen.size >= MOST_SEEN) this.#seen.clear();
      this.#seen.add(key);
    }
    return rows;
  }

  #keep(key: string, text: string, rows: Rows): void {
    const values = rows.length * (rows[0]?.length ?? 0) + 1;
    if (values > MOST_VALUES / 2 || FICKLE.test(text)) return;
    if (this.#values + values > MOST_VALUES) this.#forget(this.#version);
    this.#kept.set(key, rows);
    this.#values += values;
  }

  #forget(version: unknown): void {
    this.#version = version;
    this.#seen.clear();
    this.#kept.clear();
    this.#values = 0;
  }
}

/** Undefined where values are of kinds that are not looked up. */
function keyOf(text: string, parameters: readonly unknown[]): string | undefined {
  let key = text;
  for (const value of parameters) {
    if (typeof value === 'string') key += `\n${value.length}:${value}`;
    else if (typeof value === 'number') key += `\n${value}`;
    else return undefined;
  }
  return key;
}
