import type { Head } from './head.ts';
import { quotable, refusal } from './refusal.ts';

/** What the volume descriptors of an optical disc image say. Sizes are bytes. */
export interface IsoVolume {
  label: string;
  bootable: boolean;
  udf: boolean;
  /** Where the ISO 9660 volume says that it ends; 0 for a disc with UDF alone. */
  end: number;
}

const SECTOR = 2048;
/** The first 16 sectors are the system area, free for boot code: that is where a hybrid's MBR lives. */
const FIRST_DESCRIPTOR = 16;
/** Far more descriptors than any disc has. */
const MOST_DESCRIPTORS = 32;
/** Recorders and rippers disagree about the 150 sectors (2 s) that run out after a track. */
const RUN_OUT = 150 * SECTOR;

/** Bytes from the start of the file that hold every descriptor `readIso` looks at. */
export const ISO_HEAD = (FIRST_DESCRIPTOR + MOST_DESCRIPTORS) * SECTOR;

/**
 * The volume of an ISO 9660 image, of a UDF bridge disc or of a UDF disc; undefined for anything else.
 * ECMA-119 section 8 gives the descriptors, ECMA-167 part 2 those of UDF, which come after.
 */
export function readIso(head: Head): IsoVolume | undefined {
  const volume = { label: '', bootable: false, udf: false, end: 0 };
  let primary = false;
  let iso9660 = false;
  for (let index = 0; index < MOST_DESCRIPTORS; index++) {
    const at = (FIRST_DESCRIPTOR + index) * SECTOR;
    if (head.holds('CD001', at + 1)) {
      iso9660 = true;
      const type = head.u8(at);
      if (type === 0 && head.holds('EL TORITO SPECIFICATION', at + 7)) volume.bootable = true;
      if (type === 1 && !primary) {
        primary = true;
        volume.label = quotable(head.latin1(at + 40, 32));
        volume.end = Math.max(0, head.u32le(at + 80) * head.u16le(at + 128) - RUN_OUT);
      }
    } else if (head.holds('NSR02', at + 1) || head.holds('NSR03', at + 1)) {
      volume.udf = true;
    } else if (!head.holds('BEA01', at + 1) && !head.holds('TEA01', at + 1) && !head.holds('BOOT2', at + 1)) {
      break;
    }
  }
  if (!iso9660 && !volume.udf) return undefined;
  if (iso9660 && !primary) {
    throw refusal(
      'iso',
      'The image is a damaged ISO: it has no primary volume descriptor. Fetch the file again where it was made',
    );
  }
  return volume;
}
