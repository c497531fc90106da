/**
 * Ten typical questions to the query engine over 100,000 and 1,000,000 images with three copies and five tags each,
 * beside hand-written SQL in the same turns; and whether the event loop turns while slow queries and a transfer run.
 */
import { join } from 'node:path';
import { type Database, openDatabase } from '../src/database/database.ts';
import { Image } from '../src/image/image.ts';
import { query } from '../src/query/query.ts';
import { startPostgresCluster } from '../test/support/postgres-cluster.ts';
import type { Options } from './main.ts';
import { measureEventLoop } from './query-language/event-loop.ts';
import { type Plain, plainPostgres, plainSqlite } from './query-language/plain.ts';
import { QUESTIONS, type Question } from './query-language/questions.ts';
import { seedPostgres, seedSqlite } from './query-language/seed.ts';
import { shownPlan } from './query-language/shown-plan.ts';
import { loadAverage } from './support/machine.ts';
import { atMost, type Reach } from './support/reach.ts';
import { scratchDirectory } from './support/scratch.ts';
import { printTable } from './support/table.ts';

const SIZES = [100_000, 1_000_000];
const ROUNDS = 300;
/** Turns before those that count, and the most seconds for them. */
const WARM_UP = 3000;
const WARM_UP_SECONDS = 5;
/** What p99 shall be at most, in milliseconds, by how many images there are. */
const MOST = (images: number) => (images > 100_000 ? 100 : 20);
/** The engine's median in the reference's. */
const MOST_COST = 1.5;

export async function queryLanguage({
  postgres,
  rounds = ROUNDS,
  images = SIZES,
}: Options): Promise<Reach[]> {
  const reaches: Reach[] = [];
  const summary: Summary = new Map(QUESTIONS.map(({ name }) => [name, new Map()]));
  for (const size of images) {
    const directory = scratchDirectory();
    const path = join(directory, 'data', 'ingot.sqlite');
    reaches.push(
      ...(await measureEventLoop(directory, () => filled('SQLite', size, () => seedSqlite(path, size)))),
    );
    reaches.push(...(await measureQuestions('SQLite', size, rounds, path, plainSqlite(path), summary)));
  }
  for (const size of postgres ? images : []) {
    const cluster = await startPostgresCluster();
    try {
      await (await openDatabase(cluster.url)).close();
      await filled('PostgreSQL', size, () => seedPostgres(cluster.url, size));
      const plain = await plainPostgres(cluster.url);
      reaches.push(...(await measureQuestions('PostgreSQL', size, rounds, cluster.url, plain, summary)));
    } finally {
      await cluster.stop();
    }
  }
  printSummary(summary);
  return reaches;
}

/** By question, and by database and size, what its cell says. */
type Summary = Map<string, Map<string, string>>;

function printSummary(summary: Summary): void {
  const columns = [...new Set([...summary.values()].flatMap((cells) => [...cells.keys()]))];
  console.log("\nAll in one: the engine's p50 / p99 in milliseconds, and its p50 in that of the plain SQL\n");
  printTable(
    ['', ...columns],
    [...summary].map(([name, cells]) => [name, ...columns.map((column) => cells.get(column) ?? '')]),
  );
}

async function filled(name: string, images: number, fill: () => void | Promise<void>): Promise<void> {
  const began = performance.now();
  await fill();
  const seconds = ((performance.now() - began) / 1000).toFixed(0);
  console.log(
    `${name}: ${images} images with 3 copies and 5 tags each, filled in ${seconds} s, load ${loadAverage()}`,
  );
}

async function measureQuestions(
  name: string,
  images: number,
  rounds: number,
  url: string,
  plain: Plain,
  summary: Summary,
): Promise<Reach[]> {
  const database = await openDatabase(url);
  const rows: string[][] = [];
  const reaches: Reach[] = [];
  try {
    for (const question of QUESTIONS) {
      const measured = await measure(database, plain, question, images, rounds);
      const cost = measured.engine.p50 / measured.plain.p50;
      const cells = [measured.engine.p50, measured.engine.p99, measured.plain.p50, measured.plain.p99];
      rows.push([question.name, ...cells.map((each) => each.toFixed(2)), cost.toFixed(2)]);
      const { p50, p99 } = measured.engine;
      summary
        .get(question.name)
        ?.set(
          `${name}, ${images.toLocaleString('en')}`,
          `${p50.toFixed(2)} / ${p99.toFixed(2)}, ${cost.toFixed(2)} ×`,
        );
      const what = `${name}, ${images} images, ${question.name}`;
      reaches.push(atMost(`${what}, p99`, measured.engine.p99, MOST(images), 'ms'));
      reaches.push(atMost(`${what}, of the plain SQL`, cost, MOST_COST, 'times'));
    }
    console.log(
      `\n${name}, ${images} images, pages of 20, ${rounds} turns each, milliseconds, load ${loadAverage()}\n`,
    );
    printTable(['', 'engine p50', 'p99', 'plain SQL p50', 'p99', 'engine / plain'], rows);
    console.log(`\nPlans of ${name}:`);
    for (const question of QUESTIONS) {
      console.log(`- ${question.name}`);
      for (const line of await shownPlan(database, question.parameters(1, images)))
        console.log(`    ${line}`);
    }
  } finally {
    await plain.close();
    await database.close();
  }
  return reaches;
}

interface Percentiles {
  p50: number;
  p99: number;
}

/** Both in every turn, so that what disturbs the machine for a while disturbs both alike. */
async function measure(
  database: Database,
  plain: Plain,
  question: Question,
  images: number,
  rounds: number,
): Promise<{ engine: Percentiles; plain: Percentiles }> {
  const taken = { engine: [] as number[], plain: [] as number[] };
  const askBoth = async (turn: number, counts: boolean) => {
    const answers: Record<string, unknown[]> = {};
    const ask = {
      engine: async () => {
        const { inventories = [] } = await query(database, Image, question.parameters(turn, images));
        return inventories.map(({ uuid }) => uuid);
      },
      plain: async () => plain.ask(question, turn, images),
    };
    // Who comes second finds the pages read.
    const order = turn % 2 ? (['engine', 'plain'] as const) : (['plain', 'engine'] as const);
    for (const who of order) {
      const began = performance.now();
      answers[who] = await ask[who]();
      if (counts) taken[who].push(performance.now() - began);
    }
    if (JSON.stringify(answers.engine) !== JSON.stringify(answers.plain)) {
      throw new Error(`'${question.name}' is answered otherwise by plain SQL (turn ${turn})`);
    }
  };
  // The first turns read from the disk, compile and prepare, as a service does in its first seconds only.
  const began = performance.now();
  for (let turn = 0; turn < WARM_UP && performance.now() - began < WARM_UP_SECONDS * 1000; turn++)
    await askBoth(turn, false);
  for (let turn = 0; turn < rounds; turn++) await askBoth(turn, true);
  return { engine: percentiles(taken.engine), plain: percentiles(taken.plain) };
}

function percentiles(values: readonly number[]): Percentiles {
  const sorted = values.toSorted((one, other) => one - other);
  const at = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  return { p50: at(0.5), p99: at(0.99) };
}
