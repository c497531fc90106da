import assert from 'node:assert/strict';
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { DiskInspector } from '../../src/disk/inspector.ts';
import { inspect, refusedWith, Workbench } from './workbench.ts';

const MiB = 2 ** 20;

describe('a raw disk', () => {
  let bench: Workbench;
  before(() => {
    bench = new Workbench();
  });
  after(() => bench.remove());

  const blank = (name: string, size: number) => {
    writeFileSync(bench.path(name), '');
    truncateSync(bench.path(name), size);
    return bench.path(name);
  };
  const partition = (label: string, size: number, script: string) => {
    const path = blank(label, size);
    bench.run('sh', '-c', `echo '${script}' | sfdisk -q -X ${label} ${path}`);
    return path;
  };

  const made: [string, number, string, string[]][] = [
    ['ext2', MiB, 'mkfs.ext2', ['-q', '-F']],
    ['ext3', 4 * MiB, 'mkfs.ext3', ['-q', '-F']],
    ['ext4', 4 * MiB, 'mkfs.ext4', ['-q', '-F']],
    ['ext4', 4 * MiB, 'mkfs.ext4', ['-q', '-F', '-b', '4096', '-O', '64bit']],
    ['fat12', 1440 * 1024, 'mkfs.fat', ['-F', '12']],
    ['fat16', 16 * MiB, 'mkfs.fat', ['-F', '16']],
    ['fat32', 40 * MiB, 'mkfs.fat', ['-F', '32']],
    ['swap', MiB, 'mkswap', ['-q']],
  ];
  for (const [contents, size, tool, flags] of made) {
    test(`with ${contents} on the whole of it, made by ${tool} ${flags.join(' ')}`, () => {
      const path = blank('disk', size);
      bench.run(tool, ...flags, path);
      assert.deepEqual(inspect(path), {
        format: 'raw',
        virtualSize: size,
        fileSize: size,
        contents,
        recognised: true,
      });
      if (contents === 'fat12') return; // floppies are kept without their empty end
      const half = readFileSync(path).subarray(0, size / 2);
      assert.match(refusedWith(half).details, new RegExp(`cut short: its ${contents} volume reaches`));
      assert.match(refusedWith(half, { totalSize: half.length }).details, /cut short/);
    });
  }

  test('with swap of a machine of the other byte order, which is as long', () => {
    const path = blank('disk', MiB);
    bench.run('mkswap', '-q', path);
    const disk = readFileSync(path);
    // Its numbers: version, last page, how many are bad.
    disk.subarray(1024, 1024 + 12).swap32();
    const facts = inspect(disk);
    assert.equal(facts.format === 'raw' && facts.contents, 'swap');
    assert.match(refusedWith(disk.subarray(0, MiB / 2)).details, /cut short: its swap volume reaches/);
    disk.fill(0, 1024, 1024 + 4);
    const versionless = inspect(disk);
    assert.equal(versionless.format === 'raw' && versionless.contents, 'unknown');
  });

  test('with an MBR', () => {
    const path = partition('dos', 32 * MiB, 'start=2048,type=83,bootable');
    const facts = inspect(path);
    assert.deepEqual(facts.format === 'raw' && [facts.contents, facts.recognised], ['mbr', true]);
    assert.match(refusedWith(readFileSync(path).subarray(0, 16 * MiB)).details, /its last partition reaches/);
    // The last cylinder may be missing: tools round up.
    assert.equal(inspect(readFileSync(path).subarray(0, 25 * MiB)).format, 'raw');
  });

  test('with a GPT', () => {
    const path = partition('gpt', 16 * MiB, 'start=2048,type=linux');
    const facts = inspect(path);
    assert.deepEqual(facts.format === 'raw' && [facts.contents, facts.sectorSize], ['gpt', 512]);
    assert.match(refusedWith(readFileSync(path).subarray(0, 8 * MiB)).details, /its last partition reaches/);
  });

  test('that has a partition table, and a part of a sector too many, is refused at its head', () => {
    const head = readFileSync(partition('gpt', 16 * MiB, 'start=2048,type=linux')).subarray(0, MiB);
    const inspector = new DiskInspector({ totalSize: 16 * MiB + 100 });
    assert.throws(() => inspector.write(head), /not a whole number of 512-byte sectors/);
  });

  test('with a GPT whose checksum is wrong is one still, of which nothing more is believed', () => {
    const disk = readFileSync(partition('gpt', 16 * MiB, 'start=2048,type=linux'));
    disk.writeUInt8(disk.readUInt8(512 + 56) ^ 1, 512 + 56); // the disk's identifier
    const facts = inspect(disk.subarray(0, 8 * MiB));
    assert.equal(facts.format === 'raw' && facts.contents, 'gpt');
  });

  test('with a GPT in sectors of 4096 bytes', () => {
    // The same header and entries, at the places that larger sectors give them.
    const small = readFileSync(partition('gpt', 16 * MiB, 'start=2048,size=256,type=linux'));
    const large = Buffer.alloc(16 * MiB);
    small.copy(large, 0, 0, 512);
    small.copy(large, 4096, 512, 1024);
    small.copy(large, 8192, 1024, 1024 + 128 * 128);
    const facts = inspect(large);
    assert.equal(facts.format === 'raw' && facts.sectorSize, 4096);
    assert.match(refusedWith(large.subarray(0, 8 * MiB)).details, /reaches at least to byte 9437184/);
  });
});

/** Superblocks as their makers write them (mkfs.xfs 6.1, mkfs.btrfs 6.2, mkfs.ntfs 2022.10, …), by the fields that are read. */
describe('a raw disk with a superblock of', () => {
  const size = 8 * MiB;
  const superblocks: [string, (disk: Buffer, size: number) => void][] = [
    [
      'xfs',
      (disk, end) => {
        disk.write('XFSB');
        disk.writeUInt32BE(4096, 4);
        disk.writeBigUInt64BE(BigInt(end / 4096), 8);
      },
    ],
    [
      'btrfs',
      (disk, end) => {
        disk.write('_BHRfS_M', 65536 + 64);
        disk.writeBigUInt64LE(BigInt(end), 65536 + 201 + 8);
      },
    ],
    [
      'ntfs',
      (disk, end) => {
        disk.write('NTFS    ', 3);
        disk.writeUInt16LE(512, 11);
        disk.writeBigUInt64LE(BigInt(end / 512 - 1), 40);
        disk.writeUInt16LE(0xaa55, 510);
      },
    ],
    [
      'exfat',
      (disk, end) => {
        disk.write('EXFAT   ', 3);
        disk.writeUInt8(9, 108);
        disk.writeBigUInt64LE(BigInt(end / 512), 72);
        disk.writeUInt16LE(0xaa55, 510);
      },
    ],
    [
      'squashfs',
      (disk, end) => {
        disk.write('hsqs');
        disk.writeUInt16LE(4, 28);
        disk.writeBigUInt64LE(BigInt(end - 5), 40);
      },
    ],
    [
      'lvm',
      (disk, end) => {
        disk.write('LABELONE', 512);
        disk.writeUInt32LE(32, 512 + 20);
        disk.write('LVM2 001', 512 + 24);
        disk.writeBigUInt64LE(BigInt(end), 512 + 32 + 32);
      },
    ],
  ];
  for (const [contents, write] of superblocks) {
    test(contents, () => {
      const disk = Buffer.alloc(size);
      write(disk, size);
      const facts = inspect(disk);
      assert.deepEqual(facts.format === 'raw' && [facts.contents, facts.recognised], [contents, true]);
      write(disk, size * 2);
      assert.match(refusedWith(disk).details, new RegExp(`cut short: its ${contents} volume reaches`));
    });
  }

  test('nothing known, with the two bytes that end a boot sector', () => {
    const disk = Buffer.alloc(size);
    disk.writeUInt16LE(0xaa55, 510);
    const facts = inspect(disk);
    assert.equal(facts.format === 'raw' && facts.recognised, false);
  });
});
