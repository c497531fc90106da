/** What every hypervisor driver owes its callers, held against the real thing. Nothing here waits for a guest to boot. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { newUuid } from '../../src/kernel/uuid.ts';
import type { Hypervisor, Machine } from '../../src/vm/hypervisor.ts';
import { eventually, sha256Of } from '../support/guests.ts';
import { runProgram } from '../support/program.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';

export interface HypervisorUnderTest {
  /** Another driver on the same host and directory, as after a restart. */
  open(): Hypervisor;
  /** Ends the machine from outside. */
  kill(uuid: string): void;
  /** Makes the machine unreachable, though it runs. */
  cutOff(uuid: string): void;
}

export function hypervisorContract(name: string, prepare: () => HypervisorUnderTest): void {
  describe(`the hypervisor driver ${name}`, () => {
    const directory = temporaryDirectory();
    const file = (which: string) => join(directory, `${which}.qcow2`);
    const [root, data] = [newUuid(), newUuid()];
    let subject: HypervisorUnderTest;
    let hypervisor: Hypervisor;
    let machine: Machine;
    before(async () => {
      subject = prepare();
      hypervisor = subject.open();
      const create = (...line: string[]) => runProgram('qemu-img', ['create', '-q', '-f', 'qcow2', ...line]);
      await create(file('base'), '16M');
      await runProgram('qemu-io', ['-f', 'qcow2', '-c', 'write -P 7 0 1M', file('base')]);
      await create('-b', file('base'), '-F', 'qcow2', file('root'));
      await create(file('data'), '4M');
      machine = {
        uuid: newUuid(),
        name: 'contract',
        architecture: 'x86_64',
        cpuNum: 1,
        memorySize: 64 * 2 ** 20,
        paravirtual: true,
        disks: [{ uuid: root, file: file('root'), deviceId: 0 }],
        nics: [{ mac: 'fa:00:00:00:00:01' }],
      };
    });
    after(async () => {
      await hypervisor.forget(machine.uuid);
      await hypervisor.close();
    });

    it('says what its host has, and why guests run as they do', async () => {
      const facts = await hypervisor.facts();
      assert.ok(facts.cpuNum > 0 && facts.memorySize > 2 ** 20);
      assert.match(facts.acceleratorReason, /\S/);
      assert.match(facts.version ?? '', /\d/);
      assert.equal((await hypervisor.size()).missing, undefined);
    });

    it('knows nothing of a machine that was never started', async () => {
      const uuid = newUuid();
      assert.deepEqual(await hypervisor.state(uuid), { is: 'stopped' });
      assert.equal(await hypervisor.layerOf(uuid, root), undefined);
      assert.equal(await hypervisor.consoleText(uuid, 0, 100), undefined);
      await hypervisor.stop(uuid);
      await hypervisor.forget(uuid);
    });

    it('starts it, which is success when it runs already, and finds it again', async () => {
      await hypervisor.start(machine);
      await hypervisor.start(machine);
      assert.deepEqual(await hypervisor.state(machine.uuid), { is: 'running' });
      assert.equal(await hypervisor.layerOf(machine.uuid, root), file('root'));
      await hypervisor.close();
      hypervisor = subject.open();
      assert.deepEqual(await hypervisor.list(), [machine.uuid]);
      assert.deepEqual(await hypervisor.kept(), [machine.uuid]);
      assert.deepEqual(await hypervisor.state(machine.uuid), { is: 'running' });
    });

    it('refuses what can not be started, in words, and leaves nothing running', async () => {
      const disks = [{ uuid: newUuid(), file: file('missing'), deviceId: 0 }];
      const other = { ...machine, uuid: newUuid(), disks };
      await assert.rejects(hypervisor.start(other), { message: /could not start.*missing\.qcow2/s });
      // The disk has a machine that writes to it.
      await assert.rejects(hypervisor.start({ ...machine, uuid: other.uuid }), { message: /lock/ });
      await assert.rejects(hypervisor.start({ ...other, architecture: 'aarch64' }), {
        code: 'SYS.1013',
        message: /architecture aarch64 can't be run on this host/,
      });
      assert.deepEqual(await hypervisor.list(), [machine.uuid]);
      await hypervisor.forget(other.uuid);
    });

    it('moves the guest to a new layer and back, and never writes to what is below', async () => {
      const digest = await sha256Of(file('base'));
      const { uuid } = machine;
      await runProgram('qemu-img', [
        'create',
        ...['-q', '-f', 'qcow2', '-b', file('root'), '-F', 'qcow2', file('next')],
      ]);
      await hypervisor.switchLayer(uuid, root, file('next'));
      await hypervisor.switchLayer(uuid, root, file('next'));
      assert.equal(await hypervisor.layerOf(uuid, root), file('next'));
      let held: unknown;
      await hypervisor.foldLayer(uuid, root, file('root'), async () => {
        held = await hypervisor.state(uuid);
      });
      assert.deepEqual(held, { is: 'paused' });
      assert.deepEqual(await hypervisor.state(uuid), { is: 'running' });
      assert.equal(await hypervisor.layerOf(uuid, root), file('root'));
      await assert.rejects(
        hypervisor.foldLayer(uuid, root, file('elsewhere'), async () => {}),
        {
          message: /does not stand on/,
        },
      );
      assert.equal(await sha256Of(file('base')), digest);
    });

    it('holds the guest where the row can not be written that says where it goes on', async () => {
      const { uuid } = machine;
      const layer = async (which: string) => {
        const over = ['-b', file('root'), '-F', 'qcow2'];
        await runProgram('qemu-img', ['create', '-q', '-f', 'qcow2', ...over, file(which)]);
        await hypervisor.switchLayer(uuid, root, file(which));
      };
      await layer('second');
      let attempts = 0;
      await hypervisor.foldLayer(uuid, root, file('root'), async () => {
        if (++attempts < 3) throw new Error('not yet');
      });
      assert.equal(attempts, 3);
      assert.deepEqual(await hypervisor.state(uuid), { is: 'running' });

      await layer('third');
      const never = async () => {
        throw new Error('the row is not written');
      };
      await assert.rejects(hypervisor.foldLayer(uuid, root, file('root'), never), { message: /not written/ });
      assert.deepEqual(await hypervisor.state(uuid), { is: 'paused' });
      assert.equal(await hypervisor.layerOf(uuid, root), file('root'));
      await hypervisor.resume(uuid);
      assert.deepEqual(await hypervisor.state(uuid), { is: 'running' });
    });

    it('plugs disks in, and changes the CD', async () => {
      const { uuid } = machine;
      const disk = { uuid: data, file: file('data'), deviceId: 1 };
      await hypervisor.attach(uuid, disk);
      await hypervisor.attach(uuid, disk);
      assert.equal(await hypervisor.layerOf(uuid, data), file('data'));
      await hypervisor.changeCd(uuid, file('base'));
      await hypervisor.changeCd(uuid, undefined);
      await hypervisor.changeCd(uuid, undefined);
      await assert.rejects(hypervisor.attach(uuid, { ...disk, uuid: newUuid(), file: file('missing') }), {
        message: /missing\.qcow2/,
      });
    });

    it('shows the screen and what the firmware says', async () => {
      const png = await hypervisor.screen(machine.uuid, 'png');
      assert.deepEqual(png.subarray(1, 4).toString(), 'PNG');
      assert.match((await hypervisor.screen(machine.uuid, 'ppm')).toString('latin1', 0, 2), /P6/);
      let firmware = '';
      await eventually('the firmware to give up', async () => {
        firmware += await hypervisor.firmwareText(machine.uuid);
        return /No bootable device/.test(firmware);
      });
      assert.equal(await hypervisor.whileFrozen(machine.uuid, async () => {}), false);
    });

    it('says of a machine that is cut off that it does not know, and ends it all the same', async () => {
      await hypervisor.close();
      subject.cutOff(machine.uuid);
      hypervisor = subject.open();
      const { is, why } = await hypervisor.state(machine.uuid);
      assert.equal(is, 'unknown');
      assert.match(why ?? '', /does not answer/);
      assert.deepEqual(await hypervisor.list(), [machine.uuid]);
      await hypervisor.stop(machine.uuid);
      assert.deepEqual(await hypervisor.list(), []);
    });

    it('tells of a machine that ended, and whether its guest had a say in it', async () => {
      await hypervisor.start(machine);
      const heard = new Set<string>();
      hypervisor.onChange((uuid) => heard.add(uuid));
      subject.kill(machine.uuid);
      await eventually('the end to be heard of', async () => heard.has(machine.uuid));
      const { is, why } = await hypervisor.state(machine.uuid);
      assert.equal(is, 'stopped');
      assert.match(why ?? '', /without its guest having powered off/);

      await hypervisor.start(machine);
      await hypervisor.stop(machine.uuid);
      assert.deepEqual(await hypervisor.state(machine.uuid), { is: 'stopped' });
      await hypervisor.forget(machine.uuid);
      assert.deepEqual(await hypervisor.kept(), []);
      assert.ok(readFileSync(file('root')).length > 0);
    });
  });
}
