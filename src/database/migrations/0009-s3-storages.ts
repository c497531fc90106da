import type { Kysely } from 'kysely';

/** Backup storages in buckets: where the bucket is, how its server is spoken to, and how much may be put there. */
export async function up(kysely: Kysely<unknown>): Promise<void> {
  for (const [column, type] of COLUMNS) {
    await kysely.schema.alterTable('backupStorage').addColumn(column, type).execute();
  }
}

const COLUMNS = [
  ['endpoint', 'text'],
  ['bucket', 'text'],
  ['prefix', 'text'],
  ['region', 'text'],
  ['pathStyle', 'boolean'],
  ['quota', 'bigint'],
] as const;
