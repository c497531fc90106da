import assert from 'node:assert/strict';
import { statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { NO_SMALL_FILE_SYSTEM, smallFileSystem } from './small-file-system.ts';

test('a small file system is really full at its size', async (t) => {
  const directory = await smallFileSystem(1 << 20);
  if (!directory) return t.skip(NO_SMALL_FILE_SYSTEM);
  const { blocks, bsize } = statfsSync(directory);
  assert.equal(blocks * bsize, 1 << 20);
  writeFileSync(join(directory, 'fits'), Buffer.alloc(900_000));
  assert.throws(() => writeFileSync(join(directory, 'does not'), Buffer.alloc(200_000)), { code: 'ENOSPC' });
});
