/** What qemu-img check needs to judge a qcow2: told by its header and its length alone, before anybody is asked. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { availableMemory } from 'node:process';
import { type NewerFeature, newerFeatures } from './newer-features.ts';
import type { SandboxLimits } from './sandbox.ts';

export interface CheckNeeds {
  /** Undefined where it needs more memory than is given to it. */
  limits: SandboxLimits | undefined;
  newer: readonly NewerFeature[];
}

/** Enough for QEMU itself, its caches, and the bitmaps, which it loads. */
const ROOM = { cpu: 120, memory: 2 * 2 ** 30 };
/** Bytes for the reference counts, which it holds in memory for all clusters of the file. */
const MOST_COUNTS = 4 * 2 ** 30;
/** Seconds for an entry of its maps, thrice what one takes; and for all of them. */
const CPU_PER_ENTRY = 2e-7;
const MOST_CPU = 600;

/** What is read here stands before this byte. */
const HEADER = 104;
const VERSION_2_COUNT_BITS = 16;

/**
 * Only of an image that the inspector has taken. Who wants it not to be asked about has to send many GiB of small
 * clusters: nothing counts but how many the file has, and how wide their counts are.
 */
export async function checkNeeds(path: string): Promise<CheckNeeds> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const { size } = await file.stat();
    const head = Buffer.alloc(HEADER);
    await file.read(head, 0, HEADER, 0);
    const countBits = head.readUInt32BE(4) === 2 ? VERSION_2_COUNT_BITS : 2 ** head.readUInt32BE(96);
    const clusters = Math.ceil(size / 2 ** head.readUInt32BE(20));
    // Each snapshot has maps of its own, which may all show the same clusters.
    const entries = clusters * (1 + head.readUInt32BE(60));
    const limits = limitsFor({ counts: (clusters * countBits) / 8, entries });
    return { limits, newer: newerFeatures(head) };
  } finally {
    await file.close();
  }
}

/** @param counts bytes of the reference counts */
function limitsFor({ counts, entries }: { counts: number; entries: number }): SandboxLimits | undefined {
  // Nor may an image take what the service itself lives on.
  if (counts > Math.min(MOST_COUNTS, availableMemory() / 2)) return undefined;
  return {
    cpu: Math.min(MOST_CPU, Math.ceil(ROOM.cpu + entries * CPU_PER_ENTRY)),
    memory: Math.ceil(ROOM.memory + counts),
  };
}
