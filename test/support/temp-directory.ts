import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';

const made: string[] = [];

// At the end of the file and not of the test: node:test runs a test's `after` functions in the order of their
// registration, so whatever a test starts in its directory would otherwise lose it before it is stopped.
after(() => {
  for (const path of made.splice(0)) rmSync(path, { recursive: true, force: true, maxRetries: 5 });
});

/** A fresh directory that only this user can enter; removed when the tests of the file have run. */
export function temporaryDirectory(): string {
  const path = mkdtempSync(join(tmpdir(), 'ingot-test-'));
  made.push(path);
  return path;
}
