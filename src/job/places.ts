/** Who may have the places that jobs run in. */
import type { Message } from '../kernel/message.ts';
import type { ClaimFilter } from './job-rows.ts';
import { jobNameOf } from './long-job.ts';
import type { AnyOperation, JobOperation } from './operation.ts';

type WaitsFor = JobOperation<Message>['waitsFor'];

/** A job that has a place, or is about to get one: unnamed while it is being chosen. */
export interface Seat {
  jobName?: string;
  accountUuid?: string;
}

/** Of all places, the part that jobs which wait for somebody's server leave to all others. */
const KEPT_FREE = 1 / 4;

/**
 * Jobs that wait for a source are as slow as its owner likes, so they never get all places; and one account gets the
 * next only while it has fewer of these jobs under way than there are places left for them. So the first one gets
 * half of them, the second one half of the rest, and a newcomer finds one. Jobs that wait for a client need none.
 */
export class Places {
  readonly #all: number;
  /** By the job's name. */
  readonly #waitsFor = new Map<string, WaitsFor>();
  readonly #seats: () => Iterable<Seat>;

  /** `all`: how many there are. `seats`: the jobs that have or get one now. */
  constructor(options: {
    all: number;
    operations: Iterable<{ message: Message; operation: AnyOperation }>;
    seats: () => Iterable<Seat>;
  }) {
    this.#all = options.all;
    this.#seats = options.seats;
    for (const { message, operation } of options.operations) {
      if ('waitsFor' in operation) this.#waitsFor.set(jobNameOf(message.name), operation.waitsFor);
    }
  }

  has({ jobName, accountUuid }: Required<Seat>): boolean {
    const waitsFor = this.#waitsFor.get(jobName);
    if (waitsFor === 'client') return true;
    const { free, freeForSources, ofAccount } = this.#count();
    if (waitsFor === 'source') return (ofAccount.get(accountUuid) ?? 0) < freeForSources;
    return free > 0;
  }

  /** Which waiting jobs may be begun; cancelled ones always, as others may wait for their undoing. */
  filter(): ClaimFilter {
    const { free, freeForSources, ofAccount } = this.#count();
    if (free <= 0) return { cancelledOr: this.#named('client') };
    const full = [...ofAccount].filter(([, count]) => count >= freeForSources).map(([account]) => account);
    return { not: { names: this.#named('source'), ofAccounts: freeForSources > 0 ? full : 'all' } };
  }

  #named(what: WaitsFor): string[] {
    return [...this.#waitsFor].filter(([, waitsFor]) => waitsFor === what).map(([name]) => name);
  }

  #count() {
    let free = this.#all;
    let freeForSources = this.#all - Math.floor(this.#all * KEPT_FREE);
    const ofAccount = new Map<string, number>();
    for (const { jobName, accountUuid } of this.#seats()) {
      const waitsFor = jobName === undefined ? undefined : this.#waitsFor.get(jobName);
      if (waitsFor === 'client') continue;
      free--;
      if (waitsFor !== 'source' && jobName !== undefined) continue;
      freeForSources--;
      if (accountUuid !== undefined) ofAccount.set(accountUuid, (ofAccount.get(accountUuid) ?? 0) + 1);
    }
    return { free, freeForSources: Math.min(free, freeForSources), ofAccount };
  }
}
