/** Virtual machines as operations need them: rows held and changed, and what a hypervisor is told of one. */
import type { Database, Sql, SqlTransaction } from '../database/database.ts';
import type { Settings } from '../global-config/settings.ts';
import { hold } from '../job/holds.ts';
import type { Clock } from '../kernel/clock.ts';
import { IngotError } from '../kernel/errors.ts';
import type { Log } from '../kernel/log.ts';
import type { ImageCaches } from '../primary-storage/image-cache.ts';
import type { PrimaryStorages } from '../primary-storage/primary-storages.ts';
import type { Trash } from '../primary-storage/trash.ts';
import { type LocalHost, recount } from './hosts.ts';
import type { Hypervisor, Machine } from './hypervisor.ts';
import { devicesFor } from './rules.ts';
import { GUEST_NETWORK } from './settings.ts';
import type { VmInstanceRow } from './vm-instance.ts';

export interface VmParts {
  database: Database;
  primaryStorages: PrimaryStorages;
  caches: ImageCaches;
  trash: Trash;
  hypervisor: Hypervisor;
  /** The host that this process runs virtual machines on. */
  host: LocalHost;
  settings: Settings;
  clock: Clock;
  log: Log;
}

/** @throws IngotError SYS.1003 */
export async function requireVm(on: Sql, uuid: string): Promise<VmInstanceRow> {
  const vm = await on.selectFrom('vmInstance').selectAll().where('uuid', '=', uuid).executeTakeFirst();
  if (vm) return vm;
  throw new IngotError('SYS.1003', `there is no VmInstance with the uuid ${uuid}`);
}

/**
 * The virtual machine, held by the job, if it is in one of the states.
 * @throws IngotError SYS.1003, or SYS.1006 while another job has it or in another state
 */
export async function takeVm(
  tx: SqlTransaction,
  uuid: string,
  {
    job,
    to,
    states,
    host,
  }: { job: string; to: string; states: readonly VmInstanceRow['state'][]; host: LocalHost },
): Promise<VmInstanceRow> {
  await hold(tx, { table: 'vmInstance', uuid, mode: 'change', job });
  const vm = await requireVm(tx, uuid);
  if (!states.includes(vm.state)) {
    throw new IngotError(
      'SYS.1006',
      `virtual machine '${vm.name}' (${uuid}) is ${vm.state}; to ${to} it, it has to be ${states.join(' or ')}`,
    );
  }
  requireHere(vm, host);
  return vm;
}

/** Throws where another service's host has it: its hypervisor is out of our reach. */
export function requireHere(
  vm: Pick<VmInstanceRow, 'uuid' | 'name' | 'hostUuid' | 'lastHostUuid'>,
  host: LocalHost,
): void {
  const at = vm.hostUuid ?? vm.lastHostUuid;
  if (at === null || at === host.uuid) return;
  throw new IngotError(
    'SYS.1006',
    `virtual machine '${vm.name}' (${vm.uuid}) is on host ${at}, and this service runs those of host ${host.uuid}`,
    { elaboration: 'Call the service that runs on that host.' },
  );
}

/** Puts the virtual machine into a state, and keeps true what is left on its host. */
export async function setState(
  tx: SqlTransaction,
  parts: { clock: Clock },
  uuid: string,
  change: Partial<Pick<VmInstanceRow, 'state' | 'hostUuid' | 'lastHostUuid' | 'stateReason'>>,
): Promise<void> {
  const before = await tx
    .selectFrom('vmInstance')
    .select('hostUuid')
    .where('uuid', '=', uuid)
    .executeTakeFirst();
  await tx
    .updateTable('vmInstance')
    .set({ ...change, lastOpDate: parts.clock.now() })
    .where('uuid', '=', uuid)
    .execute();
  for (const host of new Set([before?.hostUuid, change.hostUuid])) if (host) await recount(tx, host);
}

export function stopped(
  vm: Pick<VmInstanceRow, 'hostUuid' | 'lastHostUuid'>,
  stateReason: string | null = null,
) {
  return {
    state: 'Stopped' as const,
    hostUuid: null,
    lastHostUuid: vm.hostUuid ?? vm.lastHostUuid,
    stateReason,
  };
}

/** What the hypervisor is told of it, as its rows say now. */
export async function machineOf(
  parts: Pick<VmParts, 'primaryStorages' | 'settings'>,
  on: Sql,
  vm: VmInstanceRow,
): Promise<Machine> {
  const volumes = await on
    .selectFrom('volume')
    .selectAll()
    .where('vmInstanceUuid', '=', vm.uuid)
    .orderBy('deviceId')
    .execute();
  const nics = await on
    .selectFrom('vmNic')
    .selectAll()
    .where('vmInstanceUuid', '=', vm.uuid)
    .orderBy('deviceId')
    .execute();
  const cd = await on
    .selectFrom('vmCdRom')
    .select('isoInstallPath')
    .where('vmInstanceUuid', '=', vm.uuid)
    .executeTakeFirst();
  const disks: Machine['disks'][number][] = [];
  for (const { uuid, path, primaryStorageUuid, deviceId } of volumes) {
    if (path === null || primaryStorageUuid === null) continue;
    const driver = await parts.primaryStorages.driver(primaryStorageUuid);
    disks.push({ uuid, file: driver.location(path), deviceId: deviceId ?? 0 });
  }
  const outward = (await parts.settings.get(GUEST_NETWORK)) === 'user';
  return {
    uuid: vm.uuid,
    name: vm.name,
    architecture: vm.architecture,
    cpuNum: vm.cpuNum,
    memorySize: vm.memorySize,
    paravirtual: devicesFor(vm.platform).paravirtual,
    disks,
    ...(cd?.isoInstallPath && { cd: cd.isoInstallPath }),
    nics: nics.map(({ mac, bridge }) => ({ mac, outward, ...(bridge !== null && { bridge }) })),
  };
}
