import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { createLog } from '../../src/kernel/log.ts';
import { probe } from '../../src/vm/qemu/accelerator.ts';
import { commandLine } from '../../src/vm/qemu/command-line.ts';
import { qemuHypervisor } from '../../src/vm/qemu/driver.ts';
import { whileFrozen } from '../../src/vm/qemu/guest-agent.ts';
import { keepBounded, readSerial } from '../../src/vm/qemu/serial-log.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';
import { hypervisorContract } from './hypervisor.ts';

// Longer than the path of a unix socket may be.
const directory = join(temporaryDirectory(), 'a-directory-with-a-long-name'.repeat(4));

hypervisorContract('QEMU', () => {
  mkdirSync(directory, { recursive: true });
  return {
    open: () => qemuHypervisor({ directory, accelerator: 'tcg', log: createLog('silent') }),
    kill: (uuid) => process.kill(Number(readFileSync(join(directory, uuid, 'qemu.pid'), 'utf8')), 'SIGKILL'),
    cutOff: (uuid) => rmSync(join(directory, uuid, 'qmp.sock')),
  };
});

describe('the network of a guest', () => {
  it('leads nowhere, unless it is told to', () => {
    const machine = {
      uuid: '0'.repeat(32),
      name: 'n',
      architecture: 'x86_64',
      cpuNum: 1,
      memorySize: 2 ** 26,
    };
    const mac = 'fa:00:00:00:00:01';
    const nics = [{ mac }, { mac, outward: true }, { mac, bridge: 'br0' }];
    const line = commandLine({ ...machine, paravirtual: true, disks: [], nics }, 'tcg');
    assert.deepEqual(
      line.filter((_, i) => line[i - 1] === '-netdev'),
      ['user,id=net0,restrict=on', 'user,id=net1,restrict=off', 'bridge,id=net2,br=br0'],
    );
  });
});

describe('an agent that talks without end', () => {
  it('is none, and costs no memory', async () => {
    const socket = join(temporaryDirectory(), 'agent.sock');
    let said = 0;
    const gone = Promise.withResolvers<void>();
    const guest = createServer((connection) => {
      const words = Buffer.alloc(16_384, 'x');
      const talk = () => {
        do said += words.length;
        while (connection.write(words));
      };
      connection.on('drain', talk).on('error', () => {});
      connection.on('close', () => gone.resolve());
      talk();
    }).listen(socket);
    await once(guest, 'listening');
    let worked = false;
    const frozen = await whileFrozen(socket, async () => {
      worked = true;
    });
    await gone.promise;
    guest.close();
    assert.deepEqual({ frozen, worked }, { frozen: false, worked: true });
    assert.ok(said < 2 ** 20, `it could say ${said} bytes`);
  });
});

describe('the probe of an accelerator', () => {
  it('comes through by software emulation', async () => {
    assert.equal(await probe('qemu-system-x86_64', 'tcg'), undefined);
  });

  it('says why it did not', async () => {
    assert.match((await probe('false', 'kvm')) ?? '', /ended with code 1/);
    assert.match((await probe('/nonexistent/qemu', 'kvm')) ?? '', /ENOENT/);
  });
});

describe('the log of a serial port', () => {
  it('is kept within bounds, and what is left keeps its place', async () => {
    const at = temporaryDirectory();
    const log = join(at, 'serial.log');
    assert.equal(await readSerial(at, 0, 100), undefined);
    writeFileSync(log, 'first\n');
    assert.deepEqual(await readSerial(at, 0, 100), { text: 'first\n', from: 0, next: 6 });
    assert.deepEqual(await readSerial(at, -3, 100), { text: 'st\n', from: 3, next: 6 });
    for (let round = 0; round < 3; round++) {
      truncateSync(log, 5 * 2 ** 20);
      await keepBounded(at);
      writeFileSync(log, `round ${round}\n`, { flag: 'a' });
    }
    const all = await readSerial(at, 0, 100 * 2 ** 20);
    assert.equal(all?.from, 2 * 5 * 2 ** 20);
    assert.equal(all?.next, 3 * 5 * 2 ** 20 + 'round 2\n'.length);
    assert.deepEqual(await readSerial(at, -8, 8), { text: 'round 2\n', from: all.next - 8, next: all.next });
    assert.equal((await readSerial(at, all.next, 100))?.text, '');
  });
});
