/**
 * AddImage of 1 GiB of incompressible qcow2 from nginx on loopback, into one and into two local storages, beside
 * what the bytes cost at least: curl and an fsync, and each digest alone. And what memory the service takes.
 */
import { createHash, randomFillSync } from 'node:crypto';
import { closeSync, createReadStream, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { type Nginx, startNginx } from '../test/support/nginx.ts';
import { runProgram } from '../test/support/program.ts';
import type { Options } from './main.ts';
import { loadAverage } from './support/machine.ts';
import { atMost, median, type Reach } from './support/reach.ts';
import { scratchDirectory } from './support/scratch.ts';
import { Service } from './support/service.ts';
import { printTable } from './support/table.ts';

const MIB = 1024 * 1024;
const LARGE = 1024 * MIB;
const SMALL = 128 * MIB;
const AT_ONCE = 20;
const ROUNDS = 7;

const MOST_MEMORY = 200;

interface Measured {
  seconds: number;
  /** Bytes; of the service only. */
  memory?: number;
}

export async function addImage({ rounds = ROUNDS }: Options): Promise<Reach[]> {
  const directory = scratchDirectory();
  const served = join(directory, 'served');
  mkdirSync(served);
  await makeImage(join(served, 'large.qcow2'), LARGE);
  await makeImage(join(served, 'small.qcow2'), SMALL);
  const nginx = await startNginx(served, join(directory, 'nginx'));
  try {
    const scene: Scene = { directory, file: join(served, 'large.qcow2'), nginx, sha256: '' };
    scene.sha256 = await sha256Of(scene.file);
    const results = await measure(scene, rounds);
    const crowd = await takeMany(scene);
    return report(results, crowd, rounds);
  } finally {
    await nginx.stop();
  }
}

interface Scene {
  directory: string;
  file: string;
  nginx: Nginx;
  sha256: string;
}

const SUBJECTS = {
  'curl -o FILE, sync FILE': curlAndSync,
  'sha256sum FILE': (scene: Scene) => timed(() => runProgram('sha256sum', [scene.file])),
  'md5sum FILE': (scene: Scene) => timed(() => runProgram('md5sum', [scene.file])),
  'AddImage, one storage': (scene: Scene) => addTo(scene, 1),
  'AddImage, two storages': (scene: Scene) => addTo(scene, 2),
};

type Subject = keyof typeof SUBJECTS;
const NAMES = Object.keys(SUBJECTS) as Subject[];

/** One of each in every round, so that whatever disturbs the machine for a while disturbs all alike. */
async function measure(scene: Scene, rounds: number): Promise<Record<Subject, Measured[]>> {
  const results = Object.fromEntries(NAMES.map((name) => [name, []])) as unknown as Record<
    Subject,
    Measured[]
  >;
  for (let round = 1; round <= rounds; round++) {
    const line: string[] = [];
    for (const name of NAMES) {
      // Nobody pays for writing back what the one before has left.
      await runProgram('sync', []);
      const measured = await SUBJECTS[name](scene);
      results[name].push(measured);
      line.push(`${measured.seconds.toFixed(2)}`);
    }
    console.log(`round ${round}: ${line.join('  ')} s  (load ${loadAverage()})`);
  }
  return results;
}

async function curlAndSync({ directory, nginx }: Scene): Promise<Measured> {
  const target = join(directory, 'by-curl');
  try {
    return await timed(async () => {
      await runProgram('curl', ['--silent', '--fail', '--output', target, nginx.url('large.qcow2')]);
      await runProgram('sync', [target]);
    });
  } finally {
    rmSync(target, { force: true });
  }
}

/** From the call to the answer that says Ready, by a service that has just been started. */
async function addTo(scene: Scene, count: number): Promise<Measured> {
  return withService(scene, async (service) => {
    const storages = await addStorages(scene, service, count);
    const { seconds } = await timed(async () => {
      const image = await service.addImage(scene.nginx.url('large.qcow2'), storages);
      requireReady(image, count);
      if (image.sha256Sum !== scene.sha256) throw new Error('the stored bytes are not those of the source');
    });
    return { seconds, memory: service.peakMemory };
  });
}

interface Crowd extends Measured {
  bytes: number;
}

async function takeMany(scene: Scene): Promise<Crowd> {
  await runProgram('sync', []);
  return withService(scene, async (service) => {
    const storages = await addStorages(scene, service, 1);
    const { seconds } = await timed(async () => {
      const downloads = Array.from({ length: AT_ONCE }, () =>
        service.addImage(scene.nginx.url('small.qcow2'), storages),
      );
      for (const image of await Promise.all(downloads)) requireReady(image, 1);
    });
    return { seconds, memory: service.peakMemory, bytes: AT_ONCE * SMALL };
  });
}

async function withService<T>(scene: Scene, act: (service: Service) => Promise<T>): Promise<T> {
  const data = join(scene.directory, 'data');
  const service = await Service.start(data);
  try {
    return await act(service);
  } finally {
    await service.stop();
    for (const name of ['data', 'storage-1', 'storage-2']) {
      rmSync(join(scene.directory, name), { recursive: true, force: true });
    }
  }
}

async function addStorages({ directory }: Scene, service: Service, count: number): Promise<string[]> {
  const storages: string[] = [];
  for (let i = 1; i <= count; i++) storages.push(await service.addStorage(join(directory, `storage-${i}`)));
  return storages;
}

function requireReady(image: Record<string, unknown>, copies: number): void {
  const refs = image.backupStorageRefs as { status: string }[];
  const ready = refs.filter((ref) => ref.status === 'Ready').length;
  if (image.status !== 'Ready' || ready !== copies) throw new Error(`not Ready: ${JSON.stringify(image)}`);
}

function report(results: Record<Subject, Measured[]>, crowd: Crowd, rounds: number): Reach[] {
  const seconds = (name: Subject) => median(results[name].map((one) => one.seconds));
  const memory = (name: Subject) => Math.max(...results[name].map((one) => one.memory ?? 0)) / MIB;
  const curl = seconds('curl -o FILE, sync FILE');
  const one = seconds('AddImage, one storage');
  const two = seconds('AddImage, two storages');
  console.log(
    `\nMedian and least of ${rounds} rounds, seconds for 1 GiB; memory: largest peak of the service.\n`,
  );
  printTable(
    ['', 'median', 'least', '× curl + sync', 'memory'],
    [
      ...NAMES.map((name) => [
        name,
        `${seconds(name).toFixed(2)} s`,
        `${Math.min(...results[name].map((each) => each.seconds)).toFixed(2)} s`,
        (seconds(name) / curl).toFixed(2),
        memory(name) > 0 ? `${memory(name).toFixed(0)} MiB` : '',
      ]),
      [
        `AddImage, ${AT_ONCE} × ${SMALL / MIB} MiB at once`,
        `${crowd.seconds.toFixed(2)} s`,
        '',
        (crowd.seconds / (crowd.bytes / LARGE) / curl).toFixed(2),
        `${((crowd.memory ?? 0) / MIB).toFixed(0)} MiB`,
      ],
    ],
  );
  return [
    atMost('one storage', one / curl, 1.5, '× (curl + sync)'),
    atMost('two storages', two / one, 1.4, '× one storage'),
    atMost('peak memory, one storage', memory('AddImage, one storage'), MOST_MEMORY, 'MiB', 0),
    atMost('peak memory, two storages', memory('AddImage, two storages'), MOST_MEMORY, 'MiB', 0),
    atMost(`peak memory, ${AT_ONCE} at once`, (crowd.memory ?? 0) / MIB, MOST_MEMORY, 'MiB', 0),
  ];
}

async function timed(act: () => Promise<unknown>): Promise<Measured> {
  const began = performance.now();
  await act();
  return { seconds: (performance.now() - began) / 1000 };
}

/** A qcow2 whose disk is full of random bytes. */
/** A qcow2 of incompressible data. */
export async function makeImage(path: string, bytes: number): Promise<void> {
  const raw = `${path}.raw`;
  const file = openSync(raw, 'w');
  const block = Buffer.allocUnsafe(MIB);
  for (let written = 0; written < bytes; written += block.length) writeSync(file, randomFillSync(block));
  closeSync(file);
  await runProgram('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, path]);
  rmSync(raw);
}

/** Also reads the file into the page cache, from where nginx serves it to everyone. */
async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: MIB }), hash);
  return hash.digest('hex');
}
