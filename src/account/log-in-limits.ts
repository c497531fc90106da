/** How fast passwords may be tried: for an account from an address, from an address, and in the whole process. */
import type { Clock } from '../kernel/clock.ts';
import { IngotError } from '../kernel/errors.ts';
import { originOf } from '../transfer/origin.ts';
import { type Attempt, Throttle } from './throttle.ts';

/** Who guesses at one account. */
const PAIR = { free: 3, firstWait: 250, longestWait: 8000, atOnce: 200, atOnceWithWaits: 3 };
/** Who tries one password on many accounts. Milder, as a whole office may share an address. */
const ADDRESS = { free: 20, firstWait: 250, longestWait: 2000, atOnce: 400, atOnceWithWaits: 20 };
/** Strangers whose passwords are being computed, or will be next, from wherever: some seconds' work (password.ts). */
const MOST_STRANGERS = 500;
/** Strangers who wait for their turn, which costs next to nothing. */
const MOST_WAITING = 20_000;
/** How long somebody who has logged in is no stranger, in milliseconds. */
const ACQUAINTANCE = 7 * 24 * 3_600_000;
const MOST_KNOWN = 10_000;

export interface Guess {
  /** Whether this account was logged in to from this address lately. */
  isKnown: boolean;
  /** It was wrong. Returns how many were, for this account from this address. */
  failed(): number;
}

export class LogInLimits {
  readonly #clock: Clock;
  readonly #pairs: Throttle;
  readonly #addresses: Throttle;
  /** When an account was last logged in to from an address, the latest at the end. */
  readonly #known = new Map<string, number>();
  #strangers = 0;
  #waiting = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#pairs = new Throttle(clock, PAIR);
    this.#addresses = new Throttle(clock, ADDRESS);
  }

  /**
   * Does `work` when its turn has come. Whoever has logged in to the account from that address waits for no failures
   * but those on that account: others behind the same address can't shut him out.
   */
  async logIn<T>(
    { from, name }: { from: string; name: string },
    work: (guess: Guess) => Promise<T>,
  ): Promise<T> {
    const origin = originOf(from);
    const key = keyOf(origin, name);
    const isKnown = this.#isKnown(key);
    if (!isKnown && this.#waiting >= MOST_WAITING) throw tooMany(this.#waiting);
    const pair = this.#pairs.begin(key, `to '${name}' from ${origin}`);
    let address: Attempt | undefined;
    try {
      if (!isKnown) {
        address = this.#addresses.begin(origin, `from ${origin}`);
        this.#waiting++;
      }
      // In this order: nobody else at the address waits for what one account has it wait for.
      await pair.turn();
      await address?.turn();
      const guess = {
        isKnown,
        failed: () => {
          address?.failed();
          return pair.failed();
        },
      };
      const result = isKnown ? await work(guess) : await this.#asStranger(() => work(guess));
      pair.forgive();
      this.#remember(key);
      return result;
    } finally {
      pair.end();
      if (address) {
        address.end();
        this.#waiting--;
      }
    }
  }

  /** Only those count whose turn it is: who has to wait for his own failures keeps no place from others. */
  async #asStranger<T>(work: () => Promise<T>): Promise<T> {
    if (this.#strangers >= MOST_STRANGERS) throw tooMany(this.#strangers);
    this.#strangers++;
    try {
      return await work();
    } finally {
      this.#strangers--;
    }
  }

  /** The same for a password that somebody gives who is logged in; it is refused where it would have to wait. */
  async check(
    { from, name }: { from: string; name: string },
    isRight: () => Promise<boolean>,
  ): Promise<boolean> {
    const origin = originOf(from);
    const pair = this.#pairs.begin(keyOf(origin, name), `to '${name}' from ${origin}`);
    try {
      pair.turnNow();
      const right = await isRight();
      if (right) pair.forgive();
      else pair.failed();
      return right;
    } finally {
      pair.end();
    }
  }

  #isKnown(key: string): boolean {
    const last = this.#known.get(key);
    return last !== undefined && this.#clock.now() - last < ACQUAINTANCE;
  }

  #remember(key: string): void {
    this.#known.delete(key);
    this.#known.set(key, this.#clock.now());
    const [oldest] = this.#known.keys();
    if (this.#known.size > MOST_KNOWN && oldest !== undefined) this.#known.delete(oldest);
  }
}

const tooMany = (count: number) =>
  new IngotError('ID.1000', `${count} log-ins are under way; try again in 5 s`, { retryable: true });

const keyOf = (origin: string, name: string) => `${origin} ${name.toLowerCase()}`;
