import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { startNginx } from './nginx.ts';
import { temporaryDirectory } from './temp-directory.ts';

test('nginx serves a directory with ranges and ETags until it is stopped', async () => {
  const directory = temporaryDirectory();
  const bytes = randomBytes(100_000);
  writeFileSync(join(directory, 'disk.qcow2'), bytes);
  const nginx = await startNginx(directory, temporaryDirectory());
  const whole = await fetch(nginx.url('disk.qcow2'));
  assert.ok(Buffer.from(await whole.arrayBuffer()).equals(bytes));
  const headers = { range: 'bytes=99000-', 'if-range': whole.headers.get('etag') ?? '' };
  const part = await fetch(nginx.url('disk.qcow2'), { headers });
  assert.equal(part.status, 206);
  assert.ok(Buffer.from(await part.arrayBuffer()).equals(bytes.subarray(99_000)));
  assert.equal((await fetch(nginx.url('nothing'))).status, 404);
  await nginx.stop();
  await assert.rejects(fetch(nginx.url('disk.qcow2')));
});
