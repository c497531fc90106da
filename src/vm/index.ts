import type { Operations } from '../job/operation.ts';
import type { JobRunner } from '../job/runner.ts';
import { attachDataVolumeToVm, detachDataVolumeFromVm } from './attach.ts';
import { getVmConsoleLog } from './console.ts';
import { createVmInstance } from './create.ts';
import { destroyVmInstance } from './destroy.ts';
import { changeHostState } from './hosts.ts';
import { attachIsoToVmInstance, detachIsoFromVmInstance } from './iso.ts';
import type * as messages from './messages.ts';
import { changeInstanceOfferingState, createInstanceOffering, deleteInstanceOffering } from './offerings.ts';
import { rebootVmInstance, startVmInstance, stopVmInstance } from './power.ts';
import { updateVmInstance } from './update.ts';
import { verifyImageBoots } from './verify.ts';
import type { VmParts } from './vms.ts';

export function vmOperations(
  parts: VmParts & { runner: () => JobRunner; screens: string },
): Operations<typeof messages> {
  return {
    createVmInstance: createVmInstance(parts),
    updateVmInstance: updateVmInstance(parts),
    startVmInstance: startVmInstance(parts),
    stopVmInstance: stopVmInstance(parts),
    rebootVmInstance: rebootVmInstance(parts),
    destroyVmInstance: destroyVmInstance(parts),
    attachDataVolumeToVm: attachDataVolumeToVm(parts),
    detachDataVolumeFromVm: detachDataVolumeFromVm(parts),
    attachIsoToVmInstance: attachIsoToVmInstance(parts),
    detachIsoFromVmInstance: detachIsoFromVmInstance(parts),
    getVmConsoleLog: getVmConsoleLog(parts),
    verifyImageBoots: verifyImageBoots(parts),
    createInstanceOffering: createInstanceOffering(parts),
    changeInstanceOfferingState: changeInstanceOfferingState(parts),
    deleteInstanceOffering,
    changeHostState: changeHostState(parts),
  };
}
