/** The service's own machine as the host that is there by itself, and whether a virtual machine fits on it. */
import { mkdir, readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { ADMIN_UUID } from '../account/account.ts';
import { own } from '../account/ownership.ts';
import type { Database, SqlTransaction } from '../database/database.ts';
import { jobNameOf } from '../job/long-job.ts';
import type { ChangeOperation } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import { writeFileDurably } from '../kernel/durable-file.ts';
import { IngotError } from '../kernel/errors.ts';
import { formatSize } from '../kernel/format.ts';
import { bornAt } from '../kernel/properties.ts';
import type { RowOf } from '../kernel/resource.ts';
import { newUuid } from '../kernel/uuid.ts';
import { requireInventory } from '../query/find.ts';
import { Host } from './host.ts';
import type { HostFacts, HostSize, Hypervisor } from './hypervisor.ts';
import { type ChangeHostState, VerifyImageBoots } from './messages.ts';
import { isOf, type OfHost } from './of-host.ts';

/** Its uuid, in the directory of its virtual machines: whoever serves from there is the same host. */
const NAME = 'host';

/** States in which a virtual machine has its processors and memory. */
export const ON_HOST = ['Starting', 'Running', 'Stopping', 'Rebooting', 'Unknown'] as const;

export interface LocalHost {
  readonly uuid: string;
}

/** The host's uuid: the one in its directory, or a new one that is written there. */
export async function localHostUuid(directory: string): Promise<string> {
  await mkdir(directory, { recursive: true, mode: 0o750 });
  const path = join(directory, NAME);
  const written = (await readFile(path, 'utf8').catch(() => '')).trim();
  if (written !== '') return written;
  const uuid = newUuid();
  await writeFileDurably(path, `${uuid}\n`, 0o640);
  return uuid;
}

/** Sees to it that the host's row is there and says how large it is. */
export async function joinLocalHost(parts: {
  database: Database;
  clock: Clock;
  hypervisor: Hypervisor;
  uuid: string;
}): Promise<void> {
  const { database, clock, hypervisor, uuid } = parts;
  const { missing, ...size } = await hypervisor.size();
  await database.transaction(async (tx) => {
    const now = clock.now();
    const known = await tx.selectFrom('host').select('uuid').where('uuid', '=', uuid).executeTakeFirst();
    const found = {
      ...asRow(size),
      status: missing === undefined ? ('Connected' as const) : ('Disconnected' as const),
      ...(missing !== undefined && { acceleratorReason: missing }),
      lastOpDate: now,
    };
    if (known) {
      await tx.updateTable('host').set(found).where('uuid', '=', uuid).execute();
      await recount(tx, uuid);
      return;
    }
    const zone = await tx
      .selectFrom('zone')
      .select('uuid')
      .orderBy('isDefault', 'desc')
      .executeTakeFirstOrThrow();
    await tx
      .insertInto('host')
      .values({
        uuid,
        name: hostname(),
        description: "The service's own machine",
        zoneUuid: zone.uuid,
        managementIp: '127.0.0.1',
        hypervisorType: 'KVM',
        state: 'Enabled',
        accelerator: 'tcg',
        acceleratorReason: 'it is tried when the first virtual machine starts',
        hypervisorVersion: null,
        availableCpuCapacity: size.cpuNum,
        availableMemoryCapacity: size.memorySize,
        ...bornAt(now),
        ...found,
      })
      .execute();
    await own(tx, Host, uuid, ADMIN_UUID, now);
  });
}

const asRow = ({ architecture, cpuNum, memorySize }: HostSize) => ({
  architecture: architecture as RowOf<typeof Host>['architecture'],
  totalCpuCapacity: cpuNum,
  totalMemoryCapacity: memorySize,
});

/** Writes what has been found out about the host into its row. */
export async function describeHost(
  { database, clock }: { database: Database; clock: Clock },
  uuid: string,
  facts: HostFacts,
): Promise<void> {
  await database.sql
    .updateTable('host')
    .set({
      status: 'Connected',
      accelerator: facts.accelerator,
      acceleratorReason: facts.acceleratorReason,
      hypervisorVersion: facts.version ?? null,
      lastOpDate: clock.now(),
    })
    .where('uuid', '=', uuid)
    .execute();
}

/** Keeps true what is left on a host; for each transaction in which a virtual machine comes to it or goes. */
export async function recount(tx: SqlTransaction, hostUuid: string): Promise<void> {
  const { cpu, memory } = await tx
    .selectFrom('vmInstance')
    .select([
      sql<number>`coalesce(sum(${sql.ref('cpuNum')}), 0)`.as('cpu'),
      sql<number>`coalesce(sum(${sql.ref('memorySize')}), 0)`.as('memory'),
    ])
    .where('hostUuid', '=', hostUuid)
    .where('state', 'in', [...ON_HOST])
    .executeTakeFirstOrThrow();
  const host = await tx
    .selectFrom('host')
    .select(['totalCpuCapacity', 'totalMemoryCapacity'])
    .where('uuid', '=', hostUuid)
    .executeTakeFirst();
  if (!host) return;
  await tx
    .updateTable('host')
    .set({
      availableCpuCapacity: Math.max(0, host.totalCpuCapacity - Number(cpu)),
      availableMemoryCapacity: Math.max(0, host.totalMemoryCapacity - Number(memory)),
    })
    .where('uuid', '=', hostUuid)
    .execute();
}

interface Wanted {
  cpuNum: number;
  memorySize: number;
  architecture: string;
}

/** Throws where the host could never run such a virtual machine. */
export function requireSuitable(facts: Wanted, vm: Wanted): void {
  if (vm.memorySize > facts.memorySize) {
    throw new IngotError(
      'SYS.1007',
      `'memorySize' ${formatSize(vm.memorySize)} (${vm.memorySize} bytes) is more than the host has, which is ${formatSize(facts.memorySize)}`,
      { opaque: { parameter: 'memorySize' } },
    );
  }
  if (vm.architecture !== facts.architecture) {
    throw new IngotError(
      'SYS.1013',
      `a virtual machine of the architecture ${vm.architecture} can't be run: the host's is ${facts.architecture}`,
      { elaboration: "The architecture is the image's, unless the call says otherwise." },
    );
  }
}

/** Throws where the host takes no virtual machine, or has no memory left for this one now. */
export async function requireRoom(
  tx: SqlTransaction,
  hostUuid: string,
  vm: { uuid: string; memorySize: number },
): Promise<void> {
  const host = await tx.selectFrom('host').selectAll().where('uuid', '=', hostUuid).executeTakeFirstOrThrow();
  if (host.state !== 'Enabled') {
    throw new IngotError(
      'SYS.1006',
      `host '${host.name}' (${hostUuid}) is ${host.state}; it takes no virtual machines`,
    );
  }
  const { taken } = await tx
    .selectFrom('vmInstance')
    .select(sql<number>`coalesce(sum(${sql.ref('memorySize')}), 0)`.as('taken'))
    .where('hostUuid', '=', hostUuid)
    .where('uuid', '!=', vm.uuid)
    .where('state', 'in', [...ON_HOST])
    .executeTakeFirstOrThrow();
  const left = host.totalMemoryCapacity - Number(taken) - (await throwAwayMemory(tx, hostUuid));
  if (vm.memorySize <= left) return;
  throw new IngotError(
    'SYS.1006',
    `host '${host.name}' (${hostUuid}) has ${formatSize(Math.max(0, left))} of memory left beside its running virtual machines, and this one needs ${formatSize(vm.memorySize)}`,
    { retryable: true, elaboration: 'Stop others first.' },
  );
}

/** Bytes that the machines of VerifyImageBoots have or are going to have: no rows but those of their jobs tell of them. */
async function throwAwayMemory(tx: SqlTransaction, hostUuid: string): Promise<number> {
  const jobs = await tx
    .selectFrom('longJob')
    .select('checkpoint')
    .where('jobName', '=', jobNameOf(VerifyImageBoots.name))
    .where('state', 'in', ['Waiting', 'Running', 'Canceling'])
    .execute();
  return jobs
    .map(({ checkpoint }) => JSON.parse(checkpoint ?? '{}') as OfHost & { machine?: { memorySize: number } })
    .filter((of) => isOf({ uuid: hostUuid }, of))
    .reduce((sum, { machine }) => sum + (machine?.memorySize ?? 0), 0);
}

export function changeHostState(parts: { clock: Clock }): ChangeOperation<typeof ChangeHostState> {
  return async ({ parameters: { uuid, stateEvent } }, tx) => {
    await requireInventory(tx, Host, uuid);
    await tx
      .updateTable('host')
      .set({ state: stateEvent === 'enable' ? 'Enabled' : 'Disabled', lastOpDate: parts.clock.now() })
      .where('uuid', '=', uuid)
      .execute();
    return { inventory: await requireInventory(tx, Host, uuid) };
  };
}
