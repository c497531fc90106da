import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { makeDisk } from '../../src/volume/create.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';

it('a disk that is there already is not made again: a guest may have written to it', async () => {
  const file = join(temporaryDirectory(), 'disk');
  const driver = {
    usage: async () => (await readFile(file).catch(() => undefined))?.length,
    blank: () => writeFile(file, 'blank'),
  };
  const parts = { primaryStorages: { driver: async () => driver } } as unknown as Parameters<
    typeof makeDisk
  >[0];
  const disk = { size: 5, on: { storageUuid: 'a', path: 'disk' } };
  const asking = { id: 'job', signal: new AbortController().signal, report: () => {} };
  await makeDisk(parts, disk, asking);
  assert.equal(await readFile(file, 'utf8'), 'blank');
  await writeFile(file, "a guest's");
  await makeDisk(parts, disk, asking);
  assert.equal(await readFile(file, 'utf8'), "a guest's");
});
