import type { Kysely } from 'kysely';

/** What is thrown away is removed by one process at a time. */
export async function up(kysely: Kysely<unknown>): Promise<void> {
  await kysely.schema
    .alterTable('trash')
    .addColumn('claimedUntil', 'bigint', (column) => column.notNull().defaultTo(0))
    .execute();
}
