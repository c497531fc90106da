/** Whether a guest writes to a volume just now: what decides how the volume can be worked on. */
import type { Sql } from '../database/database.ts';
import { IngotError } from '../kernel/errors.ts';
import type { VolumeRow } from '../volume/volume.ts';
import type { LocalHost } from './hosts.ts';
import { requireHere } from './vms.ts';

/**
 * The virtual machine that runs with the volume, on this host; undefined where none does. SYS.1006 where that is just
 * changing, or it runs on another host.
 */
export async function runningVmOf(on: Sql, volume: VolumeRow, host: LocalHost): Promise<string | undefined> {
  const vm = await guestOf(on, volume);
  if (vm) requireHere(vm, host);
  return vm?.uuid;
}

/** Wherever it runs. */
async function guestOf(on: Sql, volume: VolumeRow) {
  if (volume.vmInstanceUuid === null) return undefined;
  const vm = await on
    .selectFrom('vmInstance')
    .select(['uuid', 'name', 'state', 'hostUuid', 'lastHostUuid'])
    .where('uuid', '=', volume.vmInstanceUuid)
    .executeTakeFirst();
  if (!vm || vm.state === 'Stopped' || vm.state === 'Created') return undefined;
  if (vm.state === 'Running') return vm;
  throw new IngotError(
    'SYS.1006',
    `volume '${volume.name}' (${volume.uuid}) is in use: virtual machine '${vm.name}' (${vm.uuid}) is ${vm.state}; call again when it is Running or Stopped`,
    { retryable: true },
  );
}

/** Throws while a guest writes to the volume, saying what can't be done then. */
export async function requireNoGuest(on: Sql, volume: VolumeRow, what: string): Promise<void> {
  const vm = await guestOf(on, volume);
  if (!vm) return;
  throw new IngotError(
    'SYS.1006',
    `volume '${volume.name}' (${volume.uuid}) is in use: virtual machine ${vm.uuid} runs, and a volume can't ${what} meanwhile`,
    { elaboration: 'Stop it first (StopVmInstance).' },
  );
}
