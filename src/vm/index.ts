import type { Operations } from '../job/operation.ts';
import type { JobRunner } from '../job/runner.ts';
import { attachDataVolumeToVm, detachDataVolumeFromVm } from './attach.ts';
import { getVmConsoleLog } from './console.ts';
import { createVmInstance } from './create.ts';
import { destroyVmInstance } from './destroy.ts';
import { changeHostState } from './hosts.ts';
import { attachIsoToVmInstance, detachIsoFromVmInstance } from './iso.ts';
import type * as messages from './messages.ts';
import { ofHost } from './of-host.ts';
import { changeInstanceOfferingState, createInstanceOffering, deleteInstanceOffering } from './offerings.ts';
import { rebootVmInstance, startVmInstance, stopVmInstance } from './power.ts';
import { updateVmInstance } from './update.ts';
import { verifyImageBoots } from './verify.ts';
import type { VmParts } from './vms.ts';

export function vmOperations(
  parts: VmParts & { runner: () => JobRunner; screens: string },
): Operations<typeof messages> {
  const { host } = parts;
  return {
    createVmInstance: ofHost(host, createVmInstance(parts)),
    updateVmInstance: updateVmInstance(parts),
    startVmInstance: ofHost(host, startVmInstance(parts)),
    stopVmInstance: ofHost(host, stopVmInstance(parts)),
    rebootVmInstance: ofHost(host, rebootVmInstance(parts)),
    destroyVmInstance: ofHost(host, destroyVmInstance(parts)),
    attachDataVolumeToVm: ofHost(host, attachDataVolumeToVm(parts)),
    detachDataVolumeFromVm: ofHost(host, detachDataVolumeFromVm(parts)),
    attachIsoToVmInstance: ofHost(host, attachIsoToVmInstance(parts)),
    detachIsoFromVmInstance: ofHost(host, detachIsoFromVmInstance(parts)),
    getVmConsoleLog: getVmConsoleLog(parts),
    verifyImageBoots: ofHost(host, verifyImageBoots(parts)),
    createInstanceOffering: createInstanceOffering(parts),
    changeInstanceOfferingState: changeInstanceOfferingState(parts),
    deleteInstanceOffering,
    changeHostState: changeHostState(parts),
  };
}
