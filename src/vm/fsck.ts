/** Virtual machines held against their volumes, and what their host keeps of them against their rows. */
import type { Database } from '../database/database.ts';
import type { Inspection } from '../kernel/finding.ts';
import type { Hypervisor } from './hypervisor.ts';

/** States that a job is to end. */
const UNDER_WAY = ['Starting', 'Stopping', 'Rebooting', 'Destroying', 'Destroyed'] as const;

/** `hypervisor` is this host's. */
export async function checkMachines(
  { database, hypervisor }: { database: Database; hypervisor: Hypervisor },
  inspection: Inspection,
): Promise<void> {
  await checkStates(database, hypervisor, inspection);
  await checkVolumes(database, inspection);
  await checkKept(database, hypervisor, inspection);
}

async function checkStates(
  database: Database,
  hypervisor: Hypervisor,
  { inWork, repair, find }: Inspection,
): Promise<void> {
  const machines = await database.sql
    .selectFrom('vmInstance')
    .select(['uuid', 'name', 'state', 'hostUuid'])
    .where('state', 'in', [...UNDER_WAY])
    .execute();
  for (const { uuid, name, state, hostUuid } of machines) {
    if (inWork.has(uuid)) continue;
    if (repair) {
      const runs = (await hypervisor.state(uuid)).is === 'running';
      await database.sql
        .updateTable('vmInstance')
        .set(runs ? { state: 'Running' } : { state: 'Stopped', hostUuid: null, lastHostUuid: hostUuid })
        .where('uuid', '=', uuid)
        .execute();
    }
    find('half-done', `virtual machine '${name}' (${uuid}) is ${state}, but no job works on it`, repair);
  }
}

/** Each virtual machine has its root volume, and no volume is of one that isn't there. */
async function checkVolumes(database: Database, { inWork, repair, find }: Inspection): Promise<void> {
  const rootless = await database.sql
    .selectFrom('vmInstance')
    .select(['uuid', 'name', 'rootVolumeUuid'])
    .where('rootVolumeUuid', 'not in', (volumes) => volumes.selectFrom('volume').select('uuid'))
    .execute();
  for (const { uuid, name, rootVolumeUuid } of rootless) {
    if (inWork.has(uuid)) continue;
    if (repair) await database.sql.deleteFrom('vmInstance').where('uuid', '=', uuid).execute();
    const what = `virtual machine '${name}' (${uuid}) has lost its root volume ${rootVolumeUuid}`;
    find('missing-bytes', what, repair);
  }
  const attached = await database.sql
    .selectFrom('volume')
    .select(['uuid', 'name', 'vmInstanceUuid'])
    .where('vmInstanceUuid', 'is not', null)
    .where('vmInstanceUuid', 'not in', (machines) => machines.selectFrom('vmInstance').select('uuid'))
    .execute();
  for (const { uuid, name, vmInstanceUuid } of attached) {
    if (inWork.has(uuid)) continue;
    if (repair) {
      await database.sql
        .updateTable('volume')
        .set({ vmInstanceUuid: null })
        .where('uuid', '=', uuid)
        .execute();
    }
    const what = `volume '${name}' (${uuid}) is attached to the virtual machine ${vmInstanceUuid}, which is not there`;
    find('half-done', what, repair);
  }
}

/** What is kept of a machine, or runs as one, has a row. */
async function checkKept(
  database: Database,
  hypervisor: Hypervisor,
  { inWork, repair, find, count }: Inspection,
): Promise<void> {
  const rows = await database.sql.selectFrom('vmInstance').select('uuid').execute();
  const known = new Set(rows.map(({ uuid }) => uuid));
  const running = new Set(await hypervisor.list());
  for (const uuid of await hypervisor.kept()) {
    count();
    if (known.has(uuid) || inWork.has(uuid) || inWork.has(`vms/${uuid}`)) continue;
    if (repair) await hypervisor.forget(uuid);
    const what = running.has(uuid) ? 'runs a virtual machine' : 'keeps the logs of a virtual machine';
    find('stray-bytes', `this host ${what} that belongs to nothing: ${uuid}`, repair);
  }
}
