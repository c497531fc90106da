/** What a disk image is, as its bytes say. Sizes are bytes. */
export type DiskFacts = Qcow2Facts | RawFacts | IsoFacts;

/** The formats that a backup storage holds. */
export type DiskFormat = DiskFacts['format'];

interface Sizes {
  /** The size of the disk that a guest sees. */
  virtualSize: number;
  /** The size of the file that was inspected. */
  fileSize: number;
}

export interface Qcow2Facts extends Sizes {
  format: 'qcow2';
  version: 2 | 3;
  clusterSize: number;
  compression: 'zlib' | 'zstd';
  /** Clusters are divided into 32 subclusters. */
  extendedL2: boolean;
  lazyRefcounts: boolean;
  /** How many internal snapshots the file carries. */
  snapshots: number;
  /** How many dirty bitmaps the file carries. */
  bitmaps: number;
}

export interface RawFacts extends Sizes {
  format: 'raw';
  /** What begins at the disk's first byte; `unknown` is blank, or nothing that we know. */
  contents: RawContents;
  /** False where nothing in the bytes says that this is a disk: then only its declaration does. */
  recognised: boolean;
  /** The sector size the partition table counts in, where it tells. */
  sectorSize?: 512 | 4096;
}

export interface IsoFacts extends Sizes {
  format: 'iso';
  /** The volume identifier, cleaned; empty where there is none. */
  label: string;
  /** An El Torito boot record is there: a PC can start from it as from a CD. */
  bootable: boolean;
  /** A UDF file system is there, beside ISO 9660 (a bridge disc) or alone. */
  udf: boolean;
  /** The partition table that makes it start from a disk or a memory stick too. */
  hybrid?: 'mbr' | 'gpt';
}

export type RawContents = 'mbr' | 'gpt' | FileSystem | 'unknown';

/** File systems, and the two other things that are put on a whole disk: an LVM physical volume and swap. */
export type FileSystem =
  | 'ext2'
  | 'ext3'
  | 'ext4'
  | 'xfs'
  | 'btrfs'
  | 'ntfs'
  | 'exfat'
  | 'fat12'
  | 'fat16'
  | 'fat32'
  | 'squashfs'
  | 'lvm'
  | 'swap';
