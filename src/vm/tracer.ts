/** Keeps the states of virtual machines true: every minute, and whenever the hypervisor says that something happened. */

import { requireFree } from '../job/holds.ts';
import { sleep } from '../kernel/clock.ts';
import { IngotError } from '../kernel/errors.ts';
import { TRACER_INTERVAL } from './settings.ts';
import { requireVm, setState, stopped, type VmParts } from './vms.ts';

/** States that no job is about to change. */
const SETTLED = ['Created', 'Running', 'Stopped', 'Unknown'] as const;
/** How often the interval is looked at, in milliseconds. */
const LOOK = 1000;

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
        await checkAll(parts);
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
export async function checkAll(parts: VmParts): Promise<void> {
  const { database, hypervisor, host, log } = parts;
  const rows = await database.sql
    .selectFrom('vmInstance')
    .select('uuid')
    .where((where) => where.or([where('hostUuid', '=', host.uuid), where('lastHostUuid', '=', host.uuid)]))
    .execute();
  const known = new Set(rows.map(({ uuid }) => uuid));
  for (const uuid of known) await checkOne(parts, uuid);
  for (const uuid of await hypervisor.list()) {
    if (!known.has(uuid)) log.debug({ vm: uuid }, 'a virtual machine runs that no row tells of');
  }
  await hypervisor.tidy();
}

async function checkOne(parts: VmParts, uuid: string): Promise<void> {
  const { database, hypervisor, host, log } = parts;
  const { is, why = null } = await hypervisor.state(uuid);
  const resume = await database.transaction(async (tx) => {
    const there = await tx
      .selectFrom('vmInstance')
      .select('uuid')
      .where('uuid', '=', uuid)
      .executeTakeFirst();
    if (!there || !(await isFree(tx, 'vmInstance', uuid))) return false;
    const vm = await requireVm(tx, uuid);
    if (!SETTLED.some((state) => state === vm.state)) return false;
    const volumes = await tx.selectFrom('volume').select('uuid').where('vmInstanceUuid', '=', uuid).execute();
    if (is === 'paused') {
      // A job that folds layers holds its guest for a moment; one that is held without such a job has lost it.
      for (const volume of volumes) if (!(await isFree(tx, 'volume', volume.uuid))) return false;
      return true;
    }
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
    return false;
  });
  if (resume) await hypervisor.resume(uuid);
}

async function isFree(
  tx: Parameters<typeof requireFree>[0],
  table: 'vmInstance' | 'volume',
  uuid: string,
): Promise<boolean> {
  try {
    await requireFree(tx, { table, uuid, mode: 'change' });
    return true;
  } catch (error) {
    if (error instanceof IngotError) return false;
    throw error;
  }
}
