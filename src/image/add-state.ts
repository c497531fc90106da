/** What a job of AddImage keeps between a death and the next start. */
import type { DiskFacts } from '../disk/facts.ts';
import type { Checkpoint as TransferCheckpoint } from '../transfer/checkpoint.ts';
import type { Writer } from '../transfer/sink.ts';
import type { Copy, CopyFailure } from './copies.ts';
import type { AwaitedUpload } from './upload/uploads.ts';

export interface AddImageState {
  imageUuid: string;
  /** Where copies are being made. */
  copies: Copy[];
  /** Storages that were refused or dropped, so far. */
  failures: CopyFailure[];
  /** Storages that were chosen for it and had no room, where the caller named none. */
  passedOver?: string[];
  /** How far the bytes have come. */
  transfer?: TransferCheckpoint;
  /** Set when all bytes are there and are right: only making them visible is left. */
  taken?: Taken;
  /** Where the bytes are awaited, for an image that is uploaded. */
  upload?: AwaitedUpload;
}

/** What is known when all bytes are there and right. */
export interface Taken {
  bytes: number;
  sha256: string;
  md5: string;
  format: DiskFacts['format'];
  /** Bytes that a virtual machine sees. */
  virtualSize: number;
  mediaType: 'RootVolumeTemplate' | 'DataVolumeTemplate' | 'ISO';
  failures: CopyFailure[];
}

/** All the bytes are on the storages but nobody sees them yet; the writers are those of this process. */
export type Landing = Taken & { writers: Map<string, Writer> };
