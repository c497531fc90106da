import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { startServiceProcess, type TestService, until } from '../support/service.ts';
import { smallMbrDisk } from '../support/small-disks.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';
import { Ingot } from './ingot.ts';

const MIB = 2 ** 20;

describe("files of the user's machine", () => {
  const directory = temporaryDirectory();
  const file = join(directory, 'my disk.raw');
  let bytes: Buffer;
  let service: TestService & { kill(): Promise<void> };
  let ingot: Ingot;

  before(async () => {
    // As much as can't be sent in a moment, so that it can be interrupted.
    bytes = Buffer.concat([
      readFileSync((await smallMbrDisk()).path),
      randomBytes(16 * MIB),
      Buffer.alloc(32 * MIB, 7),
    ]);
    writeFileSync(file, bytes);
    service = await startServiceProcess();
    ingot = new Ingot({ data: service.data });
  });
  after(() => service.stop());

  const digest = (content: Buffer) => createHash('sha256').update(content).digest('hex');
  const add = (name: string) => ['AddImage', `name=${name}`, `file=${file}`];
  /** Waits until the service has taken some of the bytes. */
  const underWay = () =>
    until('the first bytes', async () => {
      const parameters = { imageId: 'my%20disk.raw' };
      const { existingJobDetails } = await service.client.call('GetUploadImageJobDetails', parameters);
      return existingJobDetails.some(({ offset }: { offset: number }) => offset > 4 * MIB);
    });

  it('are sent, and become images', async () => {
    const { code, stdout, stderr } = await ingot.run(add('sent'));
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^status +Ready$/m);
    assert.match(stdout, new RegExp(`^sha256Sum +${digest(bytes)}$`, 'm'));
    assert.match(stdout, /^url +upload:\/\/my%20disk\.raw$/m);
  });

  it('go on being sent when the command was killed', async () => {
    const first = ingot.start(add('killed'));
    await underWay();
    first.child.kill('SIGKILL');
    await first.ended;
    const { code, stdout, stderr } = await ingot.run(add('killed'));
    assert.equal(code, 0, stderr);
    assert.match(stderr, /^Going on with an upload that has [\d.]+ MiB already\.$/m);
    assert.match(stdout, new RegExp(`^sha256Sum +${digest(bytes)}$`, 'm'));
    assert.equal((await service.client.query('Image', 'name=killed')).length, 1);
  });

  it('go on being sent when the service was killed and comes back', async () => {
    const running = ingot.start(add('outlived'));
    await underWay();
    await service.kill();
    service = await startServiceProcess({ data: service.data });
    const { code, stdout, stderr } = await running.ended;
    assert.equal(code, 0, stderr);
    assert.match(stdout, new RegExp(`^sha256Sum +${digest(bytes)}$`, 'm'));
  });

  it('say on Ctrl-C how to go on', async () => {
    const running = ingot.start(add('interrupted'));
    await underWay();
    running.child.kill('SIGINT');
    const { code, stderr } = await running.ended;
    assert.equal(code, 130);
    assert.match(stderr, /the same call goes on with the upload/);
    const { stdout } = await ingot.run(add('interrupted'));
    assert.match(stdout, /^status +Ready$/m);
  });

  it('are refused where they are not what they should be', async () => {
    const missing = await ingot.run(['AddImage', 'name=x', 'file=/no/such']);
    assert.deepEqual([missing.code, missing.stderr], [2, 'ingot: /no/such does not exist\n']);
    const both = await ingot.run(['AddImage', 'name=x', `file=${file}`, 'url=http://x/y']);
    assert.equal(both.code, 2);
    const page = join(directory, 'page.html');
    writeFileSync(page, '<!DOCTYPE html><html></html>');
    const refused = await ingot.run(['AddImage', 'name=x', `file=${page}`]);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /^IMG\.1002: /);
    writeFileSync(page, '');
    const empty = await ingot.run(['AddImage', 'name=x', `file=${page}`]);
    assert.equal(empty.code, 1);
  });

  it('are written by DownloadImage, checked, and never half', async () => {
    const [image] = await service.client.query('Image', 'name=sent');
    const uuid = `uuid=${image?.uuid}`;
    const target = join(directory, 'down');
    mkdirSync(target);
    const { code, stdout, stderr } = await ingot.run(['DownloadImage', uuid, `to=${target}`]);
    assert.equal(code, 0, stderr);
    const written = join(target, 'sent.img');
    assert.equal(stdout, `${written}\n`);
    assert.equal(digest(readFileSync(written)), digest(bytes));
    const again = await ingot.run(['DownloadImage', uuid, `to=${written}`]);
    assert.equal(again.code, 2);
    assert.match(again.stderr, /exists already/);
  });

  it('are gone on with where a download stopped, and thrown away where that was something else', async () => {
    const [image] = await service.client.query('Image', 'name=sent');
    const target = join(directory, 'resumed.img');
    const words = ['DownloadImage', `uuid=${image?.uuid}`, `to=${target}`, '--json'];
    const running = ingot.start(words);
    await until(
      'the first bytes',
      () => existsSync(`${target}.part`) && statSync(`${target}.part`).size > MIB,
    );
    running.child.kill('SIGKILL');
    await running.ended;
    const { code, stdout } = await ingot.run(words);
    assert.equal(code, 0);
    assert.deepEqual(JSON.parse(stdout), { file: target, sha256Sum: digest(bytes), size: bytes.length });
    assert.equal(digest(readFileSync(target)), digest(bytes));

    const other = join(directory, 'other.img');
    appendFileSync(`${other}.part`, 'of another image');
    const bad = await ingot.run(['DownloadImage', `uuid=${image?.uuid}`, `to=${other}`]);
    assert.equal(bad.code, 1);
    assert.match(bad.stderr, /it was thrown away/);
    assert.ok(!existsSync(other) && !existsSync(`${other}.part`));
  });

  it('are not written where there is no such image', async () => {
    const { code, stderr } = await ingot.run(['DownloadImage', 'uuid=7f0f1a3c9f3b4a0c8d1e2b3c4d5e6f70']);
    assert.equal(code, 1);
    assert.match(stderr, /^SYS\.1003: there is no Image with the uuid/);
  });

  it('are in the help', async () => {
    const { stdout } = await ingot.run(['AddImage', '--help']);
    assert.match(stdout, /^ {2}file +text/m);
    assert.match((await ingot.run(['DownloadImage', '--help'])).stdout, /^ {2}to +text/m);
  });
});
