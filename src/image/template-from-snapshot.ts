/** CreateRootVolumeTemplateFromVolumeSnapshot and CreateDataVolumeTemplateFromVolumeSnapshot (image chapter). */
import type { SqlTransaction } from '../database/database.ts';
import type { JobOperation } from '../job/operation.ts';
import { IngotError } from '../kernel/errors.ts';
import { requireUsableSnapshot } from '../snapshot/snapshots.ts';
import type {
  CreateDataVolumeTemplateFromVolumeSnapshot,
  CreateRootVolumeTemplateFromVolumeSnapshot,
} from './messages.ts';
import {
  admitTemplate,
  makingTemplate,
  type TemplateParts,
  type TemplateSource,
  type TemplateState,
  takeSource,
} from './template.ts';

export function createRootVolumeTemplateFromVolumeSnapshot(
  parts: TemplateParts,
): JobOperation<typeof CreateRootVolumeTemplateFromVolumeSnapshot, TemplateState> {
  return {
    ...makingTemplate(parts),
    async admit({ id, parameters, caller }, tx) {
      const { type, source } = await sourceOf(tx, id, parameters.snapshotUuid);
      if (type !== 'Root') {
        throw new IngotError(
          'SYS.1006',
          `snapshot ${parameters.snapshotUuid} is of a data volume; use CreateDataVolumeTemplateFromVolumeSnapshot`,
        );
      }
      return admitTemplate(parts, tx, caller.accountUuid, parameters, source, 'RootVolumeTemplate');
    },
  };
}

export function createDataVolumeTemplateFromVolumeSnapshot(
  parts: TemplateParts,
): JobOperation<typeof CreateDataVolumeTemplateFromVolumeSnapshot, TemplateState> {
  return {
    ...makingTemplate(parts),
    async admit({ id, parameters, caller }, tx) {
      const { source } = await sourceOf(tx, id, parameters.snapshotUuid);
      return admitTemplate(parts, tx, caller.accountUuid, parameters, source, 'DataVolumeTemplate');
    },
  };
}

/** A snapshot's layer never changes: its volume may be in use meanwhile. */
async function sourceOf(
  tx: SqlTransaction,
  job: string,
  uuid: string,
): Promise<{ type: 'Root' | 'Data'; source: TemplateSource }> {
  const snapshot = await requireUsableSnapshot(tx, uuid);
  const volume = await takeSource(tx, job, snapshot.volumeUuid);
  const { path, size: actualSize, virtualSize: size, volumeType: type } = snapshot;
  return { type, source: { url: `volumeSnapshot://${uuid}`, volume, path, size, actualSize } };
}
