/**
 * `npm run bench -- NAME … [--OPTION …]`: the figures of the README, each beside a reference measured in the same
 * run. Ends with exit code 1 when a figure misses what it shall reach (with --no-fail: says so, and no more).
 */
import { parseArgs } from 'node:util';
import { addImage } from './add-image.ts';
import { backupStorage } from './backup-storage.ts';
import { clone } from './clone.ts';
import { queryLanguage } from './query-language.ts';
import { queryLists } from './query-lists.ts';
import { describeMachine, loadAverage } from './support/machine.ts';
import type { Reach } from './support/reach.ts';
import { installPrograms } from './support/scratch.ts';

export interface Options {
  /** How often each thing is measured; every bench has its own standard. */
  rounds?: number;
  /** Measure on a PostgreSQL of one's own too. */
  postgres: boolean;
  /** How many images there shall be, one number after another. */
  images?: number[];
  /** Which kinds of backup storage; all where absent. */
  kinds?: string[];
}

interface Bench {
  doc: string;
  run(options: Options): Promise<Reach[]>;
}

const BENCHES: Record<string, Bench> = {
  'add-image': {
    doc: 'AddImage of 1 GiB into one and two local storages beside curl, sha256sum and md5sum; memory. [--rounds N]',
    run: addImage,
  },
  'backup-storage': {
    doc: "1 GiB into each kind of backup storage and out of it beside cp, OpenSSH's sftp and the AWS SDK's own; memory. [--rounds N] [--kinds local,sftp,s3]",
    run: backupStorage,
  },
  clone: {
    doc: 'Volumes from images, warm and cold, and templates, beside qemu-img, cp and sha256sum. [--rounds N]',
    run: clone,
  },
  query: {
    doc: 'Both of the following.',
    run: async (options) => [...(await queryLists(options)), ...(await queryLanguage(options))],
  },
  'query-lists': {
    doc: 'Lists and searches over HTTP, 10,000 and 100,000 images, beside the plain SQL. [--rounds N] [--no-postgres]',
    run: queryLists,
  },
  'query-language': {
    doc: 'Ten questions over 100,000 and 1,000,000 images beside the plain SQL, and their plans; the event loop. [--rounds N] [--images N,N] [--no-postgres]',
    run: queryLanguage,
  },
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  allowNegative: true,
  options: {
    rounds: { type: 'string' },
    images: { type: 'string' },
    kinds: { type: 'string' },
    postgres: { type: 'boolean', default: true },
    'no-fail': { type: 'boolean', default: false },
  },
});

const unknown = positionals.filter((name) => !Object.hasOwn(BENCHES, name));
if (positionals.length === 0 || unknown.length > 0) {
  for (const name of unknown) console.error(`there is no bench '${name}'`);
  console.error('npm run bench -- NAME … [--no-fail]');
  for (const [name, { doc }] of Object.entries(BENCHES)) console.error(`  ${name.padEnd(14)} ${doc}`);
  process.exit(2);
}

installPrograms();
console.log(await describeMachine());
const missed: Reach[] = [];
for (const name of positionals) {
  console.log(`\n## ${name}\n`);
  const reaches =
    (await BENCHES[name]?.run({
      postgres: values.postgres,
      ...(values.rounds !== undefined && { rounds: Number(values.rounds) }),
      ...(values.images !== undefined && { images: values.images.split(',').map(Number) }),
      ...(values.kinds !== undefined && { kinds: values.kinds.split(',') }),
    })) ?? [];
  console.log('');
  for (const reach of reaches) {
    console.log(`${reach.reached ? '✔' : '✖'} ${reach.says}`);
    if (!reach.reached) missed.push(reach);
  }
  console.log(`Load of the machine at the end: ${loadAverage()}`);
}
if (missed.length > 0 && !values['no-fail']) process.exitCode = 1;
