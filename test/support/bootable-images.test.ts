import assert from 'node:assert/strict';
import { test } from 'node:test';
import { debianImages } from './bootable-images.ts';
import { bytesAt } from './bytes-at.ts';

test('images made by others come out of their packages', async () => {
  const images = await debianImages();
  for (const iso of [images.grubIso, images.memtestIso, images.ipxeIso]) {
    assert.equal(bytesAt(iso, 0x8001, 5), 'CD001', iso);
  }
  assert.equal(bytesAt(images.grubFloppy, 510, 2), '\x55\xaa');
});
