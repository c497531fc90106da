import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { runProgram, startDaemon } from '../support/program.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';

const project = join(import.meta.dirname, '..', '..');
/** `npm start -- …`, without the second that npm itself takes. */
const start = (...words: string[]) => [
  'npm_lifecycle_event=start',
  'npm_package_name=ingot',
  process.execPath,
  join(project, 'scripts', 'ingot.mjs'),
  ...words,
];

describe('npm start', () => {
  it('serves where it is given nothing but settings', async () => {
    const data = temporaryDirectory();
    const service = startDaemon('env', start('--data', data, '--listen=127.0.0.1:0', '--log-level', 'error'));
    try {
      await service.waitUntil(() => /Ingot serves http:\/\/127/.test(service.output()));
      assert.match(service.output(), new RegExp(`admin with the password .*${data}/admin-password`));
    } finally {
      await service.stop();
    }
  });

  it('passes on everything else', async () => {
    assert.match(await runProgram('env', start('--version')), /^\d+\.\d+\.\d+$/m);
    assert.match(await runProgram('env', start('--help')), /^Usage: ingot \[options\] CALL/);
    const data = temporaryDirectory();
    assert.match(
      await runProgram('env', start('--data', data, 'QueryImage', '--json')),
      /"inventories": \[\]/,
    );
  });
});
