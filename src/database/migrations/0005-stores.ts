import type { Kysely } from 'kysely';

/** Backup storages on other machines: why one can't be reached, what its server is, and the secrets for it. */
export async function up(kysely: Kysely<unknown>): Promise<void> {
  for (const [column, type] of COLUMNS) {
    await kysely.schema.alterTable('backupStorage').addColumn(column, type).execute();
  }
}

const COLUMNS = [
  ['statusReason', 'text'],
  ['secrets', 'text'],
  ['hostname', 'text'],
  ['username', 'text'],
  ['sshPort', 'integer'],
  ['hostKey', 'text'],
] as const;
