/** A guest that writes all of its disk on a storage that has no room for it, until it has. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fsckOf } from '../support/fsck.ts';
import { endMachines, eventually, SMALL, untilState } from '../support/guests.ts';
import { startRangeServer } from '../support/range-server.ts';
import { startTestService } from '../support/service.ts';
import { NO_SMALL_FILE_SYSTEM, smallFileSystem } from '../support/small-file-system.ts';

const MIB = 2 ** 20;

/**
 * Writes 64 sectors after 64 sectors to the first disk, by the firmware, until that refuses; then halts.
 *
 *     xor ax, ax / mov ds, ax / mov si, 7c20
 *     next: mov ah, 43 / mov al, 0 / mov dl, 80 / int 13 / jc end / add dword [7c28], 40 / jmp next
 *     end: hlt / jmp end
 *     7c20: db 10, 0 / dw 40, 0, 1000 / dq 40
 */
const WRITES_ALL = [
  '31c08ed8be207c',
  'b443b000b280cd137208668306287c40ebee',
  'f4ebfd',
  '00000000',
  '100040000000001040',
].join('');

function disk(): Buffer {
  const bytes = randomBytes(4 * MIB);
  bytes.fill(0, 0, 512);
  bytes.set(Buffer.from(WRITES_ALL, 'hex'));
  // One partition, as a disk has.
  bytes.set([0x80, 0, 2, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0], 446);
  bytes.set([0x55, 0xaa], 510);
  return bytes;
}

describe('a virtual machine on a storage that is full', () => {
  it('is held and said to be so, and goes on where it was when there is room', async (t) => {
    const url = await smallFileSystem(96 * MIB);
    if (!url) return t.skip(NO_SMALL_FILE_SYSTEM);
    const service = await startTestService({ settings: { accelerator: 'tcg' } });
    const server = await startRangeServer({ files: { '/disk.raw': disk() } });
    const call = async (name: string, parameters: Record<string, unknown>) =>
      (await service.client.call(name, parameters)).inventory;
    try {
      const often = { category: 'vm', name: 'tracer.interval', value: '1' };
      await service.client.call('UpdateGlobalConfig', often);
      const image = await call('AddImage', { name: 'x', url: server.url('/disk.raw'), format: 'raw' });
      const [zone] = await service.client.query('Zone');
      const small = { name: 'small', url, zoneUuid: zone?.uuid };
      const storage = await call('AddLocalPrimaryStorage', small);
      const { uuid } = await call('CreateVmInstance', {
        ...{ name: 'vm', imageUuid: image.uuid, strategy: 'JustCreate', rootDiskSize: 32 * MIB },
        ...{ primaryStorageUuidForRootVolume: storage.uuid, ...SMALL },
      });
      const free = () => statfsSync(url).bavail * statfsSync(url).bsize;
      const ballast = join(url, 'ballast');
      const room = free() - 4 * MIB;
      writeFileSync(ballast, Buffer.alloc(room));
      await call('StartVmInstance', { uuid });
      const held = await untilState(service.client, uuid, 'Unknown');
      assert.match(held.stateReason, /a disk could not be written, as its storage is full/);
      assert.ok(free() < MIB, `${free()} bytes are free`);
      rmSync(ballast);
      await untilState(service.client, uuid, 'Running');
      await eventually('the guest to write the rest', async () => room - free() > 20 * MIB);
      await service.client.call('DestroyVmInstance', { uuid });
    } finally {
      await service.stop();
      endMachines(service.data);
      await server.close();
    }
    assert.deepEqual(await fsckOf(service), []);
  });
});
