/**
 * QueryImage over many images, by wrk over HTTP, beside the same question put straight to the database in a loop,
 * in one process, with SQL written by hand.
 */
import { join } from 'node:path';
import { openDatabase } from '../src/database/database.ts';
import { startPostgresCluster } from '../test/support/postgres-cluster.ts';
import type { Options } from './main.ts';
import { imageName, imageUuid, insertImages } from './support/image-rows.ts';
import { loadAverage } from './support/machine.ts';
import { type PlainSql, plainPostgres, plainSqlite } from './support/plain-sql.ts';
import { atLeast, median, type Reach } from './support/reach.ts';
import { scratchDirectory } from './support/scratch.ts';
import { Service } from './support/service.ts';
import { printTable } from './support/table.ts';
import { type WrkResult, wrk } from './support/wrk.ts';

const SIZES = [10_000, 100_000];
const MANY = 16;
/** Of each thing, in every round. */
const SECONDS = 3;
const ROUNDS = 4;
/** How many different images are asked for. */
const ASKED = 1000;
/** Lists of 100 that SQLite shall give a second to 16 connections. */
const LEAST_LISTS = 1000;

interface Question {
  name: string;
  /** Paths below /zstack/v1, asked one after another. */
  paths: (images: number) => string[];
  plain: (sql: PlainSql, images: number, turn: number) => unknown;
}

const someNumber = (images: number, turn: number) => Math.floor((((turn % ASKED) + 0.5) * images) / ASKED);
const someNumbers = (images: number) => Array.from({ length: ASKED }, (_, turn) => someNumber(images, turn));

/** Of pages that differ, so that nothing can be known from the one before. */
const startOf = (turn: number) => (turn * 37) % 900;

const QUESTIONS: Question[] = [
  {
    name: 'list of 100',
    paths: () => ['/images?limit=100'],
    plain: (sql) => sql.list(100),
  },
  {
    name: 'list of 100, each another',
    paths: () => Array.from({ length: ASKED }, (_, turn) => `/images?limit=100&start=${startOf(turn)}`),
    plain: (sql, _images, turn) => sql.list(100, startOf(turn)),
  },
  {
    name: 'by name',
    paths: (images) => someNumbers(images).map((i) => `/images?q=name=${imageName(i)}`),
    plain: (sql, images, turn) => sql.byName(imageName(someNumber(images, turn))),
  },
  {
    name: 'by uuid',
    paths: (images) => someNumbers(images).map((i) => `/images/${imageUuid(i)}`),
    plain: (sql, images, turn) => sql.byUuid(imageUuid(someNumber(images, turn))),
  },
];

export async function queryLists({ postgres, rounds = ROUNDS }: Options): Promise<Reach[]> {
  const reaches = await queryOn('SQLite', '', rounds);
  if (!postgres) return reaches;
  const cluster = await startPostgresCluster();
  try {
    return [...reaches, ...(await queryOn('PostgreSQL', cluster.url, rounds))];
  } finally {
    await cluster.stop();
  }
}

async function queryOn(databaseName: string, databaseUrl: string, rounds: number): Promise<Reach[]> {
  const directory = scratchDirectory();
  const data = join(directory, 'data');
  const start = () => Service.start(data, { databaseUrl });
  let service = await start();
  const storages: string[] = [];
  for (let i = 1; i <= 3; i++) storages.push(await service.addStorage(join(directory, `storage-${i}`)));
  await service.stop();

  const url = databaseUrl || join(data, 'ingot.sqlite');
  const rows: string[][] = [];
  const reaches: Reach[] = [];
  let there = 0;
  for (const images of SIZES) {
    const began = performance.now();
    const database = await openDatabase(url);
    await insertImages(database, storages, there, images);
    await database.close();
    there = images;
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    console.log(
      `${databaseName}: ${images} images with 3 copies each (filled in ${seconds} s, load ${loadAverage()})`,
    );
    service = await start();
    try {
      for (const question of QUESTIONS) {
        const measured = await measure(service, question, { images, url, rounds });
        rows.push([
          `${databaseName}, ${images.toLocaleString('en')} images, ${question.name}`,
          ...measured.cells,
        ]);
        if (databaseName === 'SQLite' && question.name === 'list of 100') {
          const what = `${images} images, ${question.name}, ${MANY} connections, best round`;
          reaches.push(atLeast(what, measured.best, LEAST_LISTS, 'a second'));
        }
      }
      console.log(`  peak memory of the service: ${(service.peakMemory / 2 ** 20).toFixed(0)} MiB`);
    } finally {
      await service.stop();
    }
  }
  console.log(`
Medians of ${rounds} rounds of ${SECONDS} s each. Rates are answers a second; CPU is the service's for one answer.
Plain SQL asks in a loop, in a process of its own, in the same rounds.
`);
  const one = ['1 connection', 'p50', 'p99'];
  const many = [`${MANY} connections`, 'best round', 'p50', 'p99', 'CPU'];
  printTable(['', ...one, ...many, 'plain SQL'], rows);
  return reaches;
}

interface Measured {
  cells: string[];
  /** Answers a second to many connections in the best round. */
  best: number;
}

/** All ways in every round, so that what disturbs the machine for a while disturbs all alike. */
async function measure(
  service: Service,
  question: Question,
  { images, url, rounds }: { images: number; url: string; rounds: number },
): Promise<Measured> {
  const urls = question.paths(images).map((path) => `${service.address}/zstack/v1${path}`);
  const ask = (connections: number, seconds: number) =>
    wrk({ urls, headers: service.headers, connections, seconds });
  const sql = /^postgres/.test(url) ? await plainPostgres(url) : plainSqlite(url);
  const plain: number[] = [];
  const one: WrkResult[] = [];
  const many: (WrkResult & { cpu: number })[] = [];
  try {
    await ask(MANY, 1);
    for (let round = 0; round < rounds; round++) {
      plain.push(await askPlainly(sql, question, images));
      one.push(await ask(1, SECONDS));
      const before = service.cpuSeconds;
      const result = await ask(MANY, SECONDS);
      many.push({ ...result, cpu: (service.cpuSeconds - before) / (result.rate * SECONDS) });
    }
  } finally {
    await sql.close();
  }
  const rates = many.map(({ rate }) => rate);
  const cells = (results: WrkResult[]) => {
    const of = (name: keyof WrkResult) => median(results.map((result) => result[name]));
    return {
      rate: of('rate').toFixed(0),
      latencies: [`${of('p50').toFixed(2)} ms`, `${of('p99').toFixed(2)} ms`],
    };
  };
  const best = Math.max(...rates);
  const [ofOne, ofMany] = [cells(one), cells(many)];
  const cpu = `${(median(many.map((result) => result.cpu)) * 1000).toFixed(2)} ms`;
  return {
    best,
    cells: [
      ...[ofOne.rate, ...ofOne.latencies],
      ...[ofMany.rate, best.toFixed(0), ...ofMany.latencies, cpu],
      median(plain).toFixed(0),
    ],
  };
}

/** Answers a second. */
async function askPlainly(sql: PlainSql, question: Question, images: number): Promise<number> {
  const began = performance.now();
  let turns = 0;
  while (performance.now() - began < SECONDS * 1000) await question.plain(sql, images, turns++);
  return turns / ((performance.now() - began) / 1000);
}
