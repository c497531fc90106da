/** Whether a guest writes to a volume just now: what decides how the volume can be worked on. */
import type { Sql } from '../database/database.ts';
import { IngotError } from '../kernel/errors.ts';
import type { VolumeRow } from '../volume/volume.ts';

/** The virtual machine that runs with the volume; undefined where none does. SYS.1006 where that is just changing. */
export async function runningVmOf(on: Sql, volume: VolumeRow): Promise<string | undefined> {
  if (volume.vmInstanceUuid === null) return undefined;
  const vm = await on
    .selectFrom('vmInstance')
    .select(['uuid', 'name', 'state'])
    .where('uuid', '=', volume.vmInstanceUuid)
    .executeTakeFirst();
  if (!vm || vm.state === 'Stopped' || vm.state === 'Created') return undefined;
  if (vm.state === 'Running') return vm.uuid;
  throw new IngotError(
    'SYS.1006',
    `volume '${volume.name}' (${volume.uuid}) is in use: virtual machine '${vm.name}' (${vm.uuid}) is ${vm.state}; call again when it is Running or Stopped`,
    { retryable: true },
  );
}

/** Throws while a guest writes to the volume, saying what can't be done then. */
export async function requireNoGuest(on: Sql, volume: VolumeRow, what: string): Promise<void> {
  const vm = await runningVmOf(on, volume);
  if (vm === undefined) return;
  throw new IngotError(
    'SYS.1006',
    `volume '${volume.name}' (${volume.uuid}) is in use: virtual machine ${vm} runs, and a volume can't ${what} meanwhile`,
    { elaboration: 'Stop it first (StopVmInstance).' },
  );
}
