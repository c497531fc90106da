/** A message with a job that does as it is told, and runners for it. */
import type { Database } from '../../src/database/database.ts';
import type { JobResult, LongJobRow } from '../../src/job/long-job.ts';
import type {
  AnyOperation,
  Call,
  ChangeOperation,
  Job,
  JobOperation,
  LastStep,
} from '../../src/job/operation.ts';
import { JobRunner, type JobSettings } from '../../src/job/runner.ts';
import type { Clock } from '../../src/kernel/clock.ts';
import { integer, text } from '../../src/kernel/field.ts';
import { createLog } from '../../src/kernel/log.ts';
import { answerOf, defineMessage, type Message } from '../../src/kernel/message.ts';
import { newUuid } from '../../src/kernel/uuid.ts';
import { until } from '../support/service.ts';

const common = {
  doc: 'For tests.',
  source: 'tests',
  caller: 'account',
  parameters: {
    task: text('What to do.'),
    password: text('Nobody may see it.', { secret: true, optional: true }),
    from: text('Where things are.', { url: true, optional: true }),
  },
  answer: answerOf({ sum: integer('') }),
} as const;

export const Work = defineMessage({ ...common, name: 'Work', kind: 'job', route: 'POST /works' });
export const Change = defineMessage({ ...common, name: 'Change', kind: 'change', route: 'POST /changes' });

export type WorkJob = Job<typeof Work, unknown>;

/** What the job of a task does; what is left out succeeds at once. */
export interface Task {
  admit?: JobOperation<typeof Work>['admit'];
  run?: (job: WorkJob, runner: JobRunner) => Promise<LastStep<typeof Work>>;
  undo?: (job: WorkJob) => Promise<void>;
}

export const done =
  (sum = 1) =>
  async (): Promise<{ sum: number }> => ({ sum });

/** Time that goes on by a millisecond whenever somebody looks, so that no two jobs are of the same age. */
function tickingClock(): Clock {
  let ticks = 0;
  return { now: () => Date.now() + ticks++ };
}

export class Workshop {
  readonly database: Database;
  readonly #tasks = new Map<string, Task>();
  readonly #runners: JobRunner[] = [];
  readonly clock = tickingClock();
  /** What has happened, in order: `run a on N`, `undo a`. */
  readonly events: string[] = [];
  /** Set for change messages. */
  change: ChangeOperation<typeof Change> = async () => ({ sum: 1 });

  constructor(database: Database) {
    this.database = database;
  }

  task(name: string, task: Task): void {
    this.#tasks.set(name, task);
  }

  runner(
    settings: Partial<JobSettings> = {},
    { alone = false, isOurs }: { alone?: boolean; isOurs?: (checkpoint: unknown) => boolean } = {},
  ): JobRunner {
    const taskOf = (call: Call<typeof Work>) => this.#tasks.get(call.parameters.task) ?? {};
    const work: JobOperation<typeof Work> = {
      admit: async (call, tx) => (await taskOf(call).admit?.(call, tx)) ?? { checkpoint: { saved: 0 } },
      run: async (job) => {
        this.events.push(`run ${job.call.parameters.task}`);
        return (await taskOf(job.call).run?.(job, runner)) ?? done();
      },
      undo: async (job) => {
        this.events.push(`undo ${job.call.parameters.task}`);
        await taskOf(job.call).undo?.(job);
        return async () => {};
      },
      ...(isOurs && { isOurs }),
    };
    const operations = new Map<string, { message: Message; operation: AnyOperation }>([
      ['Work', { message: Work, operation: work as unknown as AnyOperation }],
      [
        'Change',
        {
          message: Change,
          operation: ((call: Call<typeof Change>, ...rest: [never, never]) =>
            this.change(call, ...rest)) as unknown as AnyOperation,
        },
      ],
    ]);
    const runner = new JobRunner({
      database: this.database,
      log: createLog('silent'),
      clock: this.clock,
      node: newUuid(),
      alone,
      operations,
      settings: { lease: 60_000, parallel: 4, keep: 3_600_000, ...settings },
    });
    this.#runners.push(runner);
    return runner;
  }

  /** Hands a task in and says by which uuid. */
  async submit(
    runner: JobRunner,
    task: string,
    more: { password?: string; from?: string; message?: Message } = {},
  ): Promise<string> {
    const { message = Work, ...parameters } = more;
    const call = {
      id: newUuid(),
      message,
      parameters: { task, ...parameters },
      caller: { accountUuid: 'account', admin: true },
    };
    await runner.submit(call as unknown as Call);
    return call.id;
  }

  async cancel(runner: JobRunner, uuid: string): Promise<void> {
    await this.database.transaction((tx) => runner.cancel(uuid, tx));
    runner.noticeCancelled(uuid);
  }

  async row(uuid: string) {
    return this.database.sql
      .selectFrom('longJob')
      .selectAll()
      .where('uuid', '=', uuid)
      .executeTakeFirstOrThrow();
  }

  /** The row once the job is in the state. */
  async untilState(uuid: string, ...states: LongJobRow['state'][]) {
    return until(`job ${uuid} to be ${states.join(' or ')}`, async () => {
      const row = await this.row(uuid);
      return states.includes(row.state) && row;
    });
  }

  async result(uuid: string): Promise<JobResult> {
    const row = await this.untilState(uuid, 'Succeeded', 'Failed', 'Canceled');
    return JSON.parse(row.jobResult ?? '');
  }

  async close(): Promise<void> {
    await Promise.all(this.#runners.map((runner) => runner.stop(1000)));
  }
}

/** Fulfilled when the job is told to stop; rejects with the reason then, as work that heeds its signal does. */
export function untilStopped(job: WorkJob): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (job.signal.aborted) reject(job.signal.reason);
    job.signal.addEventListener('abort', () => reject(job.signal.reason));
  });
}
