import { requireFree } from '../job/holds.ts';
import type { ChangeOperation } from '../job/operation.ts';
import { IngotError } from '../kernel/errors.ts';
import { requireInventory } from '../query/find.ts';
import { requireSuitable } from './hosts.ts';
import type { UpdateVmInstance } from './messages.ts';
import { devicesFor } from './rules.ts';
import { VmInstance } from './vm-instance.ts';
import { requireVm, setState, type VmParts } from './vms.ts';

export function updateVmInstance(parts: VmParts): ChangeOperation<typeof UpdateVmInstance> {
  return async ({ parameters: { uuid, ...changes } }, tx) => {
    const isMadeAnew =
      changes.memorySize !== undefined || changes.cpuNum !== undefined || changes.platform !== undefined;
    if (isMadeAnew) await requireFree(tx, { table: 'vmInstance', uuid, mode: 'change' });
    const vm = await requireVm(tx, uuid);
    if (isMadeAnew && vm.state !== 'Stopped' && vm.state !== 'Created') {
      throw new IngotError(
        'SYS.1006',
        `virtual machine '${vm.name}' (${uuid}) is ${vm.state}; 'cpuNum', 'memorySize' and 'platform' are changed while it is Stopped or Created`,
        { elaboration: 'Stop it first (StopVmInstance).' },
      );
    }
    requireSuitable(await parts.hypervisor.size(), { ...vm, ...changes });
    await tx
      .updateTable('vmInstance')
      .set({ ...changes, lastOpDate: parts.clock.now() })
      .where('uuid', '=', uuid)
      .execute();
    if (changes.platform !== undefined) {
      await tx
        .updateTable('vmNic')
        .set({ driverType: devicesFor(changes.platform).nic })
        .where('vmInstanceUuid', '=', uuid)
        .execute();
    }
    await setState(tx, parts, uuid, {});
    return { inventory: await requireInventory(tx, VmInstance, uuid) };
  };
}
