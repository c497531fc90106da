import { type Clock, sleep } from '../kernel/clock.ts';
import { IngotError } from '../kernel/errors.ts';

/** Failures that cost nothing: somebody may mistype. */
const FREE = 3;
/** The wait after the first failure that costs, in milliseconds; it doubles with each further one. */
const FIRST_WAIT = 250;
const LONGEST_WAIT = 8000;
/** Attempts that may wait for one another: many for who has not failed, few for who has. */
const QUEUE = 200;
const QUEUE_AFTER_FAILURES = 3;
/** Without a failure for so long, in milliseconds, all is forgotten. */
const MEMORY = 15 * 60_000;
const MOST_KEPT = 10_000;

interface Attempts {
  failures: number;
  lastFailure: number;
  waiting: number;
  /** Ends with the last attempt so far. */
  tail: Promise<unknown>;
}

/**
 * Slows down who fails to log in: attempts under one key (an account and an address) come one after another,
 * however many are made at once, and further and further apart. In this process's memory.
 */
export class Throttle {
  readonly #clock: Clock;
  readonly #known = new Map<string, Attempts>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Does `work` when its turn has come. `work` says by `failed` that it was a wrong guess. */
  async attempt<T>(key: string, work: (failed: () => number) => Promise<T>): Promise<T> {
    const attempts = this.#attemptsOf(key);
    const slowed = attempts.failures >= FREE;
    if (attempts.waiting >= (slowed ? QUEUE_AFTER_FAILURES : QUEUE)) {
      throw new IngotError(
        'ID.1000',
        `there were ${attempts.failures} failed log-ins and others are waiting; try again in ${Math.ceil(pause(attempts.failures) / 1000)} s`,
        { retryable: true },
      );
    }
    attempts.waiting++;
    const mine = attempts.tail.then(async () => {
      const wait = attempts.lastFailure + pause(attempts.failures) - this.#clock.now();
      if (wait > 0) await sleep(wait);
      let failed = false;
      const result = await work(() => {
        failed = true;
        attempts.lastFailure = this.#clock.now();
        return ++attempts.failures;
      }).finally(() => {
        attempts.waiting--;
        if (!failed && attempts.waiting === 0 && this.#known.get(key) === attempts) this.#known.delete(key);
      });
      attempts.failures = 0;
      return result;
    });
    attempts.tail = mine.catch(() => {});
    return mine;
  }

  #attemptsOf(key: string): Attempts {
    const known = this.#known.get(key);
    if (known && (known.waiting > 0 || this.#clock.now() - known.lastFailure < MEMORY)) return known;
    const fresh = { failures: 0, lastFailure: 0, waiting: 0, tail: Promise.resolve() };
    this.#known.set(key, fresh);
    if (this.#known.size > MOST_KEPT) this.#known.delete(this.#known.keys().next().value ?? '');
    return fresh;
  }
}

function pause(failures: number): number {
  return failures < FREE ? 0 : Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** (failures - FREE));
}
