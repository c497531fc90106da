import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { IngotError } from '../../src/kernel/errors.ts';
import { onBothDatabases } from '../database/both-databases.ts';
import { until } from '../support/service.ts';
import { Change, done, untilStopped, Workshop } from './workshop.ts';

onBothDatabases((_kind, open) => {
  let shop: Workshop;
  before(async () => {
    shop = new Workshop(await open());
  });
  beforeEach(() => {
    shop.events.length = 0;
  });
  after(() => shop.close());

  describe('a job', () => {
    it('runs, ends in one transaction with its last step, and leaves its answer', async () => {
      const runner = shop.runner();
      shop.task('good', {
        admit: async () => ({ target: 'the-target', checkpoint: { saved: 0 } }),
        run: async (job) => {
          assert.deepEqual(job.checkpoint, { saved: 0 });
          await job.save({ saved: 1 });
          assert.deepEqual(job.checkpoint, { saved: 1 });
          const row = await shop.row(job.call.id);
          assert.equal(row.state, 'Running');
          assert.equal(row.checkpoint, '{"saved":1}');
          job.report({ bytesDone: 5, bytesTotal: 10, bytesResumed: 2 });
          return async (tx) => {
            const { state } = await tx
              .selectFrom('longJob')
              .select('state')
              .where('uuid', '=', job.call.id)
              .executeTakeFirstOrThrow();
            return { sum: state === 'Running' ? 42 : 0 };
          };
        },
      });
      const uuid = await shop.submit(runner, 'good');
      assert.deepEqual(await shop.result(uuid), { answer: { sum: 42 } });
      const row = await shop.row(uuid);
      assert.equal(row.state, 'Succeeded');
      assert.equal(row.progress, 100);
      assert.deepEqual([row.bytesDone, row.bytesTotal, row.bytesResumed], [5, 10, 2]);
      assert.equal(row.targetResourceUuid, 'the-target');
      assert.equal(row.jobName, 'APIWorkMsg');
      assert.equal(row.apiId, uuid);
      assert.equal(row.executeTime, 0);
      assert.equal(row.leaseUntil, null);
      assert.equal(row.checkpoint, null);
      assert.deepEqual(shop.events, ['run good']);
    });

    it('that is refused when it is handed in leaves no row', async () => {
      const runner = shop.runner();
      shop.task('refused', {
        admit: async (_call, tx) => {
          await tx.updateTable('longJob').set({ jobName: 'touched' }).execute();
          throw new IngotError('SYS.1007', 'not like this');
        },
      });
      const count = async () => (await shop.database.sql.selectFrom('longJob').selectAll().execute()).length;
      const before = await count();
      await assert.rejects(shop.submit(runner, 'refused'), { code: 'SYS.1007', message: 'not like this' });
      assert.equal(await count(), before);
      assert.deepEqual(shop.events, []);
    });

    it('that fails is undone with what it saved last, and ends with its error', async () => {
      const runner = shop.runner();
      let undone: unknown;
      shop.task('bad', {
        run: async (job) => {
          await job.save({ written: ['a'] });
          throw new IngotError('BS.1006', 'full', { opaque: { bytes: 5 } });
        },
        undo: async (job) => {
          undone = job.checkpoint;
        },
      });
      const uuid = await shop.submit(runner, 'bad');
      const result = await shop.result(uuid);
      assert.deepEqual(result, {
        error: new IngotError('BS.1006', 'full', { opaque: { bytes: 5 } }).toBody(),
      });
      assert.equal((await shop.row(uuid)).state, 'Failed');
      assert.equal((await shop.row(uuid)).checkpoint, null);
      assert.deepEqual(undone, { written: ['a'] });
      assert.deepEqual(shop.events, ['run bad', 'undo bad']);
    });

    it('whose last step fails is undone, too', async () => {
      const runner = shop.runner();
      shop.task('late', {
        run: async () => async (tx) => {
          await tx.updateTable('longJob').set({ jobName: 'must not stay' }).execute();
          throw new Error('a surprise');
        },
      });
      const uuid = await shop.submit(runner, 'late');
      const result = await shop.result(uuid);
      assert.ok('error' in result);
      assert.equal(result.error.code, 'SYS.1000');
      assert.equal((await shop.row(uuid)).jobName, 'APIWorkMsg');
      assert.deepEqual(shop.events, ['run late', 'undo late']);
    });

    it('whose undoing fails is undone again until it works', async () => {
      const runner = shop.runner();
      let failures = 0;
      shop.task('sticky', {
        run: async () => {
          throw new IngotError('SYS.1015', 'the source is gone');
        },
        undo: async () => {
          if (failures++ === 0) throw new Error('busy');
        },
      });
      const uuid = await shop.submit(runner, 'sticky');
      const result = await shop.result(uuid);
      assert.equal('error' in result && result.error.details, 'the source is gone');
      assert.deepEqual(shop.events, ['run sticky', 'undo sticky', 'undo sticky']);
    });

    it('keeps no secrets in its row', async () => {
      const runner = shop.runner();
      const uuid = await shop.submit(runner, 'quiet', { password: 'open sesame' });
      await shop.result(uuid);
      const row = await shop.row(uuid);
      assert.deepEqual(JSON.parse(row.jobData), { task: 'quiet' });
      assert.doesNotMatch(JSON.stringify(row), /sesame/);
    });

    it('works with the password in a URL, and shows it to nobody', async () => {
      const runner = shop.runner();
      const from = 'https://me:open-sesame@127.0.0.1/disk?a=b';
      const seen = Promise.withResolvers<string | undefined>();
      const stop = Promise.withResolvers<void>();
      shop.task('guarded', {
        run: async (job) => {
          seen.resolve(job.call.parameters.from);
          await stop.promise;
          return done();
        },
      });
      const uuid = await shop.submit(runner, 'guarded', { from });
      assert.equal(await seen.promise, from);
      const shown = JSON.parse((await shop.row(uuid)).jobData);
      assert.deepEqual(shown, { task: 'guarded', from: 'https://me:***@127.0.0.1/disk?a=b' });
      stop.resolve();
      await shop.result(uuid);
      assert.doesNotMatch(JSON.stringify(await shop.row(uuid)), /sesame/);
    });

    it('tells how far it is: at once where it runs, and by its row elsewhere', async () => {
      const runner = shop.runner({ lease: 90 });
      await runner.start();
      const stop = Promise.withResolvers<void>();
      shop.task('counted', {
        run: async (job) => {
          job.report({ bytesDone: 300, bytesTotal: 1000, bytesResumed: 100 });
          await stop.promise;
          return done();
        },
      });
      const uuid = await shop.submit(runner, 'counted');
      const { rate, ...progress } = await until('progress', () => runner.progressOf(uuid));
      assert.equal(typeof rate, 'number');
      assert.deepEqual(progress, { bytesDone: 300, bytesTotal: 1000, bytesResumed: 100, percent: 30 });
      const { leaseUntil } = await shop.row(uuid);
      const row = await until('the row to tell it', async () => {
        const row = await shop.row(uuid);
        return row.bytesDone === 300 && (row.leaseUntil ?? 0) > (leaseUntil ?? 0) && row;
      });
      assert.deepEqual([row.progress, row.bytesTotal, row.bytesResumed], [30, 1000, 100]);
      stop.resolve();
      await shop.result(uuid);
      assert.equal(runner.progressOf(uuid), undefined);
      await runner.stop(1000);
    });

    it('waits while as many as may run do, and then comes in the order of its age', async () => {
      const runner = shop.runner({ parallel: 2 });
      const gates = new Map(['a', 'b', 'c', 'd', 'e'].map((name) => [name, Promise.withResolvers<void>()]));
      let running = 0;
      let most = 0;
      for (const [name, gate] of gates) {
        shop.task(name, {
          run: async () => {
            most = Math.max(most, ++running);
            await gate.promise;
            running--;
            return done();
          },
        });
      }
      // All at once: the limit holds for those that are just being accepted, too.
      const uuids = await Promise.all([...gates.keys()].map((name) => shop.submit(runner, name)));
      const states = await Promise.all(uuids.map(async (uuid) => (await shop.row(uuid)).state));
      assert.deepEqual(states, ['Running', 'Running', 'Waiting', 'Waiting', 'Waiting']);
      const waiting = await Promise.all(
        uuids.slice(2).map(async (uuid, i) => ({ name: 'cde'[i], age: (await shop.row(uuid)).createDate })),
      );
      const byAge = waiting.sort((one, other) => one.age - other.age).map(({ name }) => `run ${name}`);
      for (const name of ['a', 'b', ...byAge.map((event) => event.at(-1) ?? '')]) {
        const begun = shop.events.length;
        gates.get(name)?.resolve();
        if (begun < 5) await until('the next to begin', () => shop.events.length > begun);
      }
      for (const uuid of uuids) await shop.untilState(uuid, 'Succeeded');
      assert.equal(most, 2);
      assert.deepEqual(shop.events.slice(2), byAge);
    });
  });

  describe('cancelling a job', () => {
    it('that runs stops it and undoes what it began', async () => {
      const runner = shop.runner();
      shop.task('long', { run: untilStopped });
      const uuid = await shop.submit(runner, 'long');
      await until('it to run', () => shop.events.includes('run long'));
      await shop.cancel(runner, uuid);
      const result = await shop.result(uuid);
      assert.equal('error' in result && result.error.code, 'SYS.1017');
      assert.equal((await shop.row(uuid)).state, 'Canceled');
      assert.deepEqual(shop.events, ['run long', 'undo long']);
      // Twice is once.
      await shop.cancel(runner, uuid);
    });

    it('that runs elsewhere reaches it by its heartbeat', async () => {
      const [here, there] = [shop.runner(), shop.runner({ lease: 90 })];
      await there.start();
      shop.task('far', { run: untilStopped });
      const uuid = await shop.submit(there, 'far');
      await shop.cancel(here, uuid);
      await shop.untilState(uuid, 'Canceled');
      assert.deepEqual(shop.events, ['run far', 'undo far']);
      await there.stop(1000);
    });

    it('that waits ends it without running it, though no place is free', async () => {
      const runner = shop.runner({ parallel: 1 });
      const gate = Promise.withResolvers<void>();
      shop.task('first', {
        run: async () => {
          await gate.promise;
          return done();
        },
      });
      const first = await shop.submit(runner, 'first');
      const waiting = await shop.submit(runner, 'waiting');
      assert.equal((await shop.row(waiting)).state, 'Waiting');
      await shop.cancel(runner, waiting);
      await shop.untilState(waiting, 'Canceled');
      assert.equal((await shop.row(first)).state, 'Running');
      gate.resolve();
      await shop.result(first);
      assert.deepEqual(shop.events, ['run first', 'undo waiting']);
    });

    it('that comes too late for its last step wins all the same, or loses, but never both', async () => {
      const runner = shop.runner();
      shop.task('racing', {
        run: async (job) => {
          await shop.cancel(runner, job.call.id);
          return done();
        },
      });
      const uuid = await shop.submit(runner, 'racing');
      await shop.untilState(uuid, 'Canceled');
      assert.deepEqual(shop.events, ['run racing', 'undo racing']);
    });

    it('that has ended, or that never was, is refused', async () => {
      const runner = shop.runner();
      const uuid = await shop.submit(runner, 'short');
      await shop.result(uuid);
      await assert.rejects(shop.cancel(runner, uuid), {
        code: 'LONG_JOB.1001',
        message: /has ended already: Succeeded/,
      });
      await assert.rejects(shop.cancel(runner, 'nothing'), { code: 'SYS.1003' });
    });
  });

  describe('a change', () => {
    it('is done when it is accepted, and what follows comes after its commit', async () => {
      const runner = shop.runner();
      let rowsAfter = 0;
      shop.change = async (call, _tx, afterCommit) => {
        afterCommit(() => {
          void shop.row(call.id).then((row) => {
            if (row.state === 'Succeeded') rowsAfter++;
          });
        });
        return { sum: 7 };
      };
      const uuid = await shop.submit(runner, 'x', { message: Change });
      const row = await shop.row(uuid);
      assert.deepEqual([row.state, row.progress, row.jobResult], ['Succeeded', 100, '{"answer":{"sum":7}}']);
      await until('what follows', () => rowsAfter === 1);
    });

    it('that fails has not happened', async () => {
      const runner = shop.runner();
      let id = '';
      shop.change = async (call, tx) => {
        id = call.id;
        await tx.updateTable('longJob').set({ jobName: 'must not stay' }).execute();
        throw new IngotError('SYS.1006', 'not now');
      };
      await assert.rejects(shop.submit(runner, 'x', { message: Change }), { code: 'SYS.1006' });
      await assert.rejects(shop.row(id));
      const touched = shop.database.sql
        .selectFrom('longJob')
        .selectAll()
        .where('jobName', '=', 'must not stay');
      assert.deepEqual(await touched.execute(), []);
    });
  });
});
