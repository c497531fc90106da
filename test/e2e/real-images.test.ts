import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { copyFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { after, describe, it } from 'node:test';
import { debianImages, guestImages } from '../support/bootable-images.ts';
import { startNginx } from '../support/nginx.ts';

import { runProgram } from '../support/program.ts';
import { startTestService } from '../support/service.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  return hash.digest('hex');
}

describe('real images from a real web server', () => {
  const expected = (async () => {
    const [guest, debian] = await Promise.all([guestImages(), debianImages()]);
    return [
      { path: guest.qcow2, format: 'qcow2', mediaType: 'RootVolumeTemplate' },
      { path: guest.raw, format: 'raw', mediaType: 'RootVolumeTemplate' },
      { path: guest.iso, format: 'iso', mediaType: 'ISO' },
      { path: debian.grubIso, format: 'iso', mediaType: 'ISO' },
      { path: debian.memtestIso, format: 'iso', mediaType: 'ISO' },
      { path: debian.ipxeIso, format: 'iso', mediaType: 'ISO' },
    ];
  })();

  for (const database of ['sqlite', 'postgres'] as const) {
    it(`become Ready as what they are, byte by byte, with the state in ${database}`, async () => {
      const images = await expected;
      const site = temporaryDirectory();
      for (const { path } of images) await copyFile(path, join(site, basename(path)));
      const nginx = await startNginx(site, temporaryDirectory());
      after(() => nginx.stop());
      const service = await startTestService({ database });
      after(() => service.stop());

      for (const { path, format, mediaType } of images) {
        const name = basename(path);
        const { inventory } = await service.client.call('AddImage', { name, url: nginx.url(`/${name}`) });
        assert.equal(inventory.status, 'Ready', name);
        assert.equal(inventory.format, format, name);
        assert.equal(inventory.mediaType, mediaType, name);
        assert.equal(inventory.actualSize, (await stat(path)).size, name);
        const stored = inventory.backupStorageRefs[0].installPath;
        const sha256 = await sha256Of(path);
        assert.equal(await sha256Of(stored), sha256, name);
        assert.equal(inventory.sha256Sum, sha256, name);
        assert.equal(inventory.md5Sum, (await runProgram('md5sum', [path])).slice(0, 32), name);
        if (format === 'iso') continue;
        const info = JSON.parse(
          await runProgram('qemu-img', ['info', '-f', format, '--output=json', stored]),
        );
        assert.equal(inventory.size, info['virtual-size'], name);
        if (format === 'qcow2') await runProgram('qemu-img', ['check', '-f', 'qcow2', stored]);
      }
    });
  }

  it('raw ones are stored with holes where they are zero', async () => {
    const { raw } = await guestImages();
    const site = temporaryDirectory();
    await copyFile(raw, join(site, 'guest.raw'));
    const nginx = await startNginx(site, temporaryDirectory());
    after(() => nginx.stop());
    const service = await startTestService();
    after(() => service.stop());
    const { inventory } = await service.client.call('AddImage', {
      name: 'guest',
      url: nginx.url('/guest.raw'),
    });
    const { size, blocks } = await stat(inventory.backupStorageRefs[0].installPath);
    assert.equal(size, (await stat(raw)).size);
    assert.ok(blocks * 512 < size * 0.9, `${blocks * 512} of ${size} bytes are allocated`);
  });
});
