import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { test } from 'node:test';
import { bytesAt } from './bytes-at.ts';
import { runProgram } from './program.ts';
import { smallExt4Disk, smallGptDisk, smallMbrDisk, smallQcow2 } from './small-disks.ts';

test('small disks are made once and are what they are said to be', async () => {
  const [first, second] = await Promise.all([smallQcow2(), smallQcow2()]);
  assert.equal(first, second);
  const info = JSON.parse(await runProgram('qemu-img', ['info', '--output=json', first.path]));
  assert.deepEqual([info.format, info['virtual-size']], ['qcow2', first.size]);
  for (const make of [smallMbrDisk, smallGptDisk, smallExt4Disk]) {
    const disk = await make();
    assert.equal(statSync(disk.path).size, disk.size);
  }
  const table = await runProgram('sfdisk', ['--dump', (await smallGptDisk()).path]);
  assert.match(table, /label: gpt[\s\S]*start= +2048, size= +12288/);
  assert.match(
    await runProgram('sfdisk', ['--dump', (await smallMbrDisk()).path]),
    /label: dos[\s\S]*type=83/,
  );
  assert.equal(bytesAt((await smallMbrDisk()).path, (1 << 20) + 1080, 2), '\x53\xef');
  assert.equal(bytesAt((await smallExt4Disk()).path, 1080, 2), '\x53\xef');
});
