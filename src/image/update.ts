import type { ChangeOperation } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import { IngotError } from '../kernel/errors.ts';
import { requireInventory } from '../query/find.ts';
import { setBootMode } from './boot-mode.ts';
import { Image } from './image.ts';
import type { UpdateImage } from './messages.ts';

export function updateImage(parts: { clock: Clock }): ChangeOperation<typeof UpdateImage> {
  return async ({ parameters }, tx) => {
    const { uuid, format, ...changes } = parameters;
    const image = await requireInventory(tx, Image, uuid);
    if (format !== undefined && format !== image.format) {
      throw new IngotError(
        'SYS.1007',
        `'format' can't become ${format}: the bytes of image '${image.name}' are ${image.format ?? 'not there yet'}`,
        { opaque: { parameter: 'format' } },
      );
    }
    requireKnownBytes(image, changes);
    const mediaType = changes.mediaType ?? image.mediaType;
    requireFittingMediaType(mediaType, image.format, changes.system ?? image.system);
    await tx
      .updateTable('image')
      .set({ ...changes, lastOpDate: parts.clock.now() })
      .where('uuid', '=', uuid)
      .execute();
    const system = changes.system ?? image.system;
    if (changes.architecture === 'aarch64') await setBootMode(tx, uuid, 'UEFI', parts.clock.now());
    else if (changes.architecture === 'x86_64' && system)
      await setBootMode(tx, uuid, 'Legacy', parts.clock.now());
    return { inventory: await requireInventory(tx, Image, uuid) };
  };
}

/** What the image turns out to be when it is Ready would overwrite these. */
function requireKnownBytes(
  { name, status }: { name: string; status: string },
  changes: { mediaType?: string; system?: boolean },
): void {
  if (status !== 'Downloading' && status !== 'Creating') return;
  const early = (['mediaType', 'system'] as const).find((each) => changes[each] !== undefined);
  if (early === undefined) return;
  throw new IngotError('SYS.1006', `'${early}' of image '${name}' can't be changed while it is ${status}`, {
    retryable: true,
    elaboration: 'Wait until it is Ready.',
    opaque: { parameter: early },
  });
}

/** An ISO is an ISO, and no system image (zstack-api.md 2.3). */
export function requireFittingMediaType(
  mediaType: string | undefined,
  format: string | undefined,
  system: boolean,
): void {
  if (mediaType === 'ISO' && system) {
    throw new IngotError(
      'SYS.1007',
      "'mediaType' ISO does not go with 'system' true: an ISO can't be a system image",
    );
  }
  if (format === undefined || mediaType === undefined) return;
  if (mediaType === 'ISO' && format !== 'iso') {
    throw new IngotError('SYS.1007', `'mediaType' ISO needs the format iso, and the format is ${format}`);
  }
  if (mediaType !== 'ISO' && format === 'iso') {
    throw new IngotError(
      'SYS.1007',
      `the format iso needs 'mediaType' ISO, and the media type is ${mediaType}`,
    );
  }
}
