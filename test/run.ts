/**
 * The test run behind `npm test`: checks, then what the test files share (the guest image, one PostgreSQL), then
 * the files. Arguments: --no-check, --vm for the files that boot many guests instead of the others, options of
 * `node --test`, and paths or parts of paths of test files.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { globSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { guestImages } from './support/bootable-images.ts';
import { startPostgresCluster } from './support/postgres-cluster.ts';

const project = join(import.meta.dirname, '..');

/** Milliseconds for one test; each file has an end of its own besides (support/watchdog.ts). */
const TEST_TIMEOUT = (process.argv.includes('--vm') ? 30 : 5) * 60_000;

const args = process.argv.slice(2);
const wanted = args.filter((arg) => !arg.startsWith('-')).map((arg) => arg.replace(/^\.\//, ''));
const nodeOptions = args.filter((arg) => arg.startsWith('-') && arg !== '--no-check' && arg !== '--vm');
const ending = args.includes('--vm') ? 'vm-test' : 'test';
const files = globSync(`test/**/*.${ending}.ts`, { cwd: project })
  .filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)))
  .sort();
if (files.length === 0) {
  console.error(`no test file has ${wanted.join(' or ')} in its path`);
  process.exit(1);
}

const stopping = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => stopping.abort(signal));

const checksPassed =
  args.includes('--no-check') || (await runNode(['scripts/with-runtime.mjs', 'check'])) === 0;
let testsPassed = false;
if (!stopping.signal.aborted) {
  await guestImages();
  const cluster = await startPostgresCluster();
  try {
    const env = {
      INGOT_TEST_POSTGRES_URL: cluster.url,
      // What Node makes of our TypeScript is made once, not by every file and by every process that a test starts.
      NODE_COMPILE_CACHE: join(project, 'node_modules', '.cache', 'ingot'),
    };
    testsPassed = (await runNode(testCommand(), env)) === 0;
  } finally {
    await cluster.stop();
  }
}
if (!checksPassed) console.error('npm run check failed: see above the tests');
process.exitCode = stopping.signal.aborted ? 130 : checksPassed && testsPassed ? 0 : 1;

function testCommand(): string[] {
  return [
    '--test',
    `--test-concurrency=${availableParallelism()}`,
    `--test-timeout=${TEST_TIMEOUT}`,
    '--test-reporter=spec',
    '--import=./test/support/watchdog.ts',
    ...nodeOptions,
    ...files,
  ];
}

/** Runs this Node; its exit code, null when a signal ended it. */
async function runNode(line: string[], env: Record<string, string> = {}): Promise<number | null> {
  const child = spawn(process.execPath, line, {
    cwd: project,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  // Ctrl-C reaches the child by itself; the other signals don't, and a second one does no harm.
  const stop = () => child.kill('SIGTERM');
  stopping.signal.addEventListener('abort', stop);
  const [code] = (await once(child, 'exit')) as [number | null];
  stopping.signal.removeEventListener('abort', stop);
  return code;
}
