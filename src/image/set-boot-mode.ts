import type { ChangeOperation } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import { IngotError } from '../kernel/errors.ts';
import { requireInventory } from '../query/find.ts';
import { holdResource } from '../tag/tags.ts';
import { setBootMode } from './boot-mode.ts';
import { Image } from './image.ts';
import type { SetImageBootMode } from './messages.ts';

export function setImageBootMode(parts: { clock: Clock }): ChangeOperation<typeof SetImageBootMode> {
  return async ({ parameters: { uuid, bootMode } }, tx) => {
    await holdResource(tx, { resource: Image, uuid });
    const image = await requireInventory(tx, Image, uuid);
    if (bootMode === 'Legacy' && image.architecture === 'aarch64') {
      throw new IngotError(
        'SYS.1007',
        `'bootMode' Legacy is not possible: image '${image.name}' is for aarch64, which boots with UEFI`,
        { opaque: { parameter: 'bootMode' } },
      );
    }
    await setBootMode(tx, uuid, bootMode, parts.clock.now());
    return {};
  };
}
