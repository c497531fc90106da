import { brotliCompressSync, constants, deflateRawSync, gzipSync, zstdCompressSync } from 'node:zlib';
import type { HostileCase } from './case.ts';
import {
  gptDisk,
  isoDisc,
  mbrDisk,
  tarOf,
  writeBtrfs,
  writeExt4,
  writeLvm,
  writeNtfs,
  writeSquashfs,
  writeSwap,
  writeXfs,
} from './disks.ts';
import { forge, u64 } from './forge.ts';

const KIB = 1024;

function of(group: string) {
  return (
    name: string,
    reason: RegExp,
    bytes: () => Buffer,
    more: Partial<HostileCase> = {},
  ): HostileCase => ({
    group,
    name,
    reason,
    bytes,
    ...more,
  });
}

/** 64 KiB that begin with, or have at `at`, these bytes (Latin-1). */
const headed =
  (magic: string, at = 0) =>
  () => {
    const bytes = Buffer.alloc(64 * KIB);
    bytes.write(magic, at, 'latin1');
    return bytes;
  };

const descriptor = (first: string) => () =>
  Buffer.from(`${first}version=1
CID=fffffffe
parentCID=ffffffff
createType="monolithicFlat"
RW 4192256 FLAT "/etc/passwd" 0
ddb.adapterType = "ide"
`);

const foreign = of('other formats');
const text = of('text');
const packed = of('packed');
const size = of('size');
const short = of('cut short');
const mixed = of('two at once');
const declared = of('declared wrongly');

/** A zip of one file of zeros, 42.zip's way: a GiB that takes a MiB. */
function zipBomb(): Buffer {
  const content = deflateRawSync(Buffer.alloc(1 << 24));
  const head = Buffer.alloc(30 + 4);
  head.write('PK\x03\x04\x14\0\0\0\x08\0', 0, 'latin1');
  head.writeUInt32LE(content.length, 18);
  head.writeUInt32LE(1 << 30, 22);
  head.writeUInt16LE(4, 26);
  head.write('disk', 30);
  return Buffer.concat([head, content]);
}

const footer = (magic: string) => {
  const bytes = Buffer.alloc(512);
  bytes.write(magic, 'latin1');
  return bytes;
};

/** Its first cluster is written over from `at` on. */
const overHeader = (from: Buffer, at: number, end: number) => () => {
  const { bytes } = forge();
  from.copy(bytes, at, at, end);
  return bytes;
};

/** A qcow2 whose first 96 KiB, behind its header of 512 bytes, belong to nothing. */
function beside(name: string, reason: RegExp, write: (bytes: Buffer) => void): HostileCase {
  return mixed(`qcow2 of small clusters with ${name} in free ones`, reason, () => {
    const { bytes } = forge({ clusterBits: 9, virtualSize: 1 << 14, free: 192 });
    write(bytes);
    return bytes;
  });
}

/** Two sectors, the trailer of a DMG in the first of them. */
const earlyTrailer = () => {
  const bytes = Buffer.alloc(1024);
  bytes.write('koly', 510);
  return bytes;
};

export const otherCases: readonly HostileCase[] = [
  foreign('qcow version 1', /qcow disk of version 1/, headed('QFI\xfb\0\0\0\x01')),
  foreign('QED', /QED disk/, headed('QED\0')),
  foreign('VMDK, sparse', /VMware disk \(VMDK\)/, headed('KDMV\x01\0\0\0')),
  foreign('VMDK, streamOptimized', /VMware disk \(VMDK\)/, () => {
    const bytes = headed('KDMV\x03\0\0\0\x01\0\x03\0')();
    bytes.write(
      '# Disk DescriptorFile\ncreateType="streamOptimized"\nRDONLY 100 SPARSE "/etc/passwd"\n',
      512,
    );
    return bytes;
  }),
  foreign('VMDK, COWD', /ESX sparse disk/, headed('COWD\x01\0\0\0')),
  foreign('VMDK, seSparse', /seSparse/, headed('\xbe\xba\xfe\xca\0\0\0\0')),
  foreign(
    'VMDK descriptor with a path',
    /data are in other files \("\/etc\/passwd"\)/,
    descriptor('# Disk DescriptorFile\n'),
  ),
  foreign('VMDK descriptor behind comments', /\("\/etc\/passwd"\)/, descriptor('# hello\n\n# there\n')),
  foreign('VMDK descriptor without a comment', /\("\/etc\/passwd"\)/, descriptor('')),
  foreign('VMDK descriptor in front of zeros', /\("\/etc\/passwd"\)/, () =>
    Buffer.concat([descriptor('# x\n')(), Buffer.alloc(64 * KIB)]),
  ),
  foreign('VHD, dynamic', /VHD, dynamic/, headed('conectix')),
  foreign('VHD, fixed', /VHD, fixed/, () => Buffer.concat([mbrDisk(), footer('conectix')])),
  foreign('VHD, fixed, with the footer of 511 bytes', /VHD, fixed/, () =>
    Buffer.concat([mbrDisk(), footer('conectix').subarray(0, 511)]),
  ),
  foreign('VHDX', /VHDX/, headed('vhdxfile')),
  foreign('VDI', /VirtualBox disk/, headed('\x7f\x10\xda\xbe', 64)),
  foreign('Parallels', /Parallels disk/, headed('WithoutFreeSpace')),
  foreign('Parallels, extended', /Parallels disk/, headed('WithouFreSpacExt')),
  foreign('Bochs', /Bochs disk/, headed('Bochs Virtual HD Image')),
  foreign('cloop', /compressed loop/, headed('#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0')),
  foreign('DMG', /macOS disk/, () => Buffer.concat([mbrDisk(), footer('koly')])),
  foreign('DMG, its trailer off its place', /macOS disk/, () => Buffer.concat([mbrDisk(), earlyTrailer()])),
  foreign('DMG, encrypted', /encrypted macOS disk/, headed('encrcdsa')),
  foreign('DMG, sparse', /sparse macOS disk/, headed('sprs')),
  foreign('LUKS 1', /encrypted disk \(LUKS\)/, headed('LUKS\xba\xbe\0\x01')),
  foreign('LUKS 2', /encrypted disk \(LUKS\)/, headed('LUKS\xba\xbe\0\x02')),
  foreign('BitLocker', /BitLocker/, headed('-FVE-FS-', 3)),
  foreign('Android sparse image', /Android sparse/, headed('\x3a\xff\x26\xed\x01\0')),
  foreign('Proxmox backup', /Proxmox/, headed('VMA\0')),
  foreign('forensic image', /EWF/, headed('EVF\x09\x0d\x0a\xff\0')),
  foreign('Windows installation archive', /WIM/, headed('MSWIM\0\0\0')),
  foreign('Linux program', /Linux program/, headed('\x7fELF\x02\x01\x01')),
  foreign('Linux kernel', /Linux kernel/, () => {
    const bytes = headed('HdrS', 0x202)();
    bytes.writeUInt16LE(0xaa55, 510);
    return bytes;
  }),
  foreign('initial ramdisk', /cpio archive/, headed('070701')),
  foreign('Debian package', /Debian package/, headed('!<arch>\ndebian-binary')),
  foreign('PDF document', /PDF document/, headed('%PDF-1.7')),

  text('web page of an error', /web page with the title "404 Not Found"/, () =>
    Buffer.from('<html>\r\n<head><title>404 Not Found</title></head><body>nginx</body></html>'),
  ),
  text('web page of a login', /web page with the title "Sign in"/, () =>
    Buffer.from(`<!DOCTYPE html><html><head><title>Sign in</title>${'<p>x</p>'.repeat(9000)}`),
  ),
  text('JSON error', /JSON document/, () => Buffer.from('{"error":{"code":403,"message":"Forbidden"}}')),
  text('error of an object store', /XML document: ".*AccessDenied/, () =>
    Buffer.from('<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>'),
  ),
  text('list of checksums', /text file/, () => Buffer.from(`${'0'.repeat(64)}  disk.qcow2\n`.repeat(100))),
  text('/etc/passwd', /text file/, () => Buffer.from('root:x:0:0:root:/root:/bin/bash\n')),

  packed('zip bomb', /zip archive/, zipBomb),
  packed('gzip bomb of 16 MiB', /gzip/, () => gzipSync(Buffer.alloc(1 << 24))),
  packed('zstd bomb of 16 MiB', /zstd/, () => zstdCompressSync(Buffer.alloc(1 << 24))),
  packed('qcow2 in gzip', /gzip/, () => gzipSync(forge().bytes)),
  packed('xz', /xz/, headed('\xfd7zXZ\0')),
  packed('bzip2', /bzip2/, headed('BZh91AY&SY')),
  packed('7z', /7-Zip/, headed('7z\xbc\xaf\x27\x1c')),
  packed('RAR', /RAR/, headed('Rar!\x1a\x07\x01\0')),
  packed('lz4', /lz4/, headed('\x04\x22\x4d\x18')),
  packed('lzma', /lzma/, headed('\x5d\0\0\x80\0\xff\xff\xff\xff\xff\xff\xff\xff\0')),
  packed('brotli, which has no signature', /no disk format/, () => {
    const options = { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } };
    const bytes = brotliCompressSync(Buffer.alloc(1 << 16, 'some words to pack, '), options);
    return Buffer.concat([bytes, Buffer.alloc(512 - (bytes.length % 512))]);
  }),
  packed('tar', /tar archive/, () => tarOf('etc/passwd', 'root:x:0:0')),
  packed('OVA', /virtual appliance \(OVA\)/, () => tarOf('appliance.ovf', '<Envelope/>')),

  size('0 bytes', /0 bytes/, () => Buffer.alloc(0)),
  size('1 byte', /only 1 bytes/, () => Buffer.alloc(1)),
  size('511 bytes', /only 511 bytes/, () => Buffer.alloc(511)),
  size('513 bytes', /not a whole number/, () => Buffer.alloc(513)),
  size('zeros, said to be nothing', /no disk format, partition table or file system/, () =>
    Buffer.alloc(1 << 20),
  ),
  size('bytes of chance, said to be nothing', /no disk format, partition table or file system/, () =>
    Buffer.from(Array.from({ length: 8192 }, (_, at) => (at * 7919 + (at >> 3) * 31) & 0xff)),
  ),

  short('MBR disk', /last partition reaches/, () => {
    const bytes = mbrDisk();
    bytes.writeUInt32LE(2 ** 24, 458);
    return bytes;
  }),
  short('GPT disk', /last partition reaches/, () => gptDisk().subarray(0, 1 << 20)),
  short('ext4', /ext4 volume reaches/, () => writeExt4(Buffer.alloc(1 << 20), 4096)),
  short('ISO', /volume reaches/, () => {
    const bytes = isoDisc();
    bytes.writeUInt32LE(10_000, 16 * 2048 + 80);
    return bytes;
  }),
  short('ISO without its primary descriptor', /no primary volume descriptor/, () => {
    const bytes = isoDisc();
    bytes.writeUInt8(2, 16 * 2048);
    return bytes;
  }),

  mixed(
    'qcow2 with an MBR in its header',
    /qcow2 and, read otherwise, a raw disk with an MBR/,
    overHeader(mbrDisk(), 440, 512),
  ),
  mixed(
    'qcow2 with a GPT in its header',
    /read otherwise, a raw disk with a GPT/,
    overHeader(gptDisk(), 512, 20_000),
  ),
  mixed(
    'qcow2 with an ISO in its header',
    /read otherwise, an ISO 9660/,
    overHeader(isoDisc(), 32_768, 65_536),
  ),
  mixed('qcow2 with UDF in its header', /read otherwise, an ISO 9660/, () => {
    const { bytes } = forge();
    bytes.write('\0BEA01\x01', 32_768, 'latin1');
    return bytes;
  }),
  mixed(
    'qcow2 with ext4 in its header',
    /read otherwise, a raw disk with ext4/,
    overHeader(writeExt4(Buffer.alloc(4096), 64), 1024, 4096),
  ),
  mixed('qcow2 of small clusters with an ISO in a free one', /read otherwise, an ISO 9660/, () => {
    const { bytes } = forge({ clusterBits: 12, virtualSize: 1 << 20 });
    return Buffer.concat([bytes, isoDisc().subarray(bytes.length)]);
  }),
  beside('a GPT', /read otherwise, a raw disk with a GPT/, (b) => gptDisk().copy(b, 512, 512, 20_000)),
  beside('ext4', /read otherwise, a raw disk with ext4/, (b) => writeExt4(b, 64)),
  beside('LVM', /read otherwise, a raw disk with lvm/, writeLvm),
  beside('swap', /read otherwise, a raw disk with swap/, writeSwap),
  beside('Btrfs', /read otherwise, a raw disk with btrfs/, writeBtrfs),
  beside('an ISO', /read otherwise, an ISO 9660/, (b) => isoDisc().copy(b, 32_768, 32_768, 65_536)),
  beside('an ISO behind a descriptor that is not known', /read otherwise, an ISO 9660/, (b) =>
    isoDisc().copy(b, 17 * 2048, 16 * 2048, 18 * 2048),
  ),
  mixed('qcow2 with Btrfs in a free cluster', /read otherwise, a raw disk with btrfs/, () =>
    writeBtrfs(forge({ free: 1 }).bytes),
  ),
  mixed('qcow2 with ext4 in its reference counts', /read otherwise, a raw disk with ext4/, () => {
    // They begin at byte 1024, where the superblock does.
    return writeExt4(forge({ clusterBits: 9, virtualSize: 1 << 14 }).bytes, 64);
  }),
  mixed('qcow2 with a VDI in its header', /where none can be/, () => {
    const { bytes } = forge();
    bytes.write('\x7f\x10\xda\xbe', 64, 'latin1');
    return bytes;
  }),
  mixed('qcow2 that is the first file of a tar archive', /read otherwise, a tar archive/, () => {
    const { bytes } = forge({ extensions: [[0x12345678, Buffer.alloc(512)]] });
    bytes.write('        ', 148);
    const sum = bytes.subarray(0, 512).reduce((all, byte) => all + byte, 0);
    bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    return bytes;
  }),
  mixed('qcow2 with the footer of a VHD of 511 bytes', /read otherwise, a Hyper-V disk/, () =>
    Buffer.concat([forge().bytes, footer('conectix').subarray(0, 511)]),
  ),
  mixed('qcow2 with the trailer of a DMG off its place', /read otherwise, a macOS disk/, () =>
    Buffer.concat([forge().bytes, earlyTrailer()]),
  ),
  mixed('ISO that is ext4 too', /disc and, read otherwise, a raw disk with ext4/, () =>
    writeExt4(isoDisc(), 64),
  ),
  mixed('ISO that is XFS too', /read otherwise, a raw disk with xfs/, () => writeXfs(isoDisc())),
  mixed('ISO that is SquashFS too', /read otherwise, a raw disk with squashfs/, () =>
    writeSquashfs(isoDisc()),
  ),
  mixed('ISO that is NTFS too', /read otherwise, a raw disk with ntfs/, () => writeNtfs(isoDisc())),
  mixed('ISO that is LVM too', /read otherwise, a raw disk with lvm/, () => writeLvm(isoDisc())),
  mixed('ISO that is swap too', /read otherwise, a raw disk with swap/, () => writeSwap(isoDisc())),
  mixed('ISO that is Btrfs too', /read otherwise, a raw disk with btrfs/, () => writeBtrfs(isoDisc())),
  mixed('qcow2 with the footer of a VHD', /read otherwise, a Hyper-V disk/, () =>
    Buffer.concat([forge().bytes, footer('conectix')]),
  ),
  mixed('qcow2 with the trailer of a DMG', /read otherwise, a macOS disk/, () =>
    Buffer.concat([forge().bytes, footer('koly')]),
  ),
  mixed('ISO with the footer of a VHD', /VHD, fixed/, () => Buffer.concat([isoDisc(), footer('conectix')])),
  mixed('ISO that begins as a VMDK', /VMDK/, () => {
    const bytes = isoDisc();
    bytes.write('KDMV\x01', 'latin1');
    return bytes;
  }),
  mixed('ISO that begins as a VMDK descriptor', /\("\/etc\/passwd"\)/, () => {
    const bytes = isoDisc();
    descriptor('# boot me\n')().copy(bytes);
    return bytes;
  }),
  mixed('ISO that begins as a qcow2 with a backing file', /its backing file is "\/etc\/passwd"/, () => {
    const bytes = isoDisc();
    forge().bytes.copy(bytes, 0, 0, 512);
    u64(bytes, 512, 8);
    bytes.writeUInt32BE(11, 16);
    bytes.write('/etc/passwd', 512);
    return bytes;
  }),
  mixed('ISO that begins as gzip', /gzip/, () => {
    const bytes = isoDisc();
    bytes.write('\x1f\x8b\x08', 'latin1');
    return bytes;
  }),
  mixed('MBR disk that begins as a qcow2', /damaged qcow2|cut short/, () => {
    const bytes = mbrDisk();
    bytes.write('QFI\xfb\0\0\0\x03', 'latin1');
    return bytes;
  }),
  mixed('MBR disk that begins as QED', /QED/, () => {
    const bytes = mbrDisk();
    bytes.write('QED\0', 'latin1');
    return bytes;
  }),
  mixed('MBR disk with a VDI in its boot code', /VirtualBox/, () => {
    const bytes = mbrDisk();
    bytes.write('\x7f\x10\xda\xbe', 64, 'latin1');
    return bytes;
  }),
  mixed('GPT disk that begins as LUKS', /LUKS/, () => {
    const bytes = gptDisk();
    bytes.write('LUKS\xba\xbe\0\x01', 'latin1');
    return bytes;
  }),

  declared(
    'sound qcow2, said to be raw',
    /declared to be raw, but its bytes are qcow2/,
    () => forge().bytes,
    { parameters: { format: 'raw' } },
  ),
  declared(
    'qcow2 with a backing file, said to be raw',
    /backing file is "\/etc\/passwd"/,
    () => {
      const { bytes } = forge();
      u64(bytes, 512, 8);
      bytes.writeUInt32BE(11, 16);
      bytes.write('/etc/passwd', 512);
      return bytes;
    },
    { parameters: { format: 'raw' } },
  ),
  declared('VMDK, said to be raw', /VMDK/, headed('KDMV\x01\0\0\0'), { parameters: { format: 'raw' } }),
  declared('VMDK descriptor, said to be raw', /\("\/etc\/passwd"\)/, descriptor('# x\n'), {
    parameters: { format: 'raw' },
  }),
  declared('VMDK, said to be qcow2', /VMDK/, headed('KDMV\x01\0\0\0'), { parameters: { format: 'qcow2' } }),
  declared('MBR disk, said to be qcow2', /declared to be qcow2, but its bytes are raw/, mbrDisk, {
    parameters: { format: 'qcow2' },
  }),
  declared(
    'zeros, said to be qcow2',
    /declared to be qcow2, but its bytes are raw/,
    () => Buffer.alloc(1 << 20),
    { parameters: { format: 'qcow2' } },
  ),
  declared('ISO, said to be raw', /declared to be raw, but its bytes are iso/, isoDisc, {
    parameters: { format: 'raw' },
  }),
  declared('qcow2, said to be an ISO', /declared to be iso, but its bytes are qcow2/, () => forge().bytes, {
    parameters: { format: 'iso' },
  }),
  declared('web page, said to be raw', /web page/, () => Buffer.from(`<html>${' '.repeat(2042)}`), {
    parameters: { format: 'raw' },
  }),
];
