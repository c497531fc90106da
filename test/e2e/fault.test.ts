/** A fault of the service's own that nobody catches. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { Ingot } from '../cli/ingot.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';

it('a fault that nobody catches is logged, ends the service with code 1, and the next start serves', async () => {
  const fault = join(temporaryDirectory(), 'fault.mjs');
  writeFileSync(
    fault,
    `process.on('SIGUSR2', () => { throw new Error('thrown'); });
     process.on('SIGWINCH', () => { Promise.reject(new Error('rejected')); });`,
  );
  const ingot = new Ingot();
  const { NODE_OPTIONS = '' } = ingot.environment;
  ingot.environment.NODE_OPTIONS = `${NODE_OPTIONS} --import=${fault}`;
  for (const [signal, word] of [
    ['SIGUSR2', 'thrown'],
    ['SIGWINCH', 'rejected'],
  ] as const) {
    const service = ingot.start(['serve', '--listen', '127.0.0.1:0']);
    await service.says(/Ingot serves/);
    service.child.kill(signal);
    const { code, stderr } = await service.ended;
    assert.equal(code, 1, stderr);
    const last = JSON.parse(stderr.trim().split('\n').at(-1) ?? '');
    assert.deepEqual([last.level, last.err.message], [60, word], stderr);
    assert.match(last.msg, /the next start goes on/);
  }
});
