import type { HostileCase } from './case.ts';
import { forge, u64 } from './forge.ts';

const RECORD_HEAD = 24;
/** Of the directory's size in the header: behind the extension's own head and the number of bitmaps. */
const DIRECTORY_SIZE = 104 + 8 + 8;

/** What qemu-img says of machines and of its own age, as the name of a bitmap that it will quote. */
const NAMES = [
  'unknown',
  'not supported',
  'unsupported',
  'Permission denied',
  'Input/output error',
  "Failed to get shared 'write' lock",
  '\nqemu-img: Check failed: Cannot allocate memory',
  'This image format does not support checks',
];

/** Its table is of another size than the disk has, so that QEMU does not open the image; nor are its counts right. */
function withBitmap(name: string): HostileCase {
  return {
    group: 'qemu-img check',
    name: `a bitmap that is wrong, and named ${JSON.stringify(name)}`,
    byQemu: true,
    reason: /bitmap/,
    bytes: () => {
      const { bytes, at } = forge({ bitmap: true });
      bytes.writeUInt16BE(name.length, at.bitmapDirectory + 18);
      bytes.write(name, at.bitmapDirectory + RECORD_HEAD);
      u64(bytes, Math.ceil((RECORD_HEAD + name.length) / 8) * 8, DIRECTORY_SIZE);
      bytes.writeUInt32BE(4, at.bitmapDirectory + 8);
      bytes.writeUInt16BE(0, at.refcountBlock + (at.data / 65536) * 2);
      bytes.writeUInt16BE(0, at.refcountBlock + (at.l2 / 65536) * 2);
      return bytes;
    },
  };
}

export const opinionCases: readonly HostileCase[] = NAMES.map(withBitmap);
