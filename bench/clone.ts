/**
 * Volumes from images: a warm clone beside `qemu-img create -b`, the first volume of a 1 GiB image beside `cp` and
 * `sync` (or a hard link), and a template of 1 GiB beside `qemu-img convert` and `sha256sum`.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type Nginx, startNginx } from '../test/support/nginx.ts';
import { findProgram, runProgram } from '../test/support/program.ts';
import { makeImage } from './add-image.ts';
import type { Options } from './main.ts';
import { loadAverage } from './support/machine.ts';
import { atMost, median, type Reach } from './support/reach.ts';
import { scratchDirectory } from './support/scratch.ts';
import { Service } from './support/service.ts';
import { printTable } from './support/table.ts';

const LARGE = 1024 ** 3;
const CLONES = 100;
const AT_ONCE = 16;
const ROUNDS = 5;
/** Milliseconds. */
const LONGEST_PAUSE = 20;

type Inventory = Record<string, unknown> & { uuid: string };

interface Scene {
  directory: string;
  service: Service;
  /** The file of the image in its store. */
  stored: string;
  image: Inventory;
  zone: string;
}

export async function clone({ rounds = ROUNDS }: Options): Promise<Reach[]> {
  const directory = scratchDirectory();
  const served = join(directory, 'served');
  mkdirSync(served);
  await makeImage(join(served, 'large.qcow2'), LARGE);
  const nginx: Nginx = await startNginx(served, join(directory, 'nginx'));
  const service = await Service.start(join(directory, 'data'));
  try {
    const { inventories } = await service.get('/backup-storage');
    const [store] = inventories as Inventory[];
    const image = (await service.addImage(nginx.url('large.qcow2'), [store?.uuid ?? ''])) as Inventory;
    const [ref] = image.backupStorageRefs as { installPath: string }[];
    const [zone] = (await service.get('/zones')).inventories as Inventory[];
    const scene: Scene = {
      directory,
      service,
      stored: ref?.installPath ?? '',
      image,
      zone: zone?.uuid ?? '',
    };
    return [...(await warm(scene)), ...(await cold(scene, rounds)), ...(await template(scene, rounds))];
  } finally {
    await service.stop();
    await nginx.stop();
  }
}

/** Asks again after a millisecond, and ever more seldom: sixteen that never pause would measure their own questions. */
async function call(
  service: Service,
  method: string,
  path: string,
  body?: object,
): Promise<Record<string, unknown>> {
  const response = await fetch(`${service.address}/zstack/v1${path}`, {
    method,
    headers: service.headers,
    ...(body && { body: JSON.stringify(body) }),
  });
  const { location } = (await response.json()) as { location: string };
  for (let pause = 1; ; pause = Math.min(LONGEST_PAUSE, pause * 1.2)) {
    const poll = await fetch(location);
    const answer = (await poll.json()) as Record<string, unknown>;
    if (poll.status === 200) return answer;
    if (poll.status !== 202) throw new Error(`${path} ended with ${poll.status}: ${JSON.stringify(answer)}`);
    await delay(pause);
  }
}

async function makeVolume({ service, image }: Scene, primaryStorageUuid?: string): Promise<Inventory> {
  const params = { name: 'bench', ...(primaryStorageUuid && { primaryStorageUuid }) };
  const path = `/volumes/root/from/images/${image.uuid}`;
  return (await call(service, 'POST', path, { params })).inventory as Inventory;
}

async function warm(scene: Scene): Promise<Reach[]> {
  await makeVolume(scene);
  const target = join(scene.directory, 'by-qemu-img');
  mkdirSync(target);
  const qemuImg = findProgram('qemu-img');
  const create = (name: string) =>
    promisify(execFile)(qemuImg, [
      'create',
      '-q',
      '-f',
      'qcow2',
      '-b',
      scene.stored,
      '-F',
      'qcow2',
      join(target, name),
    ]);
  const volumes: Inventory[] = [];
  const alone: number[] = [];
  const single: number[] = [];
  // In turns, so that whatever disturbs the machine for a while disturbs both alike.
  for (let i = 0; i < CLONES; i++) {
    alone.push(await milliseconds(() => create(`one-${i}`)));
    single.push(await milliseconds(async () => volumes.push(await makeVolume(scene))));
  }
  const crowdAlone = await atOnce((i) => create(`many-${i}`));
  const crowd = await atOnce(async () => volumes.push(await makeVolume(scene)));
  const sizes = volumes.map(({ installPath }) => statSync(String(installPath)).blocks * 512);
  const ofQemuImg = readdirSync(target).map((name) => statSync(join(target, name)).blocks * 512);
  rmSync(target, { recursive: true });
  const row = (name: string, times: readonly number[], bytes: readonly number[], total = '') => [
    name,
    median(times).toFixed(1),
    percentile(times, 0.99).toFixed(1),
    total,
    (Math.max(...bytes) / 1024).toFixed(0),
  ];
  printTable(
    ['', 'p50, ms', 'p99, ms', 'all, s', 'KiB each'],
    [
      row('qemu-img create -b', alone, ofQemuImg),
      row('CreateRootVolumeFromImage, warm', single, sizes),
      row(
        `qemu-img create -b, ${CLONES}, ${AT_ONCE} at once`,
        crowdAlone.times,
        ofQemuImg,
        crowdAlone.seconds.toFixed(2),
      ),
      row(
        `CreateRootVolumeFromImage, ${CLONES}, ${AT_ONCE} at once`,
        crowd.times,
        sizes,
        crowd.seconds.toFixed(2),
      ),
    ],
  );
  console.log(`load ${loadAverage()}\n`);
  return [
    atMost('warm clone p50 / qemu-img create -b', median(single) / median(alone), 2, 'times'),
    atMost(
      `the same, ${CLONES} clones, ${AT_ONCE} at once`,
      median(crowd.times) / median(crowdAlone.times),
      2,
      'times',
    ),
    atMost('disk of a clone', Math.max(...sizes) / 1024, 200, 'KiB', 0),
  ];
}

/** The first volume on a primary storage that has just been added. */
async function cold(scene: Scene, rounds: number): Promise<Reach[]> {
  const [copies, apart, linked]: [number[], number[], number[]] = [[], [], []];
  for (let round = 0; round < rounds; round++) {
    const shared = join(scene.directory, `linked-${round}`);
    linked.push(await firstVolume(scene, shared));
    const other = await otherFileSystem(scene.directory);
    if (other === undefined) continue;
    await runProgram('sync', []);
    const copy = join(other, 'copy');
    copies.push(
      await milliseconds(async () => {
        await promisify(execFile)('cp', [scene.stored, copy]);
        await promisify(execFile)('sync', [copy]);
      }),
    );
    rmSync(copy);
    await runProgram('sync', []);
    apart.push(await firstVolume(scene, join(other, 'storage')));
    await runProgram('umount', [other]);
    rmSync(join(scene.directory, 'other-side'), { recursive: true });
  }
  const rows = [['first volume, cache hard-linked', median(linked).toFixed(0)]];
  const reach = [atMost('first volume, hard-linked', median(linked), 100, 'ms', 0)];
  if (copies.length > 0) {
    rows.push(
      ['cp + sync', median(copies).toFixed(0)],
      ['first volume, no shared file system', median(apart).toFixed(0)],
    );
    reach.push(
      atMost('first volume, no shared file system / cp + sync', median(apart) / median(copies), 1.3, 'times'),
    );
  } else console.log('no second file system can be mounted here: the copy is not measured');
  printTable(['', 'ms'], rows);
  console.log(`load ${loadAverage()}\n`);
  return reach;
}

async function firstVolume(scene: Scene, url: string): Promise<number> {
  const params = { name: 'bench', url, zoneUuid: scene.zone };
  const { inventory } = await call(scene.service, 'POST', '/primary-storage/local-storage', { params });
  const { uuid } = inventory as Inventory;
  const time = await milliseconds(() => makeVolume(scene, uuid));
  await call(scene.service, 'DELETE', `/primary-storage/${uuid}`);
  return time;
}

/** The same disk under a second mount point, between which nothing can be linked. */
async function otherFileSystem(directory: string): Promise<string | undefined> {
  const [side, point] = [join(directory, 'other-side'), join(directory, 'other')];
  mkdirSync(side, { recursive: true });
  mkdirSync(point, { recursive: true });
  try {
    await runProgram('mount', ['--bind', side, point]);
    return point;
  } catch {
    return undefined;
  }
}

async function template(scene: Scene, rounds: number): Promise<Reach[]> {
  const { service } = scene;
  const [converts, templates]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    const volume = await makeVolume(scene);
    const converted = join(scene.directory, 'converted.qcow2');
    await runProgram('sync', []);
    converts.push(
      await milliseconds(async () => {
        const line = ['convert', '-f', 'qcow2', '-O', 'qcow2', String(volume.installPath), converted];
        await promisify(execFile)(findProgram('qemu-img'), line);
        await promisify(execFile)('sha256sum', [converted]);
      }),
    );
    rmSync(converted);
    await runProgram('sync', []);
    const path = `/images/root-volume-templates/from/volumes/${volume.uuid}`;
    let made: Inventory | undefined;
    templates.push(
      await milliseconds(async () => {
        made = (await call(service, 'POST', path, { params: { name: 'bench' } })).inventory as Inventory;
      }),
    );
    const [ref] = (made?.backupStorageRefs ?? []) as { installPath: string }[];
    await runProgram('qemu-img', ['compare', ref?.installPath ?? '', String(volume.installPath)]);
    await call(service, 'DELETE', `/images/${made?.uuid}`);
  }
  printTable(
    ['', 'ms'],
    [
      ['qemu-img convert + sha256sum', median(converts).toFixed(0)],
      ['CreateRootVolumeTemplateFromRootVolume, 1 GiB', median(templates).toFixed(0)],
    ],
  );
  console.log(`load ${loadAverage()}`);
  return [
    atMost('template / qemu-img convert + sha256sum', median(templates) / median(converts), 1.3, 'times'),
  ];
}

async function atOnce(work: (i: number) => Promise<unknown>): Promise<{ times: number[]; seconds: number }> {
  const times: number[] = [];
  let next = 0;
  const lane = async () => {
    for (let i = next++; i < CLONES; i = next++) times.push(await milliseconds(() => work(i)));
  };
  const seconds = await milliseconds(() => Promise.all(Array.from({ length: AT_ONCE }, lane)));
  return { times, seconds: seconds / 1000 };
}

async function milliseconds(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

function percentile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}
