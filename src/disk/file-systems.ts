import type { FileSystem } from './facts.ts';
import type { Head } from './head.ts';

export interface BareFileSystem {
  kind: FileSystem;
  /** The byte that the file must reach for the file system to be whole; 0 where it doesn't say. */
  end: number;
}

/** Bytes from the start of the file that hold every superblock looked at here (btrfs: 64 KiB + 4 KiB). */
export const FILE_SYSTEM_HEAD = 68 * 1024;

/** A file system whose boot sector carries the signature of an MBR too. */
export function readVolumeBootSector(head: Head): BareFileSystem | undefined {
  return readNtfs(head) ?? readExfat(head) ?? readFat(head);
}

/** A file system that leaves the first sector to others. */
export function readSuperblock(head: Head): BareFileSystem | undefined {
  return (
    readExt(head) ?? readXfs(head) ?? readBtrfs(head) ?? readSquashfs(head) ?? readLvm(head) ?? readSwap(head)
  );
}

function readNtfs(head: Head): BareFileSystem | undefined {
  if (!head.holds('NTFS    ', 3) || !isBootSector(head)) return undefined;
  return { kind: 'ntfs', end: head.u64le(40) * head.u16le(11) };
}

function readExfat(head: Head): BareFileSystem | undefined {
  const sectorShift = head.u8(108);
  if (!head.holds('EXFAT   ', 3) || !isBootSector(head) || sectorShift < 9 || sectorShift > 12)
    return undefined;
  return { kind: 'exfat', end: head.u64le(72) * 2 ** sectorShift };
}

/** Has no magic that must be there: the parameter block has to make sense as a whole. */
function readFat(head: Head): BareFileSystem | undefined {
  const jump = head.u8(0);
  const sectorSize = head.u16le(11);
  const sectorsPerCluster = head.u8(13);
  const reserved = head.u16le(14);
  const fats = head.u8(16);
  if (!isBootSector(head) || (jump !== 0xeb && jump !== 0xe9)) return undefined;
  if (!isPowerOfTwo(sectorSize) || sectorSize < 512 || sectorSize > 4096) return undefined;
  if (!isPowerOfTwo(sectorsPerCluster) || reserved === 0 || fats === 0 || fats > 2) return undefined;
  if (head.u8(21) < 0xf0) return undefined; // the media descriptor
  const sectors = head.u16le(19) || head.u32le(32);
  const fatSectors = head.u16le(22) || head.u32le(36);
  const rootSectors = Math.ceil((head.u16le(17) * 32) / sectorSize);
  const clusters = Math.floor((sectors - reserved - fats * fatSectors - rootSectors) / sectorsPerCluster);
  if (fatSectors === 0 || clusters < 1) return undefined;
  // Microsoft's FAT specification: the number of clusters, and nothing else, tells which FAT it is.
  if (head.u16le(22) === 0) return { kind: 'fat32', end: sectors * sectorSize };
  // Floppy images are often kept without their empty end, and start nonetheless.
  return clusters < 4085 ? { kind: 'fat12', end: 0 } : { kind: 'fat16', end: sectors * sectorSize };
}

const EXT_HAS_JOURNAL = 0x4;
/** Of the incompatible features ext3 knows filetype, recover, journal_dev and meta_bg; any other is ext4's. */
const EXT3_INCOMPATIBLE = 0x2 | 0x4 | 0x8 | 0x10;
/** Of the read-only compatible ones: sparse_super, large_file, btree_dir. */
const EXT3_READ_ONLY = 0x1 | 0x2 | 0x4;
const EXT_64BIT = 0x80;

function readExt(head: Head): BareFileSystem | undefined {
  const at = 1024;
  const blockShift = head.u32le(at + 24);
  if (head.u16le(at + 56) !== 0xef53 || blockShift > 6 || head.u32le(at + 4) === 0) return undefined;
  const compatible = head.u32le(at + 92);
  const incompatible = head.u32le(at + 96);
  const readOnly = head.u32le(at + 100);
  const high = incompatible & EXT_64BIT ? head.u32le(at + 336) : 0;
  const end = (high * 2 ** 32 + head.u32le(at + 4)) * 2 ** (10 + blockShift);
  const isExt4 = (incompatible & ~EXT3_INCOMPATIBLE) !== 0 || (readOnly & ~EXT3_READ_ONLY) !== 0;
  return { kind: isExt4 ? 'ext4' : compatible & EXT_HAS_JOURNAL ? 'ext3' : 'ext2', end };
}

function readXfs(head: Head): BareFileSystem | undefined {
  const blockSize = head.u32be(4);
  if (!head.holds('XFSB') || !isPowerOfTwo(blockSize) || blockSize < 512 || blockSize > 65536)
    return undefined;
  return { kind: 'xfs', end: head.u64be(8) * blockSize };
}

function readBtrfs(head: Head): BareFileSystem | undefined {
  const at = 64 * 1024;
  if (!head.holds('_BHRfS_M', at + 64)) return undefined;
  // The item of the device itself (at 201) holds its size; the superblock's total is over all devices.
  return { kind: 'btrfs', end: head.u64le(at + 201 + 8) };
}

function readSquashfs(head: Head): BareFileSystem | undefined {
  if (!head.holds('hsqs') || head.u16le(28) !== 4) return undefined;
  return { kind: 'squashfs', end: head.u64le(40) };
}

/** The label is in one of the first four sectors, and says where the physical volume's header is. */
function readLvm(head: Head): BareFileSystem | undefined {
  for (let at = 0; at < 4 * 512; at += 512) {
    if (head.holds('LABELONE', at) && head.holds('LVM2 001', at + 24)) {
      return { kind: 'lvm', end: head.u64le(at + head.u32le(at + 20) + 32) };
    }
  }
  return undefined;
}

/**
 * The magic is at the end of the first page, whose size is that of the machine that made it, and its numbers are in
 * that machine's byte order: the version, always 1, shows which.
 */
function readSwap(head: Head): BareFileSystem | undefined {
  const littleEndian = head.u32le(1024) === 1;
  if (!littleEndian && head.u32be(1024) !== 1) return undefined;
  const lastPage = littleEndian ? head.u32le(1024 + 4) : head.u32be(1024 + 4);
  for (const page of [4096, 8192, 16384, 65536]) {
    if (head.holds('SWAPSPACE2', page - 10)) return { kind: 'swap', end: (lastPage + 1) * page };
  }
  return undefined;
}

function isBootSector(head: Head): boolean {
  return head.u16le(510) === 0xaa55;
}

function isPowerOfTwo(value: number): boolean {
  return value > 0 && (value & (value - 1)) === 0;
}
