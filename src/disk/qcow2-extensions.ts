import type { Head } from './head.ts';
import { damaged } from './refusal.ts';

/** A part of the file, in bytes: `end` is the first byte behind it. */
export interface Extent {
  name: string;
  start: number;
  end: number;
}

/** What the header extensions of a qcow2 say. */
export interface Qcow2Extensions {
  /** The name of the external data file. */
  dataFile?: string;
  encrypted: boolean;
  bitmaps: number;
  bitmapDirectory?: Extent;
}

const END = 0;
const DATA_FILE_NAME = 0x44415441;
const ENCRYPTION_HEADER = 0x0537be77;
const BITMAPS = 0x23852875;
const BITMAPS_LENGTH = 24;
/** QEMU's own limits (block/qcow2.h). */
const MAX_BITMAPS = 65535;
const MAX_BITMAP_DIRECTORY = 64 * 1024 * 1024;

/**
 * Walks the extensions between the header and the end of what was read of the first cluster. Unknown ones may be
 * skipped, says the format; but readers go on to the mark that ends them, and one that hides it would hide from us
 * what they find behind.
 * @param use the autoclear features that are set
 */
export function readExtensions(
  head: Head,
  start: number,
  end: number,
  use: { bitmaps: boolean },
): Qcow2Extensions {
  const found: Qcow2Extensions = { encrypted: false, bitmaps: 0 };
  let at = start;
  while (at + 8 <= end) {
    const type = head.u32be(at);
    const length = head.u32be(at + 4);
    const data = at + 8;
    if (length > end - data) {
      throw damaged(
        `its header extension ${type.toString(16)} has ${length} bytes, and reaches beyond byte ${end}, where they must have ended`,
      );
    }
    if (type === END) return found;
    if (type === DATA_FILE_NAME) found.dataFile = Buffer.from(head.slice(data, length)).toString();
    if (type === ENCRYPTION_HEADER) found.encrypted = true;
    if (type === BITMAPS) {
      if (length !== BITMAPS_LENGTH) throw damaged(`its bitmaps extension has ${length} bytes`);
      // Without its autoclear bit the extension is out of date, and to be ignored.
      if (use.bitmaps) readBitmaps(head, data, found);
    }
    at = data + Math.ceil(length / 8) * 8;
  }
  throw damaged(`its header extensions reach beyond byte ${end}: no mark ends them before`);
}

function readBitmaps(head: Head, at: number, found: Qcow2Extensions): void {
  const bitmaps = head.u32be(at);
  const size = head.u64be(at + 8);
  const start = head.u64be(at + 16);
  if (bitmaps === 0 || bitmaps > MAX_BITMAPS || size === 0 || size > MAX_BITMAP_DIRECTORY) {
    throw damaged(`it has ${bitmaps} bitmaps in a directory of ${size} bytes`);
  }
  found.bitmaps = bitmaps;
  found.bitmapDirectory = { name: 'bitmap directory', start, end: start + size };
}
