/** Virtual machines of a test service, seen through what their guests say. Boots take seconds, and many of them on a loaded machine. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createReadStream, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestClient } from './service.ts';

const PATIENCE = 240_000;
const MIB = 2 ** 20;

/** What small guests are given. */
export const SMALL = { cpuNum: 1, memorySize: 192 * MIB };

/** The first answer that is neither undefined nor false; asked for every 100 ms for some minutes at most. */
export async function eventually<T>(
  what: string,
  ask: () => Promise<T | undefined | false>,
  describe: () => Promise<string> = async () => '',
): Promise<T> {
  const deadline = performance.now() + PATIENCE;
  for (;;) {
    const value = await ask();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > deadline) assert.fail(`waited in vain for ${what}: ${await describe()}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** What the guest has said so far. */
export async function saidBy(client: TestClient, uuid: string): Promise<string> {
  return (await client.call('GetVmConsoleLog', { uuid, from: 0, bytes: MIB })).text;
}

/** Waits until the guest says it. */
export async function untilSays(client: TestClient, uuid: string, words: RegExp): Promise<string> {
  return eventually(
    `a guest to say ${words}`,
    async () => {
      const said = await saidBy(client, uuid).catch(() => '');
      return words.test(said) && said;
    },
    () => saidBy(client, uuid).catch(String),
  );
}

export async function vmOf(client: TestClient, uuid: string) {
  const [vm] = await client.query('VmInstance', `uuid=${uuid}`);
  assert.ok(vm, `there is no virtual machine ${uuid}`);
  return vm;
}

export async function untilState(client: TestClient, uuid: string, state: string) {
  return eventually(
    `the virtual machine to be ${state}`,
    async () => {
      const vm = await vmOf(client, uuid);
      return vm.state === state && vm;
    },
    async () => JSON.stringify(await vmOf(client, uuid)),
  );
}

/** The last tick that the guest said. */
export function lastTick(said: string): number {
  return Number([...said.matchAll(/INGOT-TICK (\d+)/g)].at(-1)?.[1] ?? 0);
}

export async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

/** A job's answer, however long it takes. */
export async function longResult(client: TestClient, job: string) {
  await eventually(`job ${job} to end`, async () => {
    const { status } = await client.http('GET', `/zstack/v1/api-jobs/${job}`);
    return status !== 202;
  });
  return client.result(job);
}

/** Ends whatever machines a service on the data directory has left: they outlive it, and a test that failed too. */
export function endMachines(data: string): void {
  for (const uuid of readdirSync(join(data, 'vms'))) {
    try {
      const pid = Number(readFileSync(join(data, 'vms', uuid, 'qemu.pid'), 'utf8'));
      if (readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(uuid)) process.kill(pid, 'SIGKILL');
    } catch {
      // It has none, or that has ended.
    }
  }
}
