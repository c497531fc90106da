import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { CLUSTER_BYTES } from './cluster-runs.ts';
import type { DiskFile, LayerFormat } from './qemu-img.ts';
import { damaged } from './refusal.ts';

/** What the header of a layer of ours says; of a foreign image, which stands alone, the same without a backing file. */
export interface LayerHeader {
  virtualSize: number;
  backing?: {
    /** As it stands there: relative to the layer's directory. */
    name: string;
    format: LayerFormat;
  };
}

const MAGIC = 'QFI\xfb';
const EXTENSIONS_END = 0;
const BACKING_FORMAT = 0xe2792aca;

/** @throws IngotError IMG.1002 when it is no qcow2, or names a backing file without its format */
export async function readLayerHeader(path: string): Promise<LayerHeader> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const head = Buffer.alloc(CLUSTER_BYTES);
    await file.read(head, 0, head.length, 0);
    if (head.toString('latin1', 0, 4) !== MAGIC) throw damaged(`${path} is none`);
    const virtualSize = Number(head.readBigUInt64BE(24));
    const nameAt = Number(head.readBigUInt64BE(8));
    if (nameAt === 0) return { virtualSize };
    const length = head.readUInt32BE(16);
    if (nameAt + length > head.length)
      throw damaged(`the name of the backing file of ${path} is not in its header`);
    const format = backingFormat(head, nameAt);
    if (format !== 'qcow2' && format !== 'raw') {
      throw damaged(`${path} does not say of what format its backing file is`);
    }
    return { virtualSize, backing: { name: head.toString('utf8', nameAt, nameAt + length), format } };
  } finally {
    await file.close();
  }
}

/** The disk's own file, its backing file, and so on: absolute paths. */
export async function diskChain(disk: DiskFile): Promise<string[]> {
  const chain = [disk.path];
  for (let { path, format } = disk; format === 'qcow2'; ) {
    const { backing } = await readLayerHeader(path);
    if (!backing) break;
    path = resolve(dirname(path), backing.name);
    format = backing.format;
    chain.push(path);
  }
  return chain;
}

function backingFormat(head: Buffer, end: number): string | undefined {
  const version = head.readUInt32BE(4);
  // Version 2 has no length of its own.
  let at = version === 2 ? 72 : head.readUInt32BE(100);
  while (at + 8 <= end) {
    const type = head.readUInt32BE(at);
    const length = head.readUInt32BE(at + 4);
    if (type === EXTENSIONS_END) return undefined;
    if (type === BACKING_FORMAT) return head.toString('latin1', at + 8, at + 8 + length);
    at += 8 + Math.ceil(length / 8) * 8;
  }
  return undefined;
}
