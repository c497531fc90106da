import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { type RangeServer, startRangeServer } from '../support/range-server.ts';
import { startServiceProcess, startTestService, type TestService, until } from '../support/service.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';
import { Ingot } from './ingot.ts';

const MIB = 2 ** 20;

describe('jobs', () => {
  let service: TestService;
  let source: RangeServer;
  let ingot: Ingot;
  let bytesPerSecond = 1000 * MIB;
  const add = (name: string) => ['AddImage', `name=${name}`, 'format=raw', `url=${source.url('/disk.raw')}`];

  before(async () => {
    service = await startTestService();
    source = await startRangeServer({
      files: { '/disk.raw': randomBytes(8 * MIB) },
      fault: () => ({ bytesPerSecond }),
    });
    ingot = new Ingot({ data: service.data });
  });
  after(async () => {
    await source.close();
    await service.stop();
  });

  it('are waited for, and what they answer is shown', async () => {
    bytesPerSecond = 1000 * MIB;
    const { code, stdout, stderr } = await ingot.run(add('中文'));
    assert.deepEqual([code, stderr], [0, '']);
    assert.match(stdout, /^name +中文$/m);
    assert.match(stdout, /^status +Ready$/m);
    assert.match(stdout, /^actualSize +8 MiB \(8388608 bytes\)$/m);
    assert.match(stdout, /^ {2}- imageUuid/m);
    const json = JSON.parse((await ingot.run([...add('as JSON'), '--json'])).stdout);
    assert.equal(json.inventory.name, 'as JSON');
  });

  it('warn of what failed in part', async () => {
    const [storage] = await service.client.query('BackupStorage');
    const { inventory: disabled } = await service.client.call('AddLocalBackupStorage', {
      name: 'out of use',
      url: temporaryDirectory(),
    });
    await service.client.call('ChangeBackupStorageState', { uuid: disabled.uuid, stateEvent: 'disable' });
    const { code, stderr } = await ingot.run([
      ...add('partly'),
      `backupStorageUuids=${storage?.uuid},${disabled.uuid}`,
    ]);
    assert.equal(code, 0, stderr);
    assert.match(stderr, new RegExp(`^warning: backupStorageUuid=${disabled.uuid}\\n {2}\\S+: `));
  });

  it('show why they failed', async () => {
    const { code, stderr } = await ingot.run(['AddImage', 'name=x', `url=${source.url('/nothing')}`]);
    assert.equal(code, 1);
    assert.match(stderr, /^[A-Z]+\.\d+: .*404/);
  });

  it('are not waited for with --no-wait', async () => {
    bytesPerSecond = 8 * MIB;
    const { code, stdout } = await ingot.run([...add('not waited for'), '--no-wait']);
    assert.equal(code, 0);
    assert.match(stdout, /^[0-9a-f]{32}\n$/);
    assert.equal((await service.client.result(stdout.trim())).inventory.name, 'not waited for');
  });

  it('go on alone after an interrupt where nobody can be asked', async () => {
    bytesPerSecond = MIB;
    const running = ingot.start(add('left alone'));
    const job = await jobNamed(service, 'left alone');
    // The job is there before the command line knows that it is.
    await running.says(/AddImage .*%/);
    bytesPerSecond = 1000 * MIB;
    running.child.kill('SIGINT');
    const { code, stdout, stderr } = await running.ended;
    assert.equal(code, 130);
    assert.equal(stdout, `${job}\n`);
    assert.match(
      stderr,
      new RegExp(`AddImage goes on by itself \\(job ${job}\\)\\nHow far it is: ingot GetTaskProgress`),
    );
    assert.equal((await service.client.result(job)).inventory.status, 'Ready');
  });

  it('draw a bar at a terminal; Ctrl-C asks, and y takes everything back', async () => {
    bytesPerSecond = 2 * MIB;
    const running = ingot.atTerminal(add('cancelled'));
    await running.says(/AddImage \[█*░+\] +\d+% {2}.* of 8 MiB {2}.*\/s/);
    running.child.stdin?.write('\u0003');
    await running.says(/Cancel the job\? \[y\]es, \[d\]etach and leave it running, \[c\]ontinue waiting /);
    running.child.stdin?.write('c');
    await running.says(/waiting c[\s\S]*AddImage \[/);
    running.child.stdin?.write('\u0003');
    await running.says(/waiting c[\s\S]*Cancel the job/);
    running.child.stdin?.write('y');
    const { code, stdout } = await running.ended;
    assert.equal(code, 130, stdout);
    assert.match(stdout, /AddImage was cancelled; what it had begun is undone/);
    assert.deepEqual(await service.client.query('Image', 'name=cancelled'), []);
  });

  it('are left alone by a second Ctrl-C at the question', async () => {
    bytesPerSecond = 4 * MIB;
    const running = ingot.atTerminal(add('detached'));
    const job = await jobNamed(service, 'detached');
    await running.says(/AddImage \[/);
    running.child.stdin?.write('\u0003');
    await running.says(/Cancel the job/);
    running.child.stdin?.write('\u0003');
    const { code, stdout } = await running.ended;
    assert.equal(code, 130);
    assert.ok(stdout.includes(job));
    assert.equal((await service.client.result(job)).inventory.status, 'Ready');
  });
});

describe('a job whose service goes away', () => {
  it('is waited for until the service is back', async () => {
    const source = await startRangeServer({
      files: { '/disk.raw': randomBytes(8 * MIB) },
      fault: () => ({ bytesPerSecond: 4 * MIB }),
    });
    after(() => source.close());
    const data = temporaryDirectory();
    const first = await startServiceProcess({ data });
    const ingot = new Ingot({ data });
    const running = ingot.start(['AddImage', 'name=again', 'format=raw', `url=${source.url('/disk.raw')}`]);
    await jobNamed(first, 'again');
    await until('the first bytes', () => source.bytesSent() > MIB);
    await first.kill();
    await running.says(/is away; AddImage \(job [0-9a-f]{32}\) goes on by itself/);
    const second = await startServiceProcess({ data });
    after(() => second.stop());
    const { code, stdout, stderr } = await running.ended;
    assert.equal(code, 0, stderr);
    assert.match(stderr, /The service is back\./);
    assert.match(stdout, /^status +Ready$/m);
  });

  it('goes on with the next start, where the service was started for the call', async () => {
    const source = await startRangeServer({
      files: { '/disk.raw': randomBytes(8 * MIB) },
      fault: ({ number }) => ({ bytesPerSecond: number < 2 ? 2 * MIB : 1000 * MIB }),
    });
    after(() => source.close());
    const ingot = new Ingot();
    const running = ingot.start(['AddImage', 'name=rests', 'format=raw', `url=${source.url('/disk.raw')}`]);
    await until('the first bytes', () => source.bytesSent() > MIB / 4);
    running.child.kill('SIGINT');
    const { code, stdout, stderr } = await running.ended;
    assert.equal(code, 130);
    assert.match(stderr, /AddImage goes on when a service is started again/);
    const service = await startServiceProcess({ data: ingot.data });
    after(() => service.stop());
    assert.equal((await service.client.result(stdout.trim())).inventory.status, 'Ready');
  });
});

/** The uuid of the AddImage that gives an image of this name. */
function jobNamed(service: TestService, name: string): Promise<string> {
  return until(`the job that adds '${name}'`, async () => {
    const [job] = await service.client.query('LongJob', 'name=AddImage', `jobData~=%"${name}"%`);
    return job?.uuid as string | undefined;
  });
}
