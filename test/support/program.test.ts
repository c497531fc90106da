import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { findProgram, runProgram, startDaemon, withFreePort } from './program.ts';

test('a program that fails is reported with its own words', async () => {
  assert.equal(await runProgram('echo', ['one', '--two']), 'one --two\n');
  assert.equal(await runProgram('tr', ['a-z', 'A-Z'], { input: 'words' }), 'WORDS');
  await runProgram('true', [], { input: 'x'.repeat(1 << 20) });
  await assert.rejects(runProgram('cat', ['/nonexistent']), /No such file/);
  assert.throws(() => findProgram('no-such-program'), /no-such-program is not installed/);
});

test('a daemon that ends before it is ready is reported with its own words', async () => {
  const daemon = startDaemon('sh', ['-c', 'echo cannot go on; exit 3']);
  await assert.rejects(
    daemon.waitUntil(() => false),
    /sh ended before it was ready: cannot go on/,
  );
  await daemon.stop();
});

test('a daemon dies with the process that started it, even when that is killed', async () => {
  const module = JSON.stringify(join(import.meta.dirname, 'program.ts'));
  const code = `const { startDaemon } = await import(${module}); console.log(startDaemon('sleep', ['600']).pid);`;
  const parent = spawn(process.execPath, ['--input-type=module', '-e', code], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(parent.stdout, 'data')) as [Buffer];
  const pid = Number(line.toString());
  assert.ok(isRunning(pid));
  parent.kill('SIGKILL');
  while (isRunning(pid)) await new Promise((resolve) => setTimeout(resolve, 10));
});

test('a port that was taken meanwhile is given up for another', async () => {
  const tried: number[] = [];
  const server = await withFreePort(async (port) => {
    tried.push(port);
    if (tried.length === 1) throw new Error('taken');
    const listening = createServer().listen(port, '127.0.0.1');
    await once(listening, 'listening');
    return listening;
  });
  assert.equal(tried.length, 2);
  server.close();
});

/** False for one that has ended and waits to be reaped, too. */
function isRunning(pid: number): boolean {
  const file = `/proc/${pid}/stat`;
  return existsSync(file) && !/\) [ZX] /.test(readFileSync(file, 'latin1'));
}
