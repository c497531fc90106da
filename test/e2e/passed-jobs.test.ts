/** A backup that was made while an image came in, restored when that image has long been Ready. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { descriptionPath } from '../../src/image/description.ts';
import { Ingot } from '../cli/ingot.ts';
import { startRangeServer } from '../support/range-server.ts';
import { startTestService, until } from '../support/service.ts';
import { smallQcow2 } from '../support/small-disks.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';

it('what a job made that is open in the restored database stays, and is registered again', async (test) => {
  const held = Promise.withResolvers<void>();
  let isGone = false;
  const bytes = readFileSync((await smallQcow2()).path);
  const source = await startRangeServer({
    files: { '/a.qcow2': bytes },
    fault: () => (isGone ? { status: 404 } : { until: held.promise }),
  });
  test.after(() => source.close());
  const first = await startTestService();
  const { data } = first;
  const ingot = new Ingot({ data });
  const add = { name: 'golden', url: source.url('/a.qcow2') };
  const [whole, lost] = [
    await first.client.begin('AddImage', add),
    await first.client.begin('AddImage', add),
  ];
  await until('both to be asked for', () => source.requests.length === 2);

  const place = join(temporaryDirectory(), 'backup');
  const made = await ingot.run(['backup', place, '--data', data]);
  assert.equal(made.code, 0, made.stderr);
  held.resolve();
  const { inventory } = await first.client.result(whole);
  const [{ installPath }] = inventory.backupStorageRefs;
  const { inventory: other } = await first.client.result(lost);
  await until('it to be described', () => existsSync(descriptionPath(installPath) ?? ''));
  await first.client.call('DeleteImage', { uuid: other.uuid });
  await first.stop();

  isGone = true;
  const back = await ingot.run(['restore', place, '--force', '--data', data]);
  assert.equal(back.code, 0, back.stderr);
  assert.match(
    back.stdout,
    new RegExp(`ended: AddImage \\(job ${whole}\\) was under way when the backup was made`),
  );
  assert.doesNotMatch(back.stdout, new RegExp(lost));
  const again = await startTestService({ data });
  test.after(() => again.stop());
  const { client } = again;
  await assert.rejects(client.result(whole), { code: 'LONG_JOB.1002', message: /it was ended/ });
  // The other one has made nothing that is still there: it is gone on with.
  await assert.rejects(client.result(lost), { code: 'SYS.1015' });
  assert.deepEqual(await client.query('Image'), []);
  assert.ok(readFileSync(installPath).equals(bytes));
  const [audit] = await client.query('Audit', `jobUuid=${whole}`);
  assert.equal(audit?.state, 'Failed');

  const [store] = await client.query('BackupStorage', 'name=local');
  await client.call('RebuildFromStorage', { uuid: store?.uuid });
  const [image] = await client.query('Image');
  assert.deepEqual([image?.uuid, image?.status], [inventory.uuid, 'Ready']);
});
