/** CreateRootVolumeTemplateFromRootVolume and CreateDataVolumeTemplateFromVolume (image chapter). */
import type { JobOperation } from '../job/operation.ts';
import { IngotError } from '../kernel/errors.ts';
import { requireDetached, type VolumeOnStorage } from '../volume/volumes.ts';
import type {
  CreateDataVolumeTemplateFromVolume,
  CreateRootVolumeTemplateFromRootVolume,
} from './messages.ts';
import {
  admitTemplate,
  makingTemplate,
  type TemplateParts,
  type TemplateSource,
  type TemplateState,
  takeSource,
} from './template.ts';

export function createRootVolumeTemplateFromRootVolume(
  parts: TemplateParts,
): JobOperation<typeof CreateRootVolumeTemplateFromRootVolume, TemplateState> {
  return {
    ...makingTemplate(parts),
    async admit({ id, parameters, caller }, tx) {
      const volume = await takeSource(tx, id, parameters.rootVolumeUuid);
      if (volume.type !== 'Root') {
        throw new IngotError(
          'SYS.1006',
          `volume '${volume.name}' (${volume.uuid}) is a data volume; use CreateDataVolumeTemplateFromVolume`,
        );
      }
      return admitTemplate(parts, tx, caller.accountUuid, parameters, sourceOf(volume), 'RootVolumeTemplate');
    },
  };
}

export function createDataVolumeTemplateFromVolume(
  parts: TemplateParts,
): JobOperation<typeof CreateDataVolumeTemplateFromVolume, TemplateState> {
  return {
    ...makingTemplate(parts),
    async admit({ id, parameters, caller }, tx) {
      const volume = await takeSource(tx, id, parameters.volumeUuid);
      return admitTemplate(parts, tx, caller.accountUuid, parameters, sourceOf(volume), 'DataVolumeTemplate');
    },
  };
}

function sourceOf(volume: VolumeOnStorage): TemplateSource {
  requireDetached(volume);
  const { uuid, path, size, actualSize } = volume;
  return { url: `volume://${uuid}`, volume, path, size, actualSize };
}
