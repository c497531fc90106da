import { Counter, Gauge } from 'prom-client';
import type { Database } from '../database/database.ts';
import { metrics } from '../kernel/metrics.ts';

const STATES = ['Waiting', 'Running', 'Canceling', 'Succeeded', 'Canceled', 'Failed'] as const;

export const jobsEnded = new Counter({
  name: 'ingot_jobs_ended_total',
  help: 'Asynchronous calls ended, by message and outcome.',
  labelNames: ['message', 'state'],
  registers: [metrics],
});

/** How many jobs there are in each state, asked of the database whenever the metrics are read. */
export function reportJobs(database: Database): void {
  metrics.removeSingleMetric('ingot_jobs');
  new Gauge({
    name: 'ingot_jobs',
    help: 'Asynchronous calls whose rows are kept, by state.',
    labelNames: ['state'],
    registers: [metrics],
    async collect() {
      const rows = await database.sql
        .selectFrom('longJob')
        .select((select) => ['state', select.fn.countAll<number>().as('count')])
        .groupBy('state')
        .execute();
      for (const state of STATES) this.set({ state }, rows.find((row) => row.state === state)?.count ?? 0);
    },
  });
}
