import type { IngotError } from '../kernel/errors.ts';
import { formatSize } from '../kernel/format.ts';
import type { DiskFacts, IsoFacts, Qcow2Facts } from './facts.ts';
import { FILE_SYSTEM_HEAD } from './file-systems.ts';
import { Head } from './head.ts';
import { ISO_HEAD, type IsoVolume, readIso } from './iso.ts';
import { readPartitionTable } from './partition-table.ts';
import { isQcow2, QCOW2_HEAD, readQcow2 } from './qcow2.ts';
import type { Extent } from './qcow2-extensions.ts';
import { type OnMetadata, Qcow2Maps } from './qcow2-maps.ts';
import { checkRawSize, type RawDisk, readRaw } from './raw.ts';
import { cutShort, refusal } from './refusal.ts';
import { refuseBesideData, refuseVolumeInDisc } from './second-format.ts';
import { refuseForeign, refuseTrailer, TRAILERS } from './signatures.ts';
import { refuseText } from './text.ts';

export interface InspectorOptions {
  /** How many bytes are to come, where that is known: lets a file that is too short be refused early. */
  totalSize?: number;
  /** The largest disk that is taken, in bytes. Default 64 TiB. */
  maxVirtualSize?: number;
  /** Given the header and all tables of a qcow2, refcount blocks too, as they pass or are read again. */
  onMetadata?: OnMetadata;
}

type Judged =
  | { format: 'qcow2'; facts: Omit<Qcow2Facts, 'format' | 'fileSize'>; maps: Qcow2Maps; head: Uint8Array }
  | { format: 'iso'; volume: IsoVolume; hybrid?: 'mbr' | 'gpt' }
  | { format: 'raw'; disk: RawDisk };

/** Enough to know what is no disk: signatures, and the title of a page. */
const FIRST_LOOK = 4096;
/** Enough for the header or the superblock of everything that is looked for. */
const HEAD = Math.max(QCOW2_HEAD, ISO_HEAD, FILE_SYSTEM_HEAD);
const TAIL = TRAILERS;
const MAX_VIRTUAL_SIZE = 64 * 2 ** 40;

/**
 * Tells what a disk image is from its bytes, as they pass, never from its name: qcow2, ISO or raw, and a
 * refusal with its reason for everything else. Nothing else is opened, and only those tables of a qcow2 are read
 * again whose meaning is told behind them (`unread`).
 *
 * The verdict depends on the bytes alone, not on how they are cut into chunks. Keeps a head of 96 KiB and a
 * tail of 1 KiB; of a qcow2 also a bit or two for each of its clusters, and the places of its tables: 64 MiB at most.
 */
export class DiskInspector {
  readonly #totalSize: number | undefined;
  readonly #maxVirtualSize: number;
  readonly #onMetadata: OnMetadata | undefined;
  #seen = 0;
  #head: Uint8Array | undefined = new Uint8Array(HEAD);
  #judged: Judged | undefined;
  readonly #tail = new Uint8Array(TAIL);
  #refused: unknown;

  constructor(options: InspectorOptions = {}) {
    this.#totalSize = options.totalSize;
    this.#maxVirtualSize = options.maxVirtualSize ?? MAX_VIRTUAL_SIZE;
    this.#onMetadata = options.onMetadata;
  }

  /**
   * The next bytes, any number of them; the chunk's memory is the caller's again afterwards.
   * @throws IngotError IMG.1002 once what was seen is to be refused, and again at every later call
   */
  write(chunk: Uint8Array): void {
    this.#orRefuse(() => {
      let rest = chunk;
      if (this.#head) rest = this.#fillHead(this.#head, chunk);
      if (rest.length > 0) this.#pass(rest);
    });
  }

  /**
   * The verdict, once all bytes were written; final when `unread` has nothing more.
   * @throws IngotError IMG.1002 when the image is refused
   */
  end(): DiskFacts {
    return this.#orRefuse(() => {
      if (this.#head && this.#seen < FIRST_LOOK) this.#lookFirst(this.#head.subarray(0, this.#seen));
      if (this.#head) this.#judge(this.#head.subarray(0, this.#seen));
      if (this.#totalSize !== undefined && this.#totalSize !== this.#seen) {
        throw refusal(
          'unknown',
          `The image has ${this.#seen} bytes where ${this.#totalSize} were to come. Fetch it again`,
        );
      }
      return this.#conclude(this.#seen);
    });
  }

  /**
   * After `end`: a part of the image that passed before it was known what it is, and has to be given to
   * `readAgain` before the verdict holds. Undefined when there is none left.
   * @throws IngotError IMG.1002 when the image is refused
   */
  unread(): Extent | undefined {
    return this.#orRefuse(() => {
      if (this.#judged?.format !== 'qcow2') return undefined;
      const { maps, head, facts } = this.#judged;
      const part = maps.unread();
      if (part) return part;
      const { clusterSize } = facts;
      const image = { head, tail: this.#tailOf(this.#seen), fileSize: this.#seen, clusterSize };
      refuseBesideData(image, (position) => maps.isData(position));
      return undefined;
    });
  }

  /**
   * Bytes from the start of what `unread` has named, all of them or fewer.
   * @throws IngotError IMG.1002 when the image is refused
   */
  readAgain(bytes: Uint8Array): void {
    this.#orRefuse(() => {
      if (this.#judged?.format === 'qcow2') this.#judged.maps.readAgain(bytes);
    });
  }

  #orRefuse<Result>(step: () => Result): Result {
    if (this.#refused) throw this.#refused;
    try {
      return step();
    } catch (error) {
      this.#refused = error;
      throw error;
    }
  }

  /** Gives back what is behind the head. */
  #fillHead(head: Uint8Array, chunk: Uint8Array): Uint8Array {
    const before = this.#seen;
    const taken = chunk.subarray(0, HEAD - before);
    head.set(taken, before);
    this.#seen += taken.length;
    if (before < FIRST_LOOK && this.#seen >= FIRST_LOOK) this.#lookFirst(head.subarray(0, FIRST_LOOK));
    if (this.#seen === HEAD) this.#judge(head);
    return chunk.subarray(taken.length);
  }

  #pass(chunk: Uint8Array): void {
    const judged = this.#judged;
    this.#keepTail(chunk);
    if (judged?.format === 'qcow2') judged.maps.read(chunk, this.#seen);
    else if (this.#seen + chunk.length > this.#maxVirtualSize) throw this.#tooLarge();
    this.#seen += chunk.length;
  }

  #lookFirst(bytes: Uint8Array): void {
    const head = new Head(bytes);
    if (isQcow2(head)) return;
    refuseForeign(head);
    refuseText(head, bytes.length < FIRST_LOOK);
  }

  /** Decides what it is. `bytes` is the head, or all there is. */
  #judge(bytes: Uint8Array): void {
    this.#head = undefined;
    const head = new Head(bytes);
    // What is not known before the end is held against the size at the end.
    const fileSize = this.#totalSize ?? Number.POSITIVE_INFINITY;
    this.#keepTail(bytes);
    if (isQcow2(head)) {
      const header = readQcow2(head, this.#maxVirtualSize);
      const maps = new Qcow2Maps(header, {
        fileSize,
        maxVirtualSize: this.#maxVirtualSize,
        onMetadata: this.#onMetadata,
      });
      this.#onMetadata?.(bytes.subarray(0, header.facts.clusterSize), 0);
      maps.read(bytes, 0);
      this.#judged = { format: 'qcow2', facts: header.facts, maps, head: bytes };
      return;
    }
    const volume = readIso(head);
    const table = volume && readPartitionTable(head);
    if (volume) refuseVolumeInDisc(head);
    if (volume) this.#judged = { format: 'iso', volume, ...(table && { hybrid: table.kind }) };
    else this.#judged = { format: 'raw', disk: readRaw(head) };
    if (this.#totalSize === undefined) return;
    this.#checkSize(fileSize);
    // One with nothing known in it may be of a format that only its end shows. So may one that lacks a byte: old VHDs
    // have a footer of 511.
    const isKnown = this.#judged.format === 'raw' && this.#judged.disk.contents !== 'unknown';
    if (isKnown && fileSize % 512 !== 511) checkRawSize(fileSize);
  }

  /** Refuses an ISO or a raw disk that is larger than allowed, or smaller than what is in it. */
  #checkSize(fileSize: number): void {
    const judged = this.#judged;
    if (judged?.format === 'raw' && judged.disk.end > fileSize) {
      const { contents, end } = judged.disk;
      const what = contents === 'mbr' || contents === 'gpt' ? 'last partition' : `${contents} volume`;
      throw cutShort('raw', `its ${what} reaches`, end, fileSize);
    }
    if (judged?.format === 'iso' && judged.volume.end > fileSize) {
      throw cutShort('iso', 'its volume reaches', judged.volume.end, fileSize);
    }
    if (fileSize > this.#maxVirtualSize) throw this.#tooLarge();
  }

  #conclude(fileSize: number): DiskFacts {
    const judged = this.#judged;
    if (judged?.format === 'qcow2') {
      judged.maps.check(fileSize);
      return { format: 'qcow2', fileSize, ...judged.facts };
    }
    refuseTrailer(this.#tailOf(fileSize), fileSize);
    if (judged?.format === 'iso') {
      this.#checkSize(fileSize);
      const { label, bootable, udf } = judged.volume;
      const facts: IsoFacts = { format: 'iso', virtualSize: fileSize, fileSize, label, bootable, udf };
      return judged.hybrid ? { ...facts, hybrid: judged.hybrid } : facts;
    }
    this.#checkSize(fileSize);
    checkRawSize(fileSize);
    const { contents = 'unknown', sectorSize } = judged?.disk ?? {};
    return {
      format: 'raw',
      virtualSize: fileSize,
      fileSize,
      contents,
      recognised: contents !== 'unknown',
      ...(sectorSize && { sectorSize }),
    };
  }

  #keepTail(chunk: Uint8Array): void {
    if (chunk.length < TAIL) this.#tail.copyWithin(0, chunk.length);
    const kept = chunk.subarray(Math.max(0, chunk.length - TAIL));
    this.#tail.set(kept, TAIL - kept.length);
  }

  #tailOf(fileSize: number): Head {
    return new Head(this.#tail.subarray(Math.max(0, TAIL - fileSize)));
  }

  #tooLarge(): IngotError {
    const most = this.#maxVirtualSize;
    return refusal(
      'unknown',
      `The image is a disk of more than ${most} bytes (${formatSize(most)}), the largest allowed`,
    );
  }
}
