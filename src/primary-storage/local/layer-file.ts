/** New layers: small qcow2 files that hold nothing of their own yet. Written by us, as starting qemu-img costs more. */
import { access, open, rename } from 'node:fs/promises';
import path from 'node:path';
import { inDirectory, syncUpTo, unlinkIfThere } from '../../backup-storage/local/durable-directory.ts';
import { partOf } from '../../backup-storage/local/object-path.ts';
import { Qcow2Plan } from '../../disk/qcow2-plan.ts';
import type { LayerFormat } from '../../disk/qemu-img.ts';
import { isSystemError } from '../../kernel/errors.ts';

const MODE = 0o640;
const PAGE = 4096;

export interface NewLayer {
  /** Absolute. */
  file: string;
  virtualSize: number;
  /** Absolute path and format of what it stands on. */
  base?: { file: string; format: LayerFormat };
}

/** Makes the layer's file, whole and durable; one that is there stays. */
export async function writeLayer(root: string, layer: NewLayer): Promise<void> {
  if (!(await isThere(layer.file))) await writeNew(root, layer);
  await syncUpTo(root, path.dirname(layer.file));
}

async function isThere(file: string): Promise<boolean> {
  try {
    await access(file);
    return true;
  } catch (thrown) {
    if (isSystemError(thrown) && thrown.code === 'ENOENT') return false;
    throw thrown;
  }
}

async function writeNew(root: string, { file, virtualSize, base }: NewLayer): Promise<void> {
  const plan = new Qcow2Plan({
    virtualSize,
    runs: [],
    ...(base && { backing: { name: backingName(file, base.file), format: base.format } }),
  });
  const bytes = new Uint8Array(plan.size);
  plan.writeHead(bytes, 0);
  const part = partOf(file);
  await inDirectory(root, path.dirname(file), async () => {
    const handle = await open(part, 'w', MODE);
    try {
      // Pages of zeros stay holes.
      for (let at = 0; at < bytes.length; at += PAGE) {
        const page = bytes.subarray(at, at + PAGE);
        if (page.some((byte) => byte !== 0)) await handle.write(page, 0, page.length, at);
      }
      await handle.truncate(bytes.length);
      await handle.datasync();
    } catch (thrown) {
      await unlinkIfThere(part);
      throw thrown;
    } finally {
      await handle.close();
    }
    await rename(part, file);
  });
}

/** Relative, so that the disk can be opened wherever the storage is mounted. */
export function backingName(file: string, baseFile: string): string {
  return path.relative(path.dirname(file), baseFile);
}
