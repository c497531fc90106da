/**
 * Rows of reads that take their time and came more than once lately, as the last commit left them: a console that shows
 * a list, a client that polls. Turning SQLite's values into JavaScript's is most of what such a call costs.
 */

type Rows = readonly unknown[][];

/** Values of all kept rows together: 2 MiB or so. */
const MOST_VALUES = 30_000;
/** Characters of what was asked once, in all; and of one question. */
const MOST_SEEN = 2_000_000;
const LONGEST_SEEN = 100_000;
/** Milliseconds: what is read sooner is not kept, as asking whether it is still right takes some of them, too. */
const WORTHWHILE = 0.03;
/** What keeping a short one takes as well. */
const OVERHEAD = 100;

/** What gives another answer though nothing was written. */
const FICKLE = /\b(unixepoch|random|randomblob|current_\w+|strftime|julianday|datetime|changes)\b/i;

/** What is known of one statement, by the values that it is asked with. */
interface Known {
  /** Asked once so far. */
  readonly seen: Set<string>;
  readonly kept: Map<string, Rows>;
}

export class ResultCache {
  readonly #worthwhile: number;
  #version: unknown;
  #known = new Map<string, Known>();
  /** Those of them that have rows. */
  readonly #filled = new Set<Known>();
  /** Characters of the statements and keys that were seen, and values of the rows that are kept. */
  #seen = 0;
  #values = 0;

  constructor({ worthwhile = WORTHWHILE } = {}) {
    this.#worthwhile = worthwhile;
  }

  /**
   * The rows, if they are known; else `read` has to say. `version` differs after each commit of whomever; it is asked
   * only for what comes again, before it is read.
   */
  rows(version: () => unknown, text: string, parameters: readonly unknown[], read: () => Rows): Rows {
    const key = keyOf(parameters);
    if (key === undefined || text.length > LONGEST_SEEN) return read();
    const known = this.#known.get(text);
    // What comes once is not kept: it would only be in the way.
    if (!known?.seen.has(key)) {
      const began = performance.now();
      const rows = read();
      if (performance.now() - began >= this.#worthwhile) this.#note(text, key);
      return rows;
    }
    this.#forgetUnless(version());
    const kept = known.kept.get(key);
    if (kept) return kept;
    const rows = read();
    this.#keep(known, key, text, rows);
    return rows;
  }

  #note(text: string, key: string): void {
    let known = this.#known.get(text);
    if (!known) {
      known = { seen: new Set(), kept: new Map() };
      this.#known.set(text, known);
      this.#seen += text.length + 3 * OVERHEAD;
    }
    known.seen.add(key);
    this.#seen += key.length + OVERHEAD;
    if (this.#seen > MOST_SEEN) this.#clear();
  }

  #keep(known: Known, key: string, text: string, rows: Rows): void {
    const values = rows.length * (rows[0]?.length ?? 0) + 1;
    if (values > MOST_VALUES / 2 || FICKLE.test(text)) return;
    if (this.#values + values > MOST_VALUES) this.#dropRows();
    known.kept.set(key, rows);
    this.#filled.add(known);
    this.#values += values;
  }

  #forgetUnless(version: unknown): void {
    if (version === this.#version) return;
    this.#version = version;
    this.#dropRows();
  }

  #dropRows(): void {
    for (const { kept } of this.#filled) kept.clear();
    this.#filled.clear();
    this.#values = 0;
  }

  #clear(): void {
    this.#dropRows();
    this.#known = new Map();
    this.#seen = 0;
  }
}

/** Undefined where values are too long, or of kinds that are not looked up. */
function keyOf(parameters: readonly unknown[]): string | undefined {
  let key = '';
  for (const value of parameters) {
    if (typeof value === 'string') key += `\n${value.length}:${value}`;
    else if (typeof value === 'number') key += `\n${value}`;
    else return undefined;
    if (key.length > LONGEST_SEEN) return undefined;
  }
  return key;
}
