/**
 * `npm run fuzz -- MINUTES [TARGET …]`: every target with ever new inputs, in turn. Prints figures; keeps inputs that
 * fail, made as small as they get, in test/fuzz/corpus, which `npm test` tries again. Ends with 1 when any failed or
 * took longer than a second.
 */
import fc from 'fast-check';
import { keep } from './corpus.ts';
import type { FuzzTarget } from './target.ts';
import { targets } from './targets.ts';

/** Milliseconds that a target has before the next one's turn. */
const TURN = 20_000;
/** Milliseconds that an input may take. */
const HANG = 1000;

interface Figures {
  runs: number;
  failures: number;
  slowest: number;
  /** How often one was tried again, as it took long. */
  repeated: number;
}

const [minutes = '10', ...names] = process.argv.slice(2);
const deadline = Date.now() + Number(minutes) * 60_000;
if (!(Number(minutes) > 0)) throw new Error(`npm run fuzz takes minutes, not '${minutes}'`);
const wanted = targets.filter(({ name }) => names.length === 0 || names.includes(name));
const figures = new Map(
  wanted.map(({ name }) => [name, { runs: 0, failures: 0, slowest: 0, repeated: 0 } as Figures]),
);
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

/** What takes long because others keep the machine busy does not take as long again. */
async function timed(target: FuzzTarget, input: unknown, told: Figures): Promise<void> {
  let took = await milliseconds(target, input);
  for (let more = 0; took > HANG && more < 3; more++) {
    told.repeated++;
    took = Math.min(took, await milliseconds(target, input));
  }
  told.slowest = Math.max(told.slowest, took);
  if (took > HANG) throw new Error(`it took ${took.toFixed(0)} ms`);
}

async function milliseconds(target: FuzzTarget, input: unknown): Promise<number> {
  const began = performance.now();
  await target.run(input);
  return performance.now() - began;
}

function report(): void {
  console.log('| target | inputs | failures | slowest input | tried again |');
  console.log('|---|--:|--:|--:|--:|');
  for (const [name, { runs, failures, slowest, repeated }] of figures) {
    console.log(`| ${name} | ${runs} | ${failures} | ${slowest.toFixed(0)} ms | ${repeated} |`);
  }
  console.log(
    `Peak of memory: ${(peakRss / 2 ** 20).toFixed(0)} MiB, of this process with all targets and the service in it.`,
  );
  const all = [...figures.values()];
  process.exitCode = all.every(({ failures }) => failures === 0) ? 0 : 1;
}
