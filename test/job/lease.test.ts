import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { LeaseLost } from '../../src/job/operation.ts';
import { onBothDatabases } from '../database/both-databases.ts';
import { until } from '../support/service.ts';
import { done, untilStopped, type WorkJob, Workshop } from './workshop.ts';

onBothDatabases((kind, open) => {
  let shop: Workshop;
  before(async () => {
    shop = new Workshop(await open());
  });
  beforeEach(async () => {
    shop.events.length = 0;
    await shop.database.sql.deleteFrom('longJob').execute();
  });
  after(() => shop.close());

  describe('several runners on one database', () => {
    it('run every job, and none twice', async () => {
      const runners = [1, 2, 3].map(() => shop.runner({ parallel: 2 }));
      await Promise.all(runners.map((runner) => runner.start()));
      for (let i = 0; i < 30; i++) {
        shop.task(`job${i}`, {
          run: async () => {
            await new Promise((resolve) => setImmediate(resolve));
            return done();
          },
        });
      }
      const uuids = await Promise.all(
        Array.from({ length: 30 }, (_, i) => shop.submit(runners[i % 3] as (typeof runners)[0], `job${i}`)),
      );
      for (const uuid of uuids) await shop.untilState(uuid, 'Succeeded');
      assert.equal(shop.events.length, 30);
      assert.equal(new Set(shop.events).size, 30);
      await Promise.all(runners.map((runner) => runner.stop(1000)));
    });

    it("take over a dead one's job when its lease has run out, and not before", async () => {
      // Never started, and so without a heartbeat: to the others, its process is dead.
      const dead = shop.runner({ lease: 500 });
      const jobs: WorkJob[] = [];
      const gate = Promise.withResolvers<void>();
      shop.task('inherited', {
        run: async (job) => {
          jobs.push(job);
          if (jobs.length === 1) {
            await job.save({ by: 'the dead' });
            await gate.promise;
            await job.save({ by: 'a zombie' });
          }
          return done(jobs.length);
        },
        undo: async () => {
          throw new Error('a zombie must touch nothing');
        },
      });
      const uuid = await shop.submit(dead, 'inherited');
      await until('it to be saved', async () => (await shop.row(uuid)).checkpoint?.includes('dead') ?? false);
      const { leaseUntil } = await shop.row(uuid);
      const heir = shop.runner({ lease: 60 });
      await heir.start();
      assert.equal(jobs.length, 1);
      assert.deepEqual(await shop.result(uuid), { answer: { sum: 2 } });
      assert.ok(Date.now() >= (leaseUntil ?? Number.POSITIVE_INFINITY));
      assert.deepEqual(jobs[1]?.checkpoint, { by: 'the dead' });
      assert.equal((await shop.row(uuid)).attempts, 2);
      // The dead one wakes up: it can neither write what goes with the job, nor save nor end it.
      const before = await shop.row(uuid);
      await assert.rejects(
        shop.database.transaction(async (tx) => jobs[0]?.requireLease(tx)),
        LeaseLost,
      );
      await assert.rejects(jobs[0]?.save({ by: 'a zombie' }) ?? Promise.resolve(), LeaseLost);
      // It knows by then, and so keeps its hands off what is the heir's now.
      assert.ok(jobs[0]?.signal.reason instanceof LeaseLost);
      gate.resolve();
      await until(
        'the zombie to give up',
        () => dead.targets().size === 0 && dead.progressOf(uuid) === undefined,
      );
      assert.deepEqual(await shop.row(uuid), before);
      assert.deepEqual(shop.events, ['run inherited', 'run inherited']);
      await heir.stop(1000);
    });

    it('leave a job alone that only another one can run or undo, however long that is away', async () => {
      const dead = shop.runner({ lease: 100 });
      const stopped = Promise.withResolvers<void>();
      shop.task('there', {
        admit: async () => ({ checkpoint: { at: 'there' } }),
        run: async () => {
          await stopped.promise;
          return done();
        },
      });
      const jobs = [await shop.submit(dead, 'there'), await shop.submit(dead, 'there')] as const;
      await shop.cancel(dead, jobs[1]);
      const other = shop.runner(
        { lease: 60, parallel: 1 },
        { isOurs: (checkpoint) => JSON.stringify(checkpoint) !== '{"at":"there"}' },
      );
      await other.start();
      // It has work of its own meanwhile, which those don't keep it from.
      for (let i = 0; i < 5; i++) {
        await new Promise((resolve) => setTimeout(resolve, 60));
        await shop.untilState(await shop.submit(other, 'own'), 'Succeeded');
      }
      const own = (event: string) => event === 'run own';
      assert.equal(shop.events.filter(own).length, 5);
      const before = shop.events.filter((event) => !own(event)).length;
      await until(
        'the lease to run out',
        async () => ((await shop.row(jobs[0])).leaseUntil ?? 0) < Date.now(),
      );
      await other.stop(1000);
      assert.equal((await shop.row(jobs[0])).state, 'Running');
      assert.equal((await shop.row(jobs[0])).attempts, 1);

      const back = shop.runner({ lease: 60 });
      await back.start();
      stopped.resolve();
      await shop.untilState(jobs[0], 'Succeeded');
      await shop.untilState(jobs[1], 'Canceled');
      assert.ok(shop.events.filter((event) => !own(event)).length > before);
      await back.stop(1000);
    });

    it('a job that another has taken is told to stop by the next heartbeat', async () => {
      const loser = shop.runner({ lease: 90 });
      await loser.start();
      let reason: unknown;
      shop.task('robbed', {
        run: (job) =>
          untilStopped(job).catch((thrown) => {
            reason = thrown;
            // As a transfer does, which has its own word for it.
            throw new Error('stopped in the middle');
          }),
      });
      const uuid = await shop.submit(loser, 'robbed');
      await until('it to run', () => shop.events.includes('run robbed'));
      const changes = { managementNodeUuid: 'another', leaseUntil: Date.now() + 600_000 };
      await shop.database.sql.updateTable('longJob').set(changes).where('uuid', '=', uuid).execute();
      await until('it to be let go', () => loser.progressOf(uuid) === undefined);
      assert.ok(reason instanceof LeaseLost);
      assert.deepEqual(shop.events, ['run robbed']);
      assert.equal((await shop.row(uuid)).state, 'Running');
      await loser.stop(1000);
    });

    it("a start beside others waits for a lease, and a job that has ended can't be written to", async () => {
      const holder = shop.runner({ lease: 600_000 });
      const jobs: WorkJob[] = [];
      shop.task('held', {
        run: async (job) => {
          jobs.push(job);
          return new Promise(() => {});
        },
      });
      const uuid = await shop.submit(holder, 'held');
      await until('it to run', () => jobs.length === 1);
      const beside = shop.runner();
      await beside.start();
      assert.equal(jobs.length, 1);
      await shop.database.sql
        .updateTable('longJob')
        .set({ state: 'Failed', checkpoint: null })
        .where('uuid', '=', uuid)
        .execute();
      await assert.rejects(jobs[0]?.save({ too: 'late' }) ?? Promise.resolve(), LeaseLost);
      assert.equal((await shop.row(uuid)).checkpoint, null);
      await beside.stop(1000);
    });

    it('a runner does not take its own job a second time when it has slept past its lease', async () => {
      const sleepy = shop.runner({ lease: 1 });
      const gate = Promise.withResolvers<void>();
      shop.task('own', {
        run: async () => {
          await gate.promise;
          return done();
        },
      });
      const uuid = await shop.submit(sleepy, 'own');
      await until(
        'its lease to run out',
        async () => ((await shop.row(uuid)).leaseUntil ?? 0) < Date.now() - 5,
      );
      // Looks for jobs to take up.
      sleepy.noticeCancelled('none');
      const other = await shop.submit(sleepy, 'quick');
      await shop.result(other);
      gate.resolve();
      await shop.result(uuid);
      assert.deepEqual(shop.events.filter((event) => event === 'run own').length, 1);
      assert.equal((await shop.row(uuid)).attempts, 1);
    });
  });

  describe('a start that has the database to itself', () => {
    it('takes up at once what the process before it left, however long the lease', async () => {
      const before = shop.runner({ lease: 600_000 });
      let starts = 0;
      shop.task('left', {
        run: async (job) => {
          if (++starts > 1) return done(starts);
          await job.save({ half: 'done' });
          return new Promise(() => {});
        },
      });
      const uuid = await shop.submit(before, 'left');
      await until('it to be saved', async () => (await shop.row(uuid)).checkpoint?.includes('half') ?? false);
      const next = shop.runner({ lease: 600_000 }, { alone: true });
      await next.start();
      assert.deepEqual(await shop.result(uuid), { answer: { sum: 2 } });
      await next.stop(1000);
    });

    it('only undoes what was being undone, and keeps the first error', async () => {
      const before = shop.runner({ lease: 600_000 });
      let undoings = 0;
      shop.task('half undone', {
        run: async () => {
          throw new Error('the first error');
        },
        undo: () => (++undoings > 1 ? Promise.resolve() : new Promise(() => {})),
      });
      const uuid = await shop.submit(before, 'half undone');
      await until('it to be undone', () => undoings === 1);
      const next = shop.runner({}, { alone: true });
      await next.start();
      const result = await shop.result(uuid);
      assert.equal('error' in result && result.error.details, 'the first error');
      assert.equal((await shop.row(uuid)).state, 'Failed');
      assert.deepEqual(shop.events, ['run half undone', 'undo half undone', 'undo half undone']);
      await next.stop(1000);
    });

    it('gives up a job that has only ever killed its process', async () => {
      shop.task('deadly', { run: () => new Promise(() => {}) });
      const uuid = await shop.submit(shop.runner({ lease: 600_000 }), 'deadly');
      await shop.database.sql.updateTable('longJob').set({ attempts: 10 }).where('uuid', '=', uuid).execute();
      const next = shop.runner({}, { alone: true });
      await next.start();
      const result = await shop.result(uuid);
      assert.equal('error' in result && result.error.code, 'LONG_JOB.1002');
      assert.deepEqual(shop.events, ['run deadly', 'undo deadly']);
      await next.stop(1000);
    });
  });

  describe('stopping', () => {
    it('leaves long jobs where they are, and the next start goes on with them', async () => {
      const first = shop.runner({ lease: 600_000 });
      await first.start();
      let starts = 0;
      shop.task('long', {
        run: async (job) => {
          if (++starts === 1) return untilStopped(job);
          return done(starts);
        },
      });
      const uuid = await shop.submit(first, 'long');
      await until('it to run', () => starts === 1);
      await first.stop(5000);
      const row = await shop.row(uuid);
      assert.deepEqual([row.state, row.leaseUntil], ['Running', null]);
      await assert.rejects(shop.submit(first, 'late'), { code: 'SYS.1010' });
      const next = shop.runner();
      await next.start();
      assert.deepEqual(await shop.result(uuid), { answer: { sum: 2 } });
      assert.deepEqual(shop.events, ['run long', 'run long']);
      await next.stop(1000);
    });

    it('lets short work end, and waits no longer than it may for what does not', async () => {
      const runner = shop.runner();
      const gate = Promise.withResolvers<void>();
      shop.task('short', {
        run: async () => {
          await gate.promise;
          return done();
        },
      });
      shop.task('deaf', { run: () => new Promise(() => {}) });
      const short = await shop.submit(runner, 'short');
      const deaf = await shop.submit(runner, 'deaf');
      const began = performance.now();
      const stopped = runner.stop(300);
      gate.resolve();
      await stopped;
      assert.ok(performance.now() - began >= 290);
      assert.equal((await shop.row(short)).state, 'Succeeded');
      assert.equal((await shop.row(deaf)).state, 'Running');
    });

    it('takes no time when nothing runs, and leaves nothing that would keep the process', async () => {
      const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
      const before = timers();
      const runner = shop.runner();
      await runner.start();
      await runner.stop(60_000);
      // PostgreSQL's client has timers of its own; what was there before may have ended meanwhile.
      if (kind === 'sqlite') assert.ok(timers() <= before);
    });

    it('leaves to others a job that is being accepted just then', async () => {
      const runner = shop.runner();
      const gate = Promise.withResolvers<void>();
      const admitting = Promise.withResolvers<void>();
      shop.task('slow to accept', {
        admit: async () => {
          admitting.resolve();
          await gate.promise;
          return { checkpoint: {} };
        },
      });
      const submitted = shop.submit(runner, 'slow to accept');
      await admitting.promise;
      await runner.stop(1000);
      gate.resolve();
      const row = await shop.row(await submitted);
      assert.deepEqual([row.state, row.leaseUntil], ['Running', null]);
      assert.deepEqual(shop.events, []);
    });
  });

  describe('rows of jobs', () => {
    it('go some time after the job has ended, and never before', async () => {
      const idle = shop.runner();
      const ended = await shop.submit(idle, 'ended');
      await shop.result(ended);
      shop.task('open', { run: untilStopped });
      const running = await shop.submit(idle, 'open');
      const young = await shop.submit(idle, 'young');
      await shop.result(young);
      const longAgo = { lastOpDate: Date.now() - 7_200_000 };
      await shop.database.sql
        .updateTable('longJob')
        .set(longAgo)
        .where('uuid', 'in', [ended, running])
        .execute();
      const runner = shop.runner({ lease: 60, keep: 3_600_000 });
      await runner.start();
      const uuids = await until('the old row to go', async () => {
        const rows = await shop.database.sql.selectFrom('longJob').select('uuid').execute();
        return rows.length < 3 && rows.map((row) => row.uuid).sort();
      });
      assert.deepEqual(uuids, [running, young].sort());
      await runner.stop(1000);
    });
  });
});
