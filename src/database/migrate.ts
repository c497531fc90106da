import type { Kysely } from 'kysely';
import { type Migration, Migrator } from 'kysely/migration';
import * as m0001 from './migrations/0001-images-and-stores.ts';
import * as m0002 from './migrations/0002-tags.ts';
import * as m0003 from './migrations/0003-accounts.ts';
import * as m0004 from './migrations/0004-volumes.ts';
import * as m0005 from './migrations/0005-stores.ts';
import * as m0006 from './migrations/0006-uploads-exports-scrub.ts';
import * as m0007 from './migrations/0007-virtual-machines.ts';
import * as m0008 from './migrations/0008-audit.ts';
import * as m0009 from './migrations/0009-s3-storages.ts';
import * as m0010 from './migrations/0010-trash-claims.ts';
import type { Syntax } from './syntax.ts';

/** A step from one state of the tables to the next; never changed once released. */
export interface MigrationStep {
  up(kysely: Kysely<unknown>, syntax: Syntax): Promise<void>;
}

const STEPS: Record<string, MigrationStep> = {
  '0001-images-and-stores': m0001,
  '0002-tags': m0002,
  '0003-accounts': m0003,
  '0004-volumes': m0004,
  '0005-stores': m0005,
  '0006-uploads-exports-scrub': m0006,
  '0007-virtual-machines': m0007,
  '0008-audit': m0008,
  '0009-s3-storages': m0009,
  '0010-trash-claims': m0010,
};

/** Brings the tables up to date; two processes at once wait for each other. */
export async function migrate<T>(sql: Kysely<T>, syntax: Syntax): Promise<void> {
  const migrations: Record<string, Migration> = Object.fromEntries(
    Object.entries(STEPS).map(([name, step]) => [
      name,
      { up: (kysely: Kysely<unknown>) => step.up(kysely, syntax) },
    ]),
  );
  const migrator = new Migrator({
    db: sql,
    provider: { getMigrations: async () => migrations },
    migrationTableName: 'migration',
    migrationLockTableName: 'migrationLock',
  });
  const { error } = await migrator.migrateToLatest();
  if (error) throw error;
}
