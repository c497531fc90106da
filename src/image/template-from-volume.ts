/** CreateRootVolumeTemplateFromRootVolume and CreateDataVolumeTemplateFromVolume (image chapter). */
import type { SqlTransaction } from '../database/database.ts';
import { letGo } from '../job/holds.ts';
import type { JobOperation } from '../job/operation.ts';
import { IngotError } from '../kernel/errors.ts';
import type { Message } from '../kernel/message.ts';
import type { LocalHost } from '../vm/hosts.ts';
import type { Branch, LiveLayers } from '../vm/live-layers.ts';
import { isOf, type OfHost } from '../vm/of-host.ts';
import { runningVmOf } from '../vm/use.ts';
import { newLayerPath, takeVolume, type VolumeOnStorage } from '../volume/volumes.ts';
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

type Parts = TemplateParts & { live: LiveLayers; host: LocalHost };

/** Of a volume that a guest writes to: the branch that it goes on in while its layer until then is read. */
type State = TemplateState & OfHost & { branch?: Branch };

export function createRootVolumeTemplateFromRootVolume(
  parts: Parts,
): JobOperation<typeof CreateRootVolumeTemplateFromRootVolume, State> {
  return {
    ...making(parts),
    async admit({ id, parameters, caller }, tx) {
      const volume = await takeSource(tx, id, parameters.rootVolumeUuid);
      if (volume.type !== 'Root') {
        throw new IngotError(
          'SYS.1006',
          `volume '${volume.name}' (${volume.uuid}) is a data volume; use CreateDataVolumeTemplateFromVolume`,
        );
      }
      const branch = await branchOf(parts, tx, id, volume);
      const { target, checkpoint } = await admitTemplate(
        parts,
        tx,
        caller.accountUuid,
        parameters,
        sourceOf(volume),
        'RootVolumeTemplate',
      );
      return { target, checkpoint: { ...checkpoint, ...branch } };
    },
  };
}

export function createDataVolumeTemplateFromVolume(
  parts: Parts,
): JobOperation<typeof CreateDataVolumeTemplateFromVolume, State> {
  return {
    ...making(parts),
    async admit({ id, parameters, caller }, tx) {
      const volume = await takeSource(tx, id, parameters.volumeUuid);
      const branch = await branchOf(parts, tx, id, volume);
      const { target, checkpoint } = await admitTemplate(
        parts,
        tx,
        caller.accountUuid,
        parameters,
        sourceOf(volume),
        'DataVolumeTemplate',
      );
      return { target, checkpoint: { ...checkpoint, ...branch } };
    },
  };
}

/** As every template, but with the guest, if there is one, elsewhere meanwhile. */
function making(parts: Parts): Pick<JobOperation<Message, State>, 'run' | 'undo' | 'isOurs'> {
  const template = makingTemplate(parts);
  return {
    async run(job) {
      const { branch, taken } = job.checkpoint;
      // Where everything has been read the guest may be back already, and the branch in the trash.
      if (branch && !taken) await parts.live.branch(branch);
      const end = await template.run(job);
      if (branch) await parts.live.fold(branch, job.signal);
      return end;
    },
    async undo(job) {
      const { branch } = job.checkpoint;
      if (branch) await parts.live.fold(branch);
      return template.undo(job);
    },
    isOurs: (checkpoint) => isOf(parts.host, checkpoint),
  };
}

/** Where a guest runs with the volume, nobody else is at it meanwhile, not even to read. */
async function branchOf(
  { host }: Parts,
  tx: SqlTransaction,
  job: string,
  volume: VolumeOnStorage,
): Promise<Pick<State, 'branch' | 'hostUuid'>> {
  const vmUuid = await runningVmOf(tx, volume, host);
  if (vmUuid === undefined) return {};
  await letGo(tx, job);
  await takeVolume(tx, volume.uuid, { job, mode: 'change' });
  const { uuid: volumeUuid, primaryStorageUuid: storageUuid, size, path: old } = volume;
  const next = newLayerPath(volumeUuid);
  return { branch: { vmUuid, volumeUuid, storageUuid, size, old, next }, hostUuid: host.uuid };
}

function sourceOf(volume: VolumeOnStorage): TemplateSource {
  const { uuid, path, size, actualSize } = volume;
  return { url: `volume://${uuid}`, volume, path, size, actualSize };
}
