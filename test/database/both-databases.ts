import { after, describe } from 'node:test';
import { type Database, openDatabase } from '../../src/database/database.ts';
import { testDatabaseUrl } from '../support/postgres.ts';
import type { DatabaseKind } from '../support/service.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';

/** What `openDatabase` takes for a fresh, empty database of the kind. */
export async function freshDatabase(kind: DatabaseKind): Promise<string> {
  return kind === 'sqlite' ? `${temporaryDirectory()}/test.sqlite` : testDatabaseUrl();
}

/**
 * The same tests on SQLite and on PostgreSQL. `open` gives a migrated database: a fresh one, or once more the one
 * named; each is closed when the tests have run.
 */
export function onBothDatabases(
  tests: (kind: DatabaseKind, open: (at?: string) => Promise<Database>) => void,
): void {
  for (const kind of ['sqlite', 'postgres'] as const) {
    describe(`on ${kind}`, () => {
      const opened: Database[] = [];
      after(() => Promise.all(opened.map((database) => database.close())));
      tests(kind, async (at) => {
        const database = await openDatabase(at ?? (await freshDatabase(kind)));
        opened.push(database);
        return database;
      });
    });
  }
}
