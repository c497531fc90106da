import { type Clock, sleep } from '../kernel/clock.ts';
import { IngotError } from '../kernel/errors.ts';

export interface ThrottleLimits {
  /** Failures that cost nothing: somebody may mistype. */
  free: number;
  /** The wait after the first failure that costs, in milliseconds; it doubles with each further one. */
  firstWait: number;
  longestWait: number;
  /** Attempts that may be under way: many while no wait is due, few from then on. */
  atOnce: number;
  atOnceWithWaits: number;
}

/** How long a failure counts, in milliseconds. */
const MEMORY = 15 * 60_000;
/** Keys that are kept without waits being due, and as many with. */
const MOST_KEPT = 10_000;

interface Attempts {
  /** When they failed, oldest first; no more of them than lengthen the wait. */
  failures: number[];
  /** How many there were in all, for who reads the log. */
  total: number;
  /** Attempts that have begun and not ended, and how many of those have had their turn. */
  underWay: number;
  inTurn: number;
  /** Ends with the last attempt so far that had, or waits for, its turn. */
  tail: Promise<unknown>;
}

/** One attempt, from its beginning to its end. */
export interface Attempt {
  /** Waits until it is its turn. */
  turn(): Promise<void>;
  /** The same for who can't wait: refuses where a wait is due. */
  turnNow(): void;
  /** It was a wrong guess. Returns how many there were. */
  failed(): number;
  /** What failed before is forgotten. */
  forgive(): void;
  end(): void;
}

/**
 * Slows down who fails: attempts under one key come one after another, however many are made at once, and further and
 * further apart. In this process's memory.
 */
export class Throttle {
  readonly #clock: Clock;
  readonly #limits: ThrottleLimits;
  /** The key that failed last stands at the end. Those with waits are by themselves: no number of others has them lost. */
  readonly #without = new Map<string, Attempts>();
  readonly #withWaits = new Map<string, Attempts>();

  constructor(clock: Clock, limits: ThrottleLimits) {
    this.#clock = clock;
    this.#limits = limits;
  }

  /** Begins an attempt; ID.1000 where too many are under way. `whose` stands in the sentence after "failed log-ins". */
  begin(key: string, whose: string): Attempt {
    const attempts = this.#attemptsOf(key);
    const { free, atOnce, atOnceWithWaits } = this.#limits;
    if (attempts.underWay >= (attempts.failures.length < free ? atOnce : atOnceWithWaits))
      throw this.#refusal(attempts, `${whose} and others are waiting`);
    attempts.underWay++;
    let leave = () => {};
    const takeTurn = () => {
      const before = attempts.tail;
      attempts.inTurn++;
      const left = new Promise<void>((resolve) => {
        leave = () => {
          attempts.inTurn--;
          resolve();
        };
      });
      attempts.tail = before.then(() => left);
      return before;
    };
    return {
      turn: async () => {
        // Whatever is in its turn may fail, too.
        const isFree = this.#recent(attempts) + attempts.inTurn < free;
        const before = takeTurn();
        if (isFree) return;
        await before;
        const wait = this.#waitOf(attempts);
        if (wait > 0) await sleep(wait);
      },
      turnNow: () => {
        const isFree = this.#recent(attempts) + attempts.inTurn < free;
        if (!isFree && (attempts.inTurn > 0 || this.#waitOf(attempts) > 0))
          throw this.#refusal(attempts, whose);
        takeTurn();
      },
      failed: () => {
        attempts.failures.push(this.#clock.now());
        if (this.#pause(attempts.failures.length - 1) === this.#limits.longestWait) attempts.failures.shift();
        this.#keep(key, attempts);
        return ++attempts.total;
      },
      forgive: () => {
        attempts.failures = [];
        attempts.total = 0;
      },
      end: () => {
        leave();
        attempts.underWay--;
        if (attempts.underWay === 0 && attempts.failures.length === 0) this.#forget(key);
      },
    };
  }

  #attemptsOf(key: string): Attempts {
    const known = this.#withWaits.get(key) ?? this.#without.get(key);
    if (known) {
      if (this.#recent(known) === 0) known.total = 0;
      return known;
    }
    const fresh = { failures: [], total: 0, underWay: 0, inTurn: 0, tail: Promise.resolve() };
    this.#keep(key, fresh);
    return fresh;
  }

  /** How many failures count. */
  #recent({ failures }: Attempts): number {
    const past = this.#clock.now() - MEMORY;
    while (failures[0] !== undefined && failures[0] <= past) failures.shift();
    return failures.length;
  }

  /** Milliseconds from now on. */
  #waitOf(attempts: Attempts): number {
    const count = this.#recent(attempts);
    return (attempts.failures.at(-1) ?? 0) + this.#pause(count) - this.#clock.now();
  }

  #pause(failures: number): number {
    const { free, firstWait, longestWait } = this.#limits;
    return failures < free ? 0 : Math.min(longestWait, firstWait * 2 ** (failures - free));
  }

  #refusal({ failures, total }: Attempts, whose: string): IngotError {
    const seconds = Math.max(1, Math.ceil(this.#pause(failures.length) / 1000));
    return new IngotError(
      'ID.1000',
      `there were ${total} failed log-ins ${whose}; try again in ${seconds} s`,
      { retryable: true },
    );
  }

  #keep(key: string, attempts: Attempts): void {
    this.#forget(key);
    const kept = attempts.failures.length < this.#limits.free ? this.#without : this.#withWaits;
    kept.set(key, attempts);
    if (kept.size <= MOST_KEPT) return;
    for (const [oldest, { underWay }] of kept) {
      if (underWay > 0) continue;
      kept.delete(oldest);
      return;
    }
  }

  #forget(key: string): void {
    this.#without.delete(key);
    this.#withWaits.delete(key);
  }
}
