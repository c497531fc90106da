import assert from 'node:assert/strict';
import { createReadStream, readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { DiskInspector } from '../../src/disk/inspector.ts';
import { IngotError } from '../../src/kernel/errors.ts';
import { inspect, refusedWith, Workbench } from './workbench.ts';

describe('another format is refused by its name, with the command that converts it', () => {
  let bench: Workbench;
  let source: string;
  before(() => {
    bench = new Workbench();
    source = bench.create('source', 'raw');
  });
  after(() => bench.remove());

  const disks: [string, string, string[], RegExp][] = [
    ['vmdk', 'vmdk', [], /VMware disk.* -f vmdk -O qcow2/],
    ['vmdk', 'vmdk', ['-o', 'subformat=streamOptimized'], /VMware disk/],
    ['vmdk', 'vmdk', ['-o', 'subformat=monolithicFlat'], /descriptor of a VMware disk.* -f vmdk -O qcow2/],
    ['vhd', 'vpc', [], /VHD, dynamic.* -f vpc -O qcow2/],
    ['vhd', 'vpc', ['-o', 'subformat=fixed'], /VHD, fixed.* -f vpc -O qcow2/],
    ['vhdx', 'vhdx', [], /VHDX.* -f vhdx -O qcow2/],
    ['vdi', 'vdi', [], /VirtualBox disk.* -f vdi -O qcow2/],
    ['qed', 'qed', [], /QED disk.* -f qed -O qcow2/],
    ['parallels', 'parallels', [], /Parallels disk.* -f parallels -O qcow2/],
    ['qcow', 'qcow', [], /qcow disk of version 1.* -f qcow -O qcow2/],
  ];
  for (const [found, format, flags, sentence] of disks) {
    test(`${format} ${flags.join(' ')}, made by qemu-img`, () => {
      const refused = refusedWith(bench.convert(source, 'other', '-O', format, ...flags));
      assert.equal(refused.found, found);
      assert.match(refused.details, sentence);
    });
  }

  test('luks, made by qemu-img', () => {
    bench.createEncrypted('luks', 'luks', 'key-secret=s', 'iter-time=10');
    assert.match(refusedWith(bench.path('luks')).details, /encrypted disk \(LUKS\).*cryptsetup open/);
    const second = readFileSync(bench.path('luks'));
    second.writeUInt16BE(2, 6); // the version
    assert.equal(refusedWith(second).found, 'luks');
  });

  test('tar and OVA, made by tar', () => {
    for (const format of ['gnu', 'pax', 'v7', 'ustar']) {
      bench.run('tar', `--format=${format}`, '-cf', 'some.tar', 'source');
      assert.match(refusedWith(bench.path('some.tar')).details, /tar archive.*tar -xf/, format);
    }
    bench.run('cp', 'source', 'machine.ovf');
    bench.run('tar', '-cf', 'machine.ova', 'machine.ovf', 'source');
    assert.match(refusedWith(bench.path('machine.ova')).details, /virtual appliance \(OVA\).*tar -xf/);
  });

  test('compressed by gzip, zstd, xz, lzma and bzip2', () => {
    const bytes = readFileSync(source);
    assert.match(refusedWith(gzipSync(bytes)).details, /compressed with gzip.*gzip -d/);
    assert.match(refusedWith(zstdCompressSync(bytes)).details, /compressed with zstd.*zstd -d/);
    for (const [tool, flags, found] of [
      ['xz', ['-0'], 'xz'],
      ['xz', ['-0', '--format=lzma'], 'lzma'],
      ['bzip2', ['-1'], 'bzip2'],
    ] as const) {
      bench.run('sh', '-c', `head -c 300000 source | ${tool} ${flags.join(' ')} > packed`);
      assert.equal(refusedWith(bench.path('packed')).found, found);
      bench.run('sh', '-c', `${tool} ${flags.join(' ')} < /dev/null > packed`);
      assert.equal(refusedWith(bench.path('packed')).found, found, 'with nothing in it');
    }
  });

  test('a program: this very one', async () => {
    const inspector = new DiskInspector();
    await assert.rejects(
      async () => {
        for await (const chunk of createReadStream(process.execPath, { end: 99_999 })) inspector.write(chunk);
      },
      (error) => error instanceof IngotError && /Linux program/.test(error.details),
    );
  });
});

describe('a signature alone is enough to refuse', () => {
  const signatures: [string, string, number?][] = [
    ['vmdk', 'COWD'],
    ['vmdk', '\xbe\xba\xfe\xca\0\0\0\0'],
    ['parallels', 'WithouFreSpacExt'],
    ['bochs', 'Bochs Virtual HD Image'],
    ['cloop', '#!/bin/sh\n#V2.0 Format\nmodprobe cloop'],
    ['bitlocker', '\xeb\x58\x90-FVE-FS-'],
    ['dmg', 'encrcdsa'],
    ['android-sparse', '\x3a\xff\x26\xed\x01\0\0\0'],
    ['wim', 'MSWIM\0\0\0'],
    ['lz4', '\x04\x22\x4d\x18'],
    ['lz4', '\x02\x21\x4c\x18'],
    ['lzip', 'LZIP\x01'],
    ['lzop', '\x89LZO\0\r\n\x1a\n'],
    ['compress', '\x1f\x9d\x90'],
    ['zip', 'PK\x03\x04\x14\0'],
    ['zip', 'PK\x05\x06\0\0'],
    ['7z', '7z\xbc\xaf\x27\x1c\0\x04'],
    ['rar', 'Rar!\x1a\x07\x01\0'],
    ['cpio', '070701004C'],
    ['deb', '!<arch>\ndebian-binary   '],
    ['ar', '!<arch>\nsome.o/  '],
    ['rpm', '\xed\xab\xee\xdb\x03\0'],
    ['pdf', '%PDF-1.7\n'],
    ['kernel', 'HdrS', 0x202],
    ['pe', 'PE\0\0', 0x80],
  ];
  for (const [found, magic, at = 0] of signatures) {
    test(`${found} (${JSON.stringify(magic)})`, () => {
      const bytes = Buffer.alloc(1 << 16);
      bytes.write(magic, at, 'latin1');
      if (found === 'kernel') bytes.writeUInt16LE(0xaa55, 510);
      if (found === 'pe') {
        bytes.write('MZ');
        bytes.writeUInt32LE(0x80, 0x3c);
      }
      assert.equal(refusedWith(bytes).found, found);
    });
  }

  test('dmg, by the last sector, also when it is not on a sector', () => {
    for (const size of [1 << 20, (1 << 20) + 77]) {
      const bytes = Buffer.alloc(size);
      bytes.write('koly', size - 512);
      assert.equal(refusedWith(bytes).found, 'dmg');
      assert.equal(refusedWith(bytes, { totalSize: size }, [100]).found, 'dmg');
    }
  });

  test('vhd, by a footer of 511 bytes as the oldest have it', () => {
    const bytes = Buffer.alloc((1 << 20) + 511);
    bytes.write('conectix', 1 << 20);
    assert.equal(refusedWith(bytes).found, 'vhd');
  });

  test('but not within a disk', () => {
    const bytes = Buffer.alloc(1 << 20);
    for (const [index, word] of ['QFI\xfb', 'conectix', 'koly', 'KDMV', '<html>'].entries()) {
      bytes.write(word, 4096 + index * 512, 'latin1');
    }
    assert.equal(inspect(bytes).format, 'raw');
  });
});
