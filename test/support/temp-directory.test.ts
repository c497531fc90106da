import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { test } from 'node:test';
import { temporaryDirectory } from './temp-directory.ts';

test('each temporary directory is another one, and only its user can enter', () => {
  const [first, second] = [temporaryDirectory(), temporaryDirectory()];
  assert.notEqual(first, second);
  assert.equal(statSync(first).mode & 0o777, 0o700);
});
