/** Small sound disks of the other formats, byte by byte; each a fresh buffer that may be spoilt. */
import { crc32 } from 'node:zlib';

const MIB = 1 << 20;

/** Raw, 2 MiB, an MBR with one Linux partition. */
export function mbrDisk(): Buffer {
  const bytes = Buffer.alloc(2 * MIB);
  writePartition(bytes, 0x83, 2048, 2048);
  bytes.writeUInt16LE(0xaa55, 510);
  return bytes;
}

/** Raw, 2 MiB, a GPT with one partition. */
export function gptDisk(): Buffer {
  const bytes = Buffer.alloc(2 * MIB);
  const sectors = bytes.length / 512;
  writePartition(bytes, 0xee, 1, sectors - 1);
  bytes.writeUInt16LE(0xaa55, 510);
  const entries = bytes.subarray(1024, 1024 + 128 * 128);
  entries.fill(0x11, 0, 32);
  entries.writeBigUInt64LE(2048n, 32);
  entries.writeBigUInt64LE(BigInt(sectors - 34), 40);
  const header = bytes.subarray(512, 512 + 92);
  header.write('EFI PART', 0, 'latin1');
  header.writeUInt32LE(0x10000, 8);
  header.writeUInt32LE(92, 12);
  header.writeBigUInt64LE(1n, 24);
  header.writeBigUInt64LE(2n, 72);
  header.writeUInt32LE(128, 80);
  header.writeUInt32LE(128, 84);
  header.writeUInt32LE(crc32(entries), 88);
  header.writeUInt32LE(crc32(header), 16);
  return bytes;
}

/** ISO 9660, 1 MiB, without files. */
export function isoDisc(): Buffer {
  const bytes = Buffer.alloc(MIB);
  bytes.write('\x01CD001\x01', 16 * 2048, 'latin1');
  bytes.write('A DISC'.padEnd(32), 16 * 2048 + 40, 'latin1');
  bytes.writeUInt32LE(bytes.length / 2048, 16 * 2048 + 80);
  bytes.writeUInt16LE(2048, 16 * 2048 + 128);
  bytes.write('\xffCD001\x01', 17 * 2048, 'latin1');
  return bytes;
}

/** The superblock of an ext4 of so many blocks of 1 KiB, in front of nothing. */
export function writeExt4(bytes: Buffer, blocks: number): Buffer {
  bytes.writeUInt32LE(blocks, 1024 + 4);
  bytes.writeUInt16LE(0xef53, 1024 + 56);
  bytes.writeUInt32LE(0x40, 1024 + 96);
  return bytes;
}

/** The superblocks of others, each of a MiB, by the fields that tell what it is. */
export function writeBtrfs(bytes: Buffer): Buffer {
  bytes.write('_BHRfS_M', 65536 + 64);
  bytes.writeBigUInt64LE(1n << 20n, 65536 + 201 + 8);
  return bytes;
}

export function writeLvm(bytes: Buffer): Buffer {
  bytes.write('LABELONE', 512);
  bytes.writeUInt32LE(32, 512 + 20);
  bytes.write('LVM2 001', 512 + 24);
  return bytes;
}

export function writeSwap(bytes: Buffer): Buffer {
  bytes.writeUInt32LE(1, 1024);
  bytes.writeUInt32LE(255, 1024 + 4);
  bytes.write('SWAPSPACE2', 4096 - 10);
  return bytes;
}

export function writeXfs(bytes: Buffer): Buffer {
  bytes.write('XFSB');
  bytes.writeUInt32BE(4096, 4);
  bytes.writeBigUInt64BE(256n, 8);
  return bytes;
}

export function writeSquashfs(bytes: Buffer): Buffer {
  bytes.write('hsqs');
  bytes.writeUInt16LE(4, 28);
  bytes.writeBigUInt64LE(4096n, 40);
  return bytes;
}

export function writeNtfs(bytes: Buffer): Buffer {
  bytes.write('NTFS    ', 3);
  bytes.writeUInt16LE(512, 11);
  bytes.writeBigUInt64LE(2047n, 40);
  bytes.writeUInt16LE(0xaa55, 510);
  return bytes;
}

/** A tar archive of one file. */
export function tarOf(name: string, content: string): Buffer {
  const bytes = Buffer.alloc(10_240);
  bytes.write(name, 0);
  bytes.write('0000644\0'.padEnd(8), 100);
  bytes.write(`${content.length.toString(8).padStart(11, '0')} `, 124);
  bytes.write('        ', 148);
  bytes.write('ustar\x0000', 257, 'latin1');
  const sum = bytes.subarray(0, 512).reduce((all, byte) => all + byte, 0);
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  bytes.write(content, 512);
  return bytes;
}

function writePartition(bytes: Buffer, type: number, start: number, sectors: number): void {
  bytes.writeUInt8(type, 450);
  bytes.writeUInt32LE(start, 454);
  bytes.writeUInt32LE(sectors, 458);
}
