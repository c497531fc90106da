import type { Head } from './head.ts';
import { quotable, refusal } from './refusal.ts';

/** What is known and not taken: one word for programs, what it is called, what turns it into an image that is taken. */
interface Foreign {
  found: string;
  name: string;
  advice: string;
}

/** One that is known by bytes (Latin-1) that stand somewhere. */
interface Signature extends Foreign {
  magic: string;
  at?: number;
}

const convert = (format: string) =>
  `Convert it first: qemu-img convert -f ${format} -O qcow2 SOURCE TARGET.qcow2`;
const decompress = (command: string) => `Decompress it first: ${command} FILE`;
const unpack = (command: string) => `Unpack it first and add the disk that is in it: ${command} FILE`;
const NOT_A_DISK = 'Check the address: it should be that of the disk image itself';

const HEAD_SIGNATURES: readonly Signature[] = [
  { found: 'qcow', name: 'a qcow disk of version 1', magic: 'QFI\xfb\0\0\0\x01', advice: convert('qcow') },
  { found: 'vmdk', name: 'a VMware disk (VMDK)', magic: 'KDMV', advice: convert('vmdk') },
  { found: 'vmdk', name: 'a VMware ESX sparse disk (VMDK, COWD)', magic: 'COWD', advice: convert('vmdk') },
  {
    found: 'vmdk',
    name: 'a VMware seSparse disk (VMDK)',
    magic: '\xbe\xba\xfe\xca\0\0\0\0',
    advice: convert('vmdk'),
  },
  { found: 'vhd', name: 'a Hyper-V disk (VHD, dynamic)', magic: 'conectix', advice: convert('vpc') },
  { found: 'vhdx', name: 'a Hyper-V disk (VHDX)', magic: 'vhdxfile', advice: convert('vhdx') },
  {
    found: 'vdi',
    name: 'a VirtualBox disk (VDI)',
    magic: '\x7f\x10\xda\xbe',
    at: 64,
    advice: convert('vdi'),
  },
  { found: 'qed', name: 'a QED disk', magic: 'QED\0', advice: convert('qed') },
  { found: 'parallels', name: 'a Parallels disk', magic: 'WithoutFreeSpace', advice: convert('parallels') },
  { found: 'parallels', name: 'a Parallels disk', magic: 'WithouFreSpacExt', advice: convert('parallels') },
  { found: 'bochs', name: 'a Bochs disk', magic: 'Bochs Virtual HD Image', advice: convert('bochs') },
  {
    found: 'cloop',
    name: 'a compressed loop image (cloop)',
    magic: '#!/bin/sh\n#V2.0 Format\n',
    advice: convert('cloop'),
  },
  {
    found: 'luks',
    name: 'an encrypted disk (LUKS)',
    magic: 'LUKS\xba\xbe',
    advice:
      'Decrypt it first: cryptsetup open SOURCE NAME, then qemu-img convert -f raw -O qcow2 /dev/mapper/NAME TARGET.qcow2',
  },
  {
    found: 'bitlocker',
    name: 'an encrypted volume (BitLocker)',
    magic: '-FVE-FS-',
    at: 3,
    advice: 'Decrypt it first',
  },
  { found: 'dmg', name: 'an encrypted macOS disk (DMG)', magic: 'encrcdsa', advice: 'Decrypt it first' },
  {
    found: 'android-sparse',
    name: 'an Android sparse image',
    magic: '\x3a\xff\x26\xed\x01\0',
    advice: 'Expand it first: simg2img SOURCE TARGET.raw',
  },
  { found: 'dmg', name: 'a sparse macOS disk (DMG)', magic: 'sprs', advice: convert('dmg') },
  { found: 'vma', name: 'a Proxmox backup archive (VMA)', magic: 'VMA\0', advice: unpack('vma extract') },
  {
    found: 'ewf',
    name: 'a forensic disk image (EWF)',
    magic: 'EVF\x09\x0d\x0a\xff\0',
    advice: 'Export it first: ewfexport -f raw SOURCE',
  },
  {
    found: 'partclone',
    name: 'a Partclone image',
    magic: 'partclone-image',
    advice: 'Restore it to a disk first: partclone.restore -C -s SOURCE -o TARGET.raw',
  },
  { found: 'wim', name: 'a Windows installation archive (WIM)', magic: 'MSWIM\0\0\0', advice: NOT_A_DISK },

  { found: 'gzip', name: 'compressed with gzip', magic: '\x1f\x8b\x08', advice: decompress('gzip -d') },
  { found: 'xz', name: 'compressed with xz', magic: '\xfd7zXZ\0', advice: decompress('xz -d') },
  { found: 'zstd', name: 'compressed with zstd', magic: '\x28\xb5\x2f\xfd', advice: decompress('zstd -d') },
  { found: 'lz4', name: 'compressed with lz4', magic: '\x04\x22\x4d\x18', advice: decompress('lz4 -d') },
  {
    found: 'lz4',
    name: 'compressed with lz4 (legacy)',
    magic: '\x02\x21\x4c\x18',
    advice: decompress('lz4 -d'),
  },
  { found: 'lzip', name: 'compressed with lzip', magic: 'LZIP\x01', advice: decompress('lzip -d') },
  {
    found: 'lzop',
    name: 'compressed with lzop',
    magic: '\x89LZO\0\r\n\x1a\n',
    advice: decompress('lzop -d'),
  },
  { found: 'compress', name: 'compressed with compress', magic: '\x1f\x9d', advice: decompress('gzip -d') },
  { found: 'zip', name: 'a zip archive', magic: 'PK\x03\x04', advice: unpack('unzip') },
  { found: 'zip', name: 'an empty zip archive', magic: 'PK\x05\x06', advice: NOT_A_DISK },
  { found: 'zip', name: 'a part of a zip archive', magic: 'PK\x07\x08', advice: unpack('unzip') },
  { found: '7z', name: 'a 7-Zip archive', magic: '7z\xbc\xaf\x27\x1c', advice: unpack('7z x') },
  { found: 'rar', name: 'a RAR archive', magic: 'Rar!\x1a\x07', advice: unpack('unrar x') },
  { found: 'cpio', name: 'a cpio archive (an initial ramdisk?)', magic: '070701', advice: NOT_A_DISK },

  { found: 'deb', name: 'a Debian package', magic: '!<arch>\ndebian', advice: NOT_A_DISK },
  { found: 'ar', name: 'an ar archive', magic: '!<arch>\n', advice: NOT_A_DISK },
  { found: 'rpm', name: 'an RPM package', magic: '\xed\xab\xee\xdb', advice: NOT_A_DISK },
  { found: 'elf', name: 'a Linux program (ELF)', magic: '\x7fELF', advice: NOT_A_DISK },
  { found: 'pdf', name: 'a PDF document', magic: '%PDF-', advice: NOT_A_DISK },
];

/** What stands before the version in the text descriptor of a VMDK, as QEMU recognises one: comments, empty lines. */
const VMDK_DESCRIPTOR = /^(?:#[^\n]*\n| *\r?\n)*(?:# *Disk DescriptorFile|version=\d+\r?\n)/i;
/** A line of it that says which file holds a part of the disk. */
const VMDK_EXTENT = /^ *(?:RW|RDONLY|NOACCESS) +\d+ +\w+ +"([^"\n]*)"/m;

const TAKEN = 'a backup storage takes qcow2, raw and iso';

/** Refuses what its first bytes (a few KiB suffice) show to be a known thing that is no image for us. */
export function refuseForeign(head: Head): void {
  const found = findForeign(head);
  if (found) refuse(found);
}

/** What its first bytes show it to be, if that is known and not taken. */
export function findForeign(head: Head): Foreign | undefined {
  return (
    HEAD_SIGNATURES.find((row) => head.holds(row.magic, row.at)) ??
    findVmdkDescriptor(head) ??
    findPacked(head) ??
    findArchive(head) ??
    findProgram(head)
  );
}

function findVmdkDescriptor(head: Head): Foreign | undefined {
  const text = head.latin1(0, head.length);
  if (!VMDK_DESCRIPTOR.test(text)) return undefined;
  const file = quotable(VMDK_EXTENT.exec(text)?.[1] ?? '', 200);
  return {
    found: 'vmdk',
    name: `the text descriptor of a VMware disk (VMDK), whose data are in other files${file && ` ("${file}")`}`,
    advice: 'Convert it where all its files are: qemu-img convert -f vmdk -O qcow2 SOURCE.vmdk TARGET.qcow2',
  };
}

function findPacked(head: Head): Foreign | undefined {
  if (isBzip2(head)) {
    return { found: 'bzip2', name: 'compressed with bzip2', advice: decompress('bzip2 -d') };
  }
  if (isLzma(head)) return { found: 'lzma', name: 'compressed with lzma', advice: decompress('xz -d') };
  return undefined;
}

function findArchive(head: Head): Foreign | undefined {
  if (!isTarHeader(head)) return undefined;
  const name = head.latin1(0, 100).split('\0')[0] ?? '';
  if (!name.toLowerCase().endsWith('.ovf')) {
    return { found: 'tar', name: 'a tar archive', advice: unpack('tar -xf') };
  }
  return {
    found: 'ova',
    name: 'a virtual appliance (OVA)',
    advice: `${unpack('tar -xf')}, then convert the disk: qemu-img convert -O qcow2 DISK.vmdk TARGET.qcow2`,
  };
}

function findProgram(head: Head): Foreign | undefined {
  // A kernel's first sector ends in 55 AA as a boot sector does; the setup header tells it apart.
  if (head.u16le(510) === 0xaa55 && head.holds('HdrS', 0x202)) {
    return { found: 'kernel', name: 'a Linux kernel', advice: NOT_A_DISK };
  }
  if (head.holds('MZ') && head.u16le(510) !== 0xaa55 && head.holds('PE\0\0', head.u32le(0x3c))) {
    return { found: 'pe', name: 'a Windows or UEFI program', advice: NOT_A_DISK };
  }
  return undefined;
}

/** Bytes from the end of the file in which every trailer begins that is looked for. */
export const TRAILERS = 1024;

interface Trailer extends Foreign {
  /** The byte of the file where it begins. */
  at: number;
}

/** Refuses a file that only its end gives away. `tail` is its last `TRAILERS` bytes, or all there are. */
export function refuseTrailer(tail: Head, fileSize: number): void {
  const [trailer] = findTrailers(tail, fileSize);
  if (trailer) refuse(trailer);
}

/** All that the end of the file could be taken for. */
export function findTrailers(tail: Head, fileSize: number): Trailer[] {
  const tailAt = fileSize - tail.length;
  const whole = Math.ceil(fileSize / 512) * 512;
  const vhd = { found: 'vhd', name: 'a Hyper-V disk (VHD, fixed)', advice: convert('vpc') };
  const dmg = { found: 'dmg', name: 'a macOS disk (DMG)', advice: convert('dmg') };
  const trailers: Trailer[] = [];
  // Virtual PC before 2004 wrote a footer of 511 bytes.
  for (const at of [fileSize - 512, fileSize - 511]) {
    if (tail.holds('conectix', at - tailAt)) trailers.push({ ...vhd, at });
  }
  // QEMU looks for it in a range, as it takes a file to have whole sectors (block/dmg.c).
  for (let at = Math.max(tailAt, whole - 1023); at <= whole - 512; at++) {
    if (tail.holds('koly', at - tailAt)) trailers.push({ ...dmg, at });
  }
  return trailers;
}

function refuse(row: Foreign): never {
  throw refusal(row.found, `The image is ${row.name}; ${TAKEN}. ${row.advice}`);
}

/** "BZh", the block size 1 to 9, then the magic of the first block or, in an empty file, of the end. */
function isBzip2(head: Head): boolean {
  const level = head.u8(3);
  return (
    head.holds('BZh') &&
    level >= 0x31 &&
    level <= 0x39 &&
    (head.holds('1AY&SY', 4) || head.holds('\x17rE8P\x90', 4))
  );
}

/**
 * The .lzma format has no magic: the properties byte that its tools write, a dictionary of 2^n or
 * 2^n + 2^(n-1) bytes, and an uncompressed size that is unknown (-1) or below 256 GiB
 * (as xz's own lzma_alone decoder guesses).
 */
function isLzma(head: Head): boolean {
  if (head.length < 14 || head.u8(0) !== 0x5d || head.u16le(510) === 0xaa55) return false;
  const dictionary = head.u32le(1);
  if (dictionary < 4096) return false;
  const top = 2 ** Math.floor(Math.log2(dictionary));
  if (dictionary !== top && dictionary !== top * 1.5 && dictionary !== 0xffffffff) return false;
  const unknownSize = head.u32le(5) === 0xffffffff && head.u32le(9) === 0xffffffff;
  // The range coder's first byte is always 0.
  return (unknownSize || head.u64le(5) < 2 ** 38) && head.u8(13) === 0;
}

/** A tar header of any age carries the sum of its own bytes, with the sum's field taken as blanks. */
function isTarHeader(head: Head): boolean {
  if (head.length < 512 || head.u8(0) === 0) return false;
  const field = /^ *([0-7]{1,7})[ \0]/.exec(head.latin1(148, 8));
  if (!field?.[1]) return false;
  let sum = 8 * 0x20;
  for (let at = 0; at < 512; at++) {
    if (at < 148 || at >= 156) sum += head.u8(at);
  }
  return sum === Number.parseInt(field[1], 8);
}
