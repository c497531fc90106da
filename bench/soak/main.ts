/**
 * `npm run soak -- MINUTES`: 200 clients of ten accounts at once on the embedded default, with mixed calls and
 * downloads, and what must hold meanwhile: no error that isn't asked for, memory flat, queries quick, AddImages fair.
 * Exit code 1 when something doesn't.
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { startNginx } from '../../test/support/nginx.ts';
import { describeMachine } from '../support/machine.ts';
import { atMost, type Reach } from '../support/reach.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { Service } from '../support/service.ts';
import { printTable } from '../support/table.ts';
import { Figures } from './figures.ts';
import { type Account, Visitor } from './visitor.ts';

const MIB = 2 ** 20;
/** What every client downloads, and what new images are made of. */
const SIZES = { small: 2 * MIB, large: 24 * MIB };
/** Until then, caches fill and code gets compiled: memory is not looked at. A share of the whole time. */
const WARM_UP = 0.3;
/** Every second one an administrator. */
const ACCOUNTS = 10;
/** Milliseconds between two looks at the memory. */
const LOOK = 1000;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { clients: { type: 'string', default: '200' }, think: { type: 'string', default: '1000' } },
});
const minutes = Number(positionals[0] ?? 10);
const clients = Number(values.clients);
const think = Number(values.think);
if (!(minutes > 0 && clients > 0 && think >= 0)) {
  console.error('npm run soak -- MINUTES [--clients COUNT] [--think MILLISECONDS]');
  process.exit(2);
}

console.log(await describeMachine());
const directory = scratchDirectory();
const served = join(directory, 'served');
mkdirSync(served);
const bytes = Object.entries(SIZES).map(([name, size]) => [name, rawDisk(size)] as const);
for (const [name, content] of bytes) writeFileSync(join(served, `${name}.raw`), content);
const nginx = await startNginx(served, join(directory, 'nginx'));
const service = await Service.start(join(directory, 'data'));
const stores = (await service.get('/backup-storage')).inventories as { uuid: string }[];
const shared = await Promise.all(
  bytes.map(async ([name, content]) => ({
    uuid: (await service.addImage(nginx.url(`${name}.raw`), [stores[0]?.uuid ?? ''])).uuid as string,
    size: content.length,
    sha256: createHash('sha256').update(content).digest('hex'),
  })),
);

const accounts: Account[] = [{ name: 'admin', password: service.passwordDigest, admin: true }];
for (let i = 1; i < ACCOUNTS; i++) {
  const admin = i % 2 === 0;
  const name = `${admin ? 'operator' : 'user'}-${i}`;
  const password = createHash('sha512').update(name).digest('hex');
  const params = { name, password, type: admin ? 'SystemAdmin' : 'Normal' };
  await service.call('POST', '/accounts', { params });
  accounts.push({ name, password, admin });
}
const shareResource = { resourceUuids: shared.map(({ uuid }) => uuid), toPublic: true };
await service.call('PUT', '/accounts/resources/actions', { shareResource });

const figures = new Figures();
const stop = new AbortController();
const end = performance.now() + minutes * 60_000;
const scene = {
  service,
  shared,
  source: nginx.url('small.raw'),
  accounts,
  think,
  figures,
};
const visits = Array.from({ length: clients }, (_, number) => new Visitor(scene, number).visit(stop.signal));
const memory: { at: number; bytes: number }[] = [];
let shown = 0;
while (performance.now() < end) {
  await delay(LOOK);
  memory.push({ at: performance.now(), bytes: service.residentMemory });
  if (++shown % 30 === 0) {
    const left = Math.max(0, (end - performance.now()) / 1000);
    console.log(
      `${left.toFixed(0)} s left: ${figures.count} calls, ${figures.failures.length} failed, ${(service.residentMemory / MIB).toFixed(0)} MiB`,
    );
  }
}
stop.abort();
await Promise.all(visits);
const peak = service.peakMemory;
await service.stop();
await nginx.stop();

printTable(
  ['call', 'count', 'p50 ms', 'p99 ms', 'longest ms'],
  figures
    .rows()
    .map(({ name, count, p50, p99, longest }) => [
      name,
      String(count),
      p50.toFixed(0),
      p99.toFixed(0),
      longest.toFixed(0),
    ]),
);
const rate = figures.count / (minutes * 60);
console.log(`${clients} clients, ${minutes} min: ${figures.count} calls, ${rate.toFixed(0)} a second`);
console.log(`${(figures.bytes / 2 ** 30).toFixed(1)} GiB downloaded, each digest compared`);
for (const failure of figures.failures.slice(0, 20)) console.log(`✖ ${failure}`);

const reaches: Reach[] = [
  atMost('errors that nobody asked for', figures.failures.length, 0, '', 0),
  atMost('queries, p99', figures.percentile('query', 0.99), 250, 'ms', 0),
  atMost('memory at the end beside after warming up', growth(), 1.1, '×'),
  // In line by age: no client waits much longer than the others.
  atMost('AddImage, the slowest client beside the mean of all', figures.unfairness('AddImage'), 3, '×'),
];
console.log(`Peak memory of the service: ${(peak / MIB).toFixed(0)} MiB`);
for (const { says, reached } of reaches) console.log(`${reached ? '✔' : '✖'} ${says}`);
process.exitCode = reaches.every(({ reached }) => reached) ? 0 : 1;

/** A disk with a partition table, and noise. */
function rawDisk(size: number): Buffer {
  const disk = randomBytes(size);
  disk.fill(0, 0, 512);
  // One Linux partition from 1 MiB on.
  disk.set([0x00, 0, 0, 0, 0x83, 0, 0, 0], 446);
  disk.writeUInt32LE(2048, 454);
  disk.writeUInt32LE(size / 512 - 2048, 458);
  disk.writeUInt16LE(0xaa55, 510);
  return disk;
}

/** The mean of the last fifth beside that of the fifth after warming up. */
function growth(): number {
  const warm = memory.slice(Math.floor(memory.length * WARM_UP));
  const fifth = Math.max(1, Math.floor(warm.length / 5));
  const mean = (samples: typeof warm) => samples.reduce((sum, one) => sum + one.bytes, 0) / samples.length;
  return mean(warm.slice(-fifth)) / mean(warm.slice(0, fifth));
}
