/** How an image's guest starts: a system tag that its architecture has a word in (zstack-api.md 2.3). */
import type { SqlTransaction } from '../database/database.ts';
import type { CreationHook } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import { replaceSystemTag } from '../tag/tags.ts';
import { Image } from './image.ts';

export async function setBootMode(
  tx: SqlTransaction,
  imageUuid: string,
  bootMode: 'Legacy' | 'UEFI' | 'UEFI_WITH_CSM',
  now: number,
): Promise<void> {
  await replaceSystemTag(tx, { resource: Image, uuid: imageUuid }, `bootMode::${bootMode}`, now);
}

/** Machines of aarch64 know UEFI alone, whatever the call says. For after the tags that the call brings. */
export function bootModeOfNewImages(parts: { clock: Clock }): CreationHook {
  return {
    async begin(tx, { resource, uuid }) {
      if (resource !== Image) return;
      const image = await tx
        .selectFrom('image')
        .select(['architecture', 'mediaType'])
        .where('uuid', '=', uuid)
        .executeTakeFirst();
      if (image?.architecture !== 'aarch64' || image.mediaType === 'DataVolumeTemplate') return;
      await setBootMode(tx, uuid, 'UEFI', parts.clock.now());
    },
  };
}
