/** Keeps the states of virtual machines true: every minute, and whenever the hypervisor says that something happened. */

import type { Sql, SqlTransaction } from '../database/database.ts';
import { requireFree } from '../job/holds.ts';
import { sleep } from '../kernel/clock.ts';
import { IngotError } from '../kernel/errors.ts';
import type { MachineState } from './hypervisor.ts';
import { TRACER_INTERVAL } from './settings.ts';
import type { VmInstanceRow } from './vm-instance.ts';
import { setState, stopped, type VmParts } from './vms.ts';

/** States that no job is about to change. */
const SETTLED = ['Created', 'Running', 'Stopped', 'Unknown'] as const;
/** How often the interval is looked at, in milliseconds. */
const LOOK = 1000;
/** How often one is looked at again that something was done to meanwhile; its next change, or minute, comes. */
const ATTEMPTS = 3;

export async function runTracer(parts: VmParts, signal: AbortSignal): Promise<void> {
  parts.hypervisor.onChange((uuid) => {
    if (signal.aborted) return;
    checkOne(parts, uuid).catch((error) => {
      if (!signal.aborted) report(parts, error);
    });
  });
  let last = 0;
  while (!signal.aborted) {
    try {
      const interval = (await parts.settings.get(TRACER_INTERVAL)) * 1000;
      if (parts.clock.now() - last >= interval) {
        last = parts.clock.now();
        await checkAll(parts, signal);
      }
    } catch (error) {
      if (!signal.aborted) report(parts, error);
    }
    await sleep(LOOK, signal).catch(() => {});
  }
}

function report({ log }: VmParts, error: unknown): void {
  log.error({ err: error }, 'comparing the states of virtual machines failed');
}

/** Every virtual machine of this host, and every one that runs here. */
async function checkAll(parts: VmParts, signal: AbortSignal): Promise<void> {
  const { database, hypervisor, host, log } = parts;
  const rows = await database.sql
    .selectFrom('vmInstance')
    .select('uuid')
    .where((where) => where.or([where('hostUuid', '=', host.uuid), where('lastHostUuid', '=', host.uuid)]))
    .execute();
  const known = new Set(rows.map(({ uuid }) => uuid));
  for (const uuid of known) {
    // One that can't be looked at is in no other one's way.
    await checkOne(parts, uuid, { retry: true }).catch((error) => {
      if (!signal.aborted) report(parts, error);
    });
  }
  for (const uuid of await hypervisor.list()) {
    if (!known.has(uuid)) log.debug({ vm: uuid }, 'a virtual machine runs that no row tells of');
  }
  await hypervisor.tidy();
}

/** `retry`: has a guest go on that was stopped by what may have passed. */
async function checkOne(parts: VmParts, uuid: string, { retry = false } = {}): Promise<void> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) if (await compare(parts, uuid, retry)) return;
}

/** Fulfilled with false where something was done to it while its host was asked, which may have spoken before that. */
async function compare(parts: VmParts, uuid: string, retry: boolean): Promise<boolean> {
  const { database, hypervisor, host, log } = parts;
  const before = await rowOf(database.sql, uuid);
  if (!before) return true;
  const found = await hypervisor.state(uuid);
  return database.transaction(async (tx) => {
    if (!(await isFree(tx, 'vmInstance', uuid))) return true;
    const vm = await rowOf(tx, uuid);
    if (!vm || !SETTLED.some((state) => state === vm.state)) return true;
    if (vm.lastOpDate !== before.lastOpDate) return false;
    const { is, why = null } =
      found.is === 'paused' || (retry && found.canResume) ? await goOn(parts, tx, uuid, found) : found;
    if (is === 'stopped' && (vm.state === 'Running' || vm.state === 'Unknown')) {
      await setState(tx, parts, uuid, stopped(vm, why));
      log.info({ vm: uuid, why }, 'a virtual machine has stopped');
    } else if (is === 'running' && vm.state !== 'Running') {
      await setState(tx, parts, uuid, { state: 'Running', hostUuid: host.uuid, stateReason: null });
      log.info({ vm: uuid }, 'a virtual machine runs');
    } else if (is === 'unknown' && (vm.state !== 'Unknown' || vm.stateReason !== why)) {
      await setState(tx, parts, uuid, { state: 'Unknown', hostUuid: host.uuid, stateReason: why });
      log.warn({ vm: uuid, why }, 'what a virtual machine does is not known');
    }
    return true;
  });
}

/**
 * A job that folds layers holds its guest for a moment; one that is held without such a job has lost it, and goes on,
 * where it writes to what its rows name. No such job can begin before the transaction ends.
 */
async function goOn(
  { hypervisor }: VmParts,
  tx: SqlTransaction,
  uuid: string,
  found: MachineState,
): Promise<MachineState> {
  const volumes = await tx
    .selectFrom('volume')
    .select(['uuid', 'installPath'])
    .where('vmInstanceUuid', '=', uuid)
    .execute();
  for (const volume of volumes) if (!(await isFree(tx, 'volume', volume.uuid))) return found;
  for (const volume of volumes) {
    const layer = await hypervisor.layerOf(uuid, volume.uuid);
    if (layer === undefined || layer === volume.installPath) continue;
    const why = `it is held, as its guest would write to ${layer}, and volume ${volume.uuid} is ${volume.installPath}; stop it, and the next start goes on from there`;
    return { is: 'unknown', why };
  }
  await hypervisor.resume(uuid);
  return found;
}

async function rowOf(on: Sql, uuid: string): Promise<VmInstanceRow | undefined> {
  return on.selectFrom('vmInstance').selectAll().where('uuid', '=', uuid).executeTakeFirst();
}

async function isFree(tx: SqlTransaction, table: 'vmInstance' | 'volume', uuid: string): Promise<boolean> {
  try {
    await requireFree(tx, { table, uuid, mode: 'change' });
    return true;
  } catch (error) {
    if (error instanceof IngotError) return false;
    throw error;
  }
}
