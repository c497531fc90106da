import type { SyncOperation } from '../job/operation.ts';
import { IngotError } from '../kernel/errors.ts';
import type { GetVmConsoleLog } from './messages.ts';
import { requireHere, requireVm, type VmParts } from './vms.ts';

/** Of one that is stopped: what it said while it ran. */
export function getVmConsoleLog(parts: VmParts): SyncOperation<typeof GetVmConsoleLog> {
  return async ({ parameters: { uuid, from, bytes } }) => {
    const vm = await requireVm(parts.database.sql, uuid);
    requireHere(vm, parts.host);
    const most = Math.min(bytes, 1_000_000);
    const said = await parts.hypervisor.consoleText(uuid, from ?? -most, most);
    if (said) return { ...said, state: vm.state };
    throw new IngotError(
      'SYS.1006',
      `virtual machine '${vm.name}' (${uuid}) is ${vm.state} and has never run: there is no console to show`,
      { elaboration: 'Start it first (StartVmInstance).' },
    );
  };
}
