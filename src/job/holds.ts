/**
 * What jobs hold while they are open: a resource that one job changes, no other touches; one that some only read,
 * none changes. Taken when the job is admitted and let go with its end, each in the same transaction; a hold of a
 * job that has ended, however that came, holds nothing.
 */
import { sql } from 'kysely';
import type { SqlTransaction, Tables } from '../database/database.ts';
import { IngotError } from '../kernel/errors.ts';

export type HoldMode = 'read' | 'change';

declare module '../database/database.ts' {
  interface Tables {
    jobHold: { resourceUuid: string; jobUuid: string; mode: HoldMode };
  }
}

/** Tables of resources that can be held. */
type Holdable = 'volume' | 'primaryStorage' | 'image' | 'vmInstance';

interface Held {
  table: Holdable & keyof Tables;
  uuid: string;
  mode: HoldMode;
}

/**
 * Takes the resource for the job.
 * @throws IngotError SYS.1003 when it is not there, SYS.1006 while another job has it
 */
export async function hold(tx: SqlTransaction, { job, ...held }: Held & { job: string }): Promise<void> {
  await requireFree(tx, held, job);
  await tx
    .insertInto('jobHold')
    .values({ resourceUuid: held.uuid, jobUuid: job, mode: held.mode })
    // A job that goes on after a death has it still.
    .onConflict((conflict) => conflict.columns(['resourceUuid', 'jobUuid']).doNothing())
    .execute();
}

/** As `hold`, for what is done by the end of this transaction. */
export async function requireFree(tx: SqlTransaction, { table, uuid, mode }: Held, job = ''): Promise<void> {
  // Whoever else wants the same waits here until this transaction has ended.
  const { rows } = await sql<{ name: string }>`
    update ${sql.table(table)} set uuid = uuid where uuid = ${uuid} returning name`.execute(tx);
  const resource = rows[0];
  if (!resource) {
    const kind = table.charAt(0).toUpperCase() + table.slice(1);
    throw new IngotError('SYS.1003', `there is no ${kind} with the uuid ${uuid}`);
  }
  const others = await tx
    .selectFrom('jobHold')
    .leftJoin('longJob', 'longJob.uuid', 'jobHold.jobUuid')
    .select(['jobHold.jobUuid', 'jobHold.mode', 'longJob.state', 'longJob.name'])
    .where('resourceUuid', '=', uuid)
    .where('jobUuid', '!=', job)
    .execute();
  const dead = others.filter(({ state }) => !isOpen(state)).map(({ jobUuid }) => jobUuid);
  if (dead.length > 0) await tx.deleteFrom('jobHold').where('jobUuid', 'in', dead).execute();
  const inTheWay = others.find(
    (other) => isOpen(other.state) && (mode === 'change' || other.mode === 'change'),
  );
  if (!inTheWay) return;
  throw new IngotError(
    'SYS.1006',
    `${table} '${resource.name}' (${uuid}) is in use: ${inTheWay.name} (job ${inTheWay.jobUuid}) works on it; call again when it has ended`,
    { retryable: true, opaque: { job: inTheWay.jobUuid } },
  );
}

function isOpen(state: string | null): boolean {
  return state === 'Waiting' || state === 'Running' || state === 'Canceling';
}

/** Lets go of all that the job holds; part of its last step. */
export async function letGo(tx: SqlTransaction, job: string): Promise<void> {
  await tx.deleteFrom('jobHold').where('jobUuid', '=', job).execute();
}
