/**
 * `npm run fuzz -- MINUTES [TARGET …]`: every target with ever new inputs, in turn. Prints figures; keeps inputs that
 * fail, made as small as they get, in test/fuzz/corpus, which `npm test` tries again. Ends with 1 when any failed or
 * took more than a second.
 */
import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import { keep } from './corpus.ts';
import type { FuzzTarget } from './target.ts';
import { targets } from './targets.ts';

/** Milliseconds that a target has before the next one's turn. */
const TURN = 20_000;
/** Milliseconds of this thread that an input may take, and milliseconds until it must be answered. */
const HANG = 1000;
const PATIENCE = 60_000;

interface Figures {
  runs: number;
  failures: number;
  slowest: number;
}

const [minutes = '10', ...names] = process.argv.slice(2);
const deadline = Date.now() + Number(minutes) * 60_000;
if (!(Number(minutes) > 0)) throw new Error(`npm run fuzz takes minutes, not '${minutes}'`);
const wanted = targets.filter(({ name }) => names.length === 0 || names.includes(name));
const figures = new Map(wanted.map(({ name }) => [name, { runs: 0, failures: 0, slowest: 0 } as Figures]));
let peakRss = 0;

while (Date.now() < deadline) {
  for (const target of wanted) {
    if (Date.now() < deadline) await turn(target, figures.get(target.name) as Figures);
  }
}
report();

async function turn(target: FuzzTarget, told: Figures): Promise<void> {
  await target.begin?.();
  try {
    const until = Math.min(deadline, Date.now() + TURN);
    while (Date.now() < until) await someRuns(target, told, until);
  } finally {
    await target.end?.();
  }
}

async function someRuns(target: FuzzTarget, told: Figures, until: number): Promise<void> {
  const property = fc.asyncProperty(target.inputs, async (input) => {
    try {
      await timed(target, input, told);
    } finally {
      told.runs++;
      peakRss = Math.max(peakRss, process.memoryUsage.rss());
    }
  });
  const outcome = await fc.check(property, {
    numRuns: 500,
    interruptAfterTimeLimit: Math.max(1, until - Date.now()),
  });
  if (!outcome.failed || outcome.counterexample === null) return;
  told.failures++;
  const file = keep(target.name, outcome.counterexample[0]);
  console.log(`${target.name}: seed ${outcome.seed}, kept as ${file}`);
  console.log(outcome.errorInstance instanceof Error ? outcome.errorInstance.stack : outcome.errorInstance);
}

/** Time of this thread's own, so that a busy machine makes none slow; what waits is bounded on its own. */
async function timed(target: FuzzTarget, input: unknown, told: Figures): Promise<void> {
  const began = process.threadCpuUsage();
  const patience = new AbortController();
  try {
    await Promise.race([
      target.run(input),
      delay(PATIENCE, undefined, { signal: patience.signal }).then(() => {
        throw new Error(`it did not end within ${PATIENCE} ms`);
      }),
    ]);
  } finally {
    patience.abort();
  }
  const { user, system } = process.threadCpuUsage(began);
  const took = (user + system) / 1000;
  told.slowest = Math.max(told.slowest, took);
  if (took > HANG) throw new Error(`it took ${took.toFixed(0)} ms`);
}

function report(): void {
  console.log('| target | inputs | failures | slowest input (CPU) |');
  console.log('|---|--:|--:|--:|');
  for (const [name, { runs, failures, slowest }] of figures) {
    console.log(`| ${name} | ${runs} | ${failures} | ${slowest.toFixed(0)} ms |`);
  }
  console.log(
    `Peak of memory: ${(peakRss / 2 ** 20).toFixed(0)} MiB, of this process with all targets and the service in it.`,
  );
  const all = [...figures.values()];
  process.exitCode = all.every(({ failures }) => failures === 0) ? 0 : 1;
}
