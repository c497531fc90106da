/**
 * From nothing to a guest that has booted: a service on an empty directory, an image over HTTP, a thin disk, a virtual
 * machine, what it says, a template of it while it runs. Each step with its time. Everything is gone at the end.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ingot } from 'ingot/client';
import { guestImages } from '../test/support/bootable-images.ts';

const MIB = 2 ** 20;
const main = join(import.meta.dirname, '..', 'src', 'main.ts');

const began = performance.now();
const total = { seconds: 0 };

/** Prints what is done and how long it took; the first one is not counted: it is done once for all time. */
async function step<T>(what: string, work: () => Promise<T>, counts = true): Promise<T> {
  const start = performance.now();
  const result = await work();
  const seconds = (performance.now() - start) / 1000;
  if (counts) total.seconds += seconds;
  process.stdout.write(`${seconds.toFixed(2).padStart(8)} s  ${what}\n`);
  return result;
}

const data = await mkdtemp(join(tmpdir(), 'ingot-demo-'));
const guest = await step('a small guest to boot (Debian kernel and busybox)', guestImages, false);
const disk = await readFile(guest.stays);
const server = createServer((_, response) => {
  response.setHeader('content-length', disk.length);
  response.end(disk);
});
await once(server.listen(0, '127.0.0.1'), 'listening');
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/guest.qcow2`;
const service = spawn(
  process.execPath,
  [main, 'serve', '--data', data, '--listen', '127.0.0.1:0', '--log-level', 'error'],
  {
    stdio: ['ignore', 'pipe', 'inherit'],
  },
);
try {
  await demonstrate();
} finally {
  service.kill('SIGTERM');
  if (service.exitCode === null) await once(service, 'exit');
  server.close();
  server.closeAllConnections();
  await rm(data, { recursive: true, force: true });
}

async function demonstrate(): Promise<void> {
  const address = await step('a service on an empty directory', addressOf);
  const password = (await readFile(join(data, 'admin-password'), 'utf8')).trim();
  const ingot = await Ingot.logIn({ address, accountName: 'admin', password });
  const { inventory: image } = await step('an image taken in over HTTP, checked and digested', () =>
    ingot.addImage({ name: 'guest', url }),
  );
  const { inventory: vm } = await step('a thin disk of it, and a virtual machine that starts', () =>
    ingot.createVmInstance({ name: 'demo', imageUuid: image.uuid, cpuNum: 1, memorySize: 256 * MIB }),
  );
  try {
    await step('its guest has booted and writes to its disk', () =>
      untilSays(ingot, vm.uuid, /INGOT-TICK 1\b/),
    );
    const { inventory: template } = await step('a template of it while it runs', () =>
      ingot.createRootVolumeTemplateFromRootVolume({ name: 'template', rootVolumeUuid: vm.rootVolumeUuid }),
    );
    const [host] = (await ingot.queryHost()).inventories;
    process.stdout.write(
      [
        '',
        `It took ${total.seconds.toFixed(1)} s; the guest ran by ${host?.accelerator} (${host?.acceleratorReason}).`,
        `The image has ${image.size / MIB} MiB, its template ${(Number(template.actualSize) / MIB).toFixed(1)} MiB. The guest says:`,
        '',
        ...(await consoleOf(ingot, vm.uuid))
          .trim()
          .split(/[\r\n]+/)
          .map((line) => `    ${line}`),
        '',
      ].join('\n'),
    );
  } finally {
    await ingot.destroyVmInstance({ uuid: vm.uuid });
  }
  process.stdout.write(
    `Everything is deleted again; ${((performance.now() - began) / 1000).toFixed(1)} s in all.\n`,
  );
}

function addressOf(): Promise<string> {
  let said = '';
  return new Promise((resolve, reject) => {
    service.stdout.setEncoding('utf8').on('data', (piece: string) => {
      said += piece;
      const address = /Ingot serves (\S+)/.exec(said)?.[1];
      if (address !== undefined) resolve(address);
    });
    service.once('exit', () => reject(new Error(`the service ended: ${said}`)));
  });
}

async function consoleOf(ingot: Ingot, uuid: string): Promise<string> {
  return (await ingot.getVmConsoleLog({ uuid, bytes: MIB / 2 })).text;
}

async function untilSays(ingot: Ingot, uuid: string, words: RegExp): Promise<void> {
  while (!words.test(await consoleOf(ingot, uuid))) await new Promise((resolve) => setTimeout(resolve, 100));
}
