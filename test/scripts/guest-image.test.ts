import assert from 'node:assert/strict';
import { test } from 'node:test';
import { guestImages } from '../support/bootable-images.ts';
import { runProgram } from '../support/program.ts';

/** Boots without a network and with the emulator alone; the guest powers off by itself. Returns its serial port's words. */
function boot(drive: string): Promise<string> {
  const machine = [
    '-accel',
    'tcg',
    '-m',
    '128',
    '-nodefaults',
    '-no-reboot',
    '-display',
    'none',
    '-serial',
    'stdio',
  ];
  return runProgram('qemu-system-x86_64', [...machine, '-snapshot', '-drive', drive]);
}

test('the guest image boots from its virtio disk and finds its data whole', async () => {
  const { qcow2 } = await guestImages();
  assert.match(
    await boot(`file=${qcow2},format=qcow2,if=virtio`),
    /^INGOT-GUEST ready disk=\/dev\/vda2 payload=ok/m,
  );
});

test('the guest ISO boots as a CD', async () => {
  const { iso } = await guestImages();
  assert.match(
    await boot(`file=${iso},format=raw,media=cdrom`),
    /^INGOT-GUEST ready disk=\/dev\/sr0 payload=ok/m,
  );
});
