/**
 * 1 GiB into each kind of backup storage and out of it, beside what the field takes for that: cp and sync, OpenSSH's
 * own sftp, the AWS SDK's own upload and download. And the memory that it takes. Whether the other side has the right
 * bytes is not asked for, since the references don't either.
 */
import { spawn } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SERVICE_FLAGS, serviceEnvironment } from '../scripts/service-runtime.mjs';
import { localBackupStorage } from '../src/backup-storage/local/driver.ts';
import { type S3StorageOptions, s3BackupStorage } from '../src/backup-storage/s3/driver.ts';
import { sftpBackupStorage } from '../src/backup-storage/sftp/driver.ts';
import { newUuid } from '../src/kernel/uuid.ts';
import { runProgram } from '../test/support/program.ts';
import { bucketOf } from '../test/support/s3-bucket.ts';
import { type Sshd, startSshd } from '../test/support/sshd.ts';
import { startSwift } from '../test/support/swift.ts';
import type { Measured, Pass } from './backup-storage/pass.ts';
import type { Options } from './main.ts';
import { loadAverage } from './support/machine.ts';
import { atMost, median, type Reach } from './support/reach.ts';
import { scratchDirectory } from './support/scratch.ts';
import { printTable } from './support/table.ts';

const MIB = 1024 * 1024;
const BYTES = 1024 * MIB;
const ROUNDS = 5;
const MOST_TIMES = 1.3;
const MOST_MEMORY = 200;

type Way = Pass['way'];
const WAYS: readonly Way[] = ['up', 'down'];

/** What moves the file one way. */
type Mover = (way: Way) => Promise<Measured>;

interface Rivals {
  kind: string;
  ours: Mover;
  reference: string;
  theirs: Mover;
}

export async function backupStorage({ rounds = ROUNDS, kinds }: Options): Promise<Reach[]> {
  const directory = scratchDirectory();
  const file = join(directory, 'file');
  makeFile(file);
  const keys = join(directory, 'keys');
  mkdirSync(keys);
  const sshd = await startSshd({ keys });
  const swift = await startSwift(directory);
  try {
    const all = [
      await local(directory, file),
      await sftp(directory, file, sshd),
      await s3(directory, file, { ...(await bucketOf(swift)), uuid: newUuid(), prefix: 'images' }),
    ];
    const rivals = all.filter(({ kind }) => kinds?.includes(kind) ?? true);
    return report(rivals, await measure(rivals, rounds), rounds);
  } finally {
    await swift.stop();
    await sshd.stop();
  }
}

async function local(directory: string, file: string): Promise<Rivals> {
  const options = { root: join(directory, 'store'), uuid: newUuid() };
  const driver = localBackupStorage(options);
  await driver.initialise();
  const module = new URL('../src/backup-storage/local/driver.ts', import.meta.url).href;
  const by = { driver: { module, factory: 'localBackupStorage', options } };
  const out = join(directory, 'out');
  const stored = join(options.root, 'images', 'one');
  /** What was written past the page cache is read from it by both, or the second would find what the first has read. */
  const read = async (way: Way) => {
    if (way === 'down') await runProgram('sh', ['-c', 'exec cat "$0" >/dev/null', stored]);
  };
  return {
    kind: 'local',
    async ours(way) {
      await read(way);
      return passOf({ way, file: way === 'up' ? file : out, path: 'images/one', by });
    },
    reference: 'cp FILE, sync FILE',
    async theirs(way) {
      await read(way);
      const [from, to] = way === 'up' ? [file, join(directory, 'copy')] : [stored, out];
      return timed(async () => {
        await runProgram('cp', ['--reflink=never', from, to]);
        await runProgram('sync', [to]);
      });
    },
  };
}

async function sftp(directory: string, file: string, sshd: Sshd): Promise<Rivals> {
  const { host, port, username, privateKey } = sshd;
  const root = join(directory, 'behind ssh');
  const options = { root, uuid: newUuid(), server: { host, port, username, privateKey } };
  const driver = sftpBackupStorage(options);
  await driver.initialise();
  await driver.close();
  const module = new URL('../src/backup-storage/sftp/driver.ts', import.meta.url).href;
  const by = { driver: { module, factory: 'sftpBackupStorage', options } };
  const out = join(directory, 'out');
  const theirs = join(directory, 'theirs');
  const insecure = ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'LogLevel=ERROR'];
  const logIn = [
    '-i',
    join(sshd.keys, 'user'),
    '-P',
    String(port),
    ...insecure.flatMap((each) => ['-o', each]),
  ];
  return {
    kind: 'sftp',
    ours: (way) => passOf({ way, file: way === 'up' ? file : out, path: 'images/one', by }),
    reference: "OpenSSH's sftp, put -f, get -f",
    theirs: (way) => {
      const input = way === 'up' ? `put -f "${file}" "${theirs}"\n` : `get -f "${theirs}" "${out}"\n`;
      return timed(async () => {
        await runProgram('sftp', ['-q', '-b', '-', ...logIn, `${username}@${host}`], { input });
      });
    },
  };
}

async function s3(directory: string, file: string, options: S3StorageOptions): Promise<Rivals> {
  const driver = s3BackupStorage(options);
  await driver.initialise();
  await driver.close();
  const module = new URL('../src/backup-storage/s3/driver.ts', import.meta.url).href;
  const ours: Pass['by'] = { driver: { module, factory: 's3BackupStorage', options } };
  const out = join(directory, 'out');
  const moverOf =
    (by: Pass['by'], path: string): Mover =>
    (way) =>
      passOf({ way, file: way === 'up' ? file : out, path, by });
  return {
    kind: 's3',
    ours: moverOf(ours, 'one'),
    reference: "AWS SDK's Upload, GetObject",
    theirs: moverOf({ sdk: options }, 'theirs/one'),
  };
}

type Results = Map<string, Measured[]>;
const nameOf = (kind: string, way: Way, whose: 'ours' | 'theirs') => `${kind} ${way} ${whose}`;

/** One of each in every round, so that whatever disturbs the machine for a while disturbs all alike. */
async function measure(rivals: readonly Rivals[], rounds: number): Promise<Results> {
  const results: Results = new Map();
  for (let round = 1; round <= rounds; round++) {
    const line: string[] = [];
    for (const each of rivals) {
      for (const way of WAYS) {
        // Who goes first would find another state of caches and disk each time.
        const order = round % 2 === 1 ? (['ours', 'theirs'] as const) : (['theirs', 'ours'] as const);
        for (const whose of order) {
          // Nobody pays for writing back what the one before has left.
          await runProgram('sync', []);
          const measured = await each[whose](way);
          const name = nameOf(each.kind, way, whose);
          results.set(name, [...(results.get(name) ?? []), measured]);
          line.push(`${name} ${measured.seconds.toFixed(2)}`);
        }
      }
    }
    console.log(`round ${round}: ${line.join(', ')} s  (load ${loadAverage()})`);
  }
  return results;
}

function report(rivals: readonly Rivals[], results: Results, rounds: number): Reach[] {
  const reaches: Reach[] = [];
  const rows: string[][] = [];
  for (const { kind, reference } of rivals) {
    for (const way of WAYS) {
      const of = (whose: 'ours' | 'theirs') => results.get(nameOf(kind, way, whose)) ?? [];
      const seconds = (whose: 'ours' | 'theirs') => median(of(whose).map((each) => each.seconds));
      const memory = Math.max(...of('ours').map((each) => each.memory ?? 0)) / MIB;
      const times = seconds('ours') / seconds('theirs');
      const theirMemory = Math.max(...of('theirs').map((each) => each.memory ?? 0)) / MIB;
      rows.push([
        `${kind} ${way}`,
        `${seconds('ours').toFixed(2)} s`,
        `${seconds('theirs').toFixed(2)} s (${reference})`,
        times.toFixed(2),
        `${memory.toFixed(0)} MiB`,
        theirMemory > 0 ? `${theirMemory.toFixed(0)} MiB` : '',
      ]);
      reaches.push(
        atMost(`${kind}, ${way}`, times, MOST_TIMES, `× ${reference}`),
        atMost(`${kind}, ${way}, peak memory`, memory, MOST_MEMORY, 'MiB', 0),
      );
    }
  }
  console.log(`\n1 GiB, median of ${rounds}:\n`);
  printTable(['', 'Ingot', 'reference', 'ratio', 'memory', 'of the reference'], rows);
  return reaches;
}

async function passOf(pass: Pass): Promise<Measured> {
  const script = fileURLToPath(new URL('./backup-storage/pass.ts', import.meta.url));
  const child = spawn(process.execPath, [...SERVICE_FLAGS, script, JSON.stringify(pass)], {
    env: { ...process.env, ...serviceEnvironment() },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`${script} ended with ${code}`);
  return JSON.parse(output);
}

async function timed(act: () => Promise<void>): Promise<Measured> {
  const began = performance.now();
  await act();
  return { seconds: (performance.now() - began) / 1000 };
}

/** Of random bytes, in the page cache for everyone. */
function makeFile(path: string): void {
  rmSync(path, { force: true });
  const file = openSync(path, 'w');
  const block = Buffer.allocUnsafe(MIB);
  for (let written = 0; written < BYTES; written += block.length) writeSync(file, randomFillSync(block));
  closeSync(file);
}
