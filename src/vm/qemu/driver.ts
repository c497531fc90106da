/**
 * Machines as QEMU processes of this host, each with a directory of its own: sockets, log of the serial port, number
 * of the process. They are no children that would die with us, and whoever starts on the same directory finds them.
 */
import type { ChildProcess } from 'node:child_process';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { arch, cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { programPath, requireProgram } from '../../disk/program.ts';
import { hostArchitecture } from '../../image/guest.ts';
import { IngotError } from '../../kernel/errors.ts';
import type { Log } from '../../kernel/log.ts';
import type { HostFacts, HostSize, Hypervisor, Machine, MachineState } from '../hypervisor.ts';
import { chooseAccelerator } from './accelerator.ts';
import { commandLine, FILES, FIRMWARE, MOST_IDE_DISKS } from './command-line.ts';
import * as disks from './disks.ts';
import { whileFrozen } from './guest-agent.ts';
import { kill, startDetached, writtenProcess } from './process.ts';
import { Qmp } from './qmp.ts';
import { BROKEN, FULL } from './run-states.ts';
import { keepBounded, readSerial } from './serial-log.ts';
import { versionOf } from './version.ts';

interface Parts {
  /** Where the machines' directories are. */
  directory: string;
  accelerator: 'auto' | 'kvm' | 'tcg';
  /** Told what this host can do once that is found out. */
  learned?: (facts: HostFacts) => void;
  log: Log;
}

/** How long a QEMU may take until its monitor answers, in milliseconds. */
const START = 60_000;

export function qemuHypervisor(parts: Parts): Hypervisor {
  return new QemuHypervisor(parts);
}

class QemuHypervisor implements Hypervisor {
  readonly #parts: Parts;
  readonly #monitors = new Map<string, Promise<Qmp>>();
  readonly #listeners = new Set<(uuid: string) => void>();
  /** Machines whose guest has said that it powers off, and those that ended without that. */
  readonly #poweredOff = new Set<string>();
  readonly #died = new Set<string>();
  #facts: Promise<HostFacts> | undefined;
  readonly #closing = new AbortController();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async size(): Promise<HostSize> {
    const architecture = hostArchitecture();
    const there = await programPath(programFor(architecture));
    return {
      architecture,
      cpuNum: cpus().length,
      memorySize: totalmem(),
      ...(there === undefined && { missing: `${programFor(architecture)} is not installed` }),
    };
  }

  facts(): Promise<HostFacts> {
    if (!this.#facts) {
      this.#facts = this.#findFacts();
      // What is missing may be installed while we run.
      this.#facts.catch(() => {
        this.#facts = undefined;
      });
    }
    return this.#facts;
  }

  async #findFacts(): Promise<HostFacts> {
    const size = await this.size();
    const name = programFor(size.architecture);
    const program = await requireProgram(name);
    const [chosen, version] = await Promise.all([
      chooseAccelerator(program, this.#parts.accelerator, this.#closing.signal),
      versionOf(name),
    ]);
    this.#parts.log.info(chosen, 'virtual machines run by this accelerator');
    const facts = { ...size, ...chosen, version };
    this.#parts.learned?.(facts);
    return facts;
  }

  async start(machine: Machine, signal?: AbortSignal): Promise<void> {
    const { uuid } = machine;
    requireRunnable(machine);
    const program = await requireProgram(programFor(machine.architecture));
    const { accelerator } = await this.facts();
    if ((await this.state(uuid)).is === 'running') return;
    await this.stop(uuid);
    signal?.throwIfAborted();
    const directory = this.#directory(uuid);
    await mkdir(directory, { recursive: true, mode: 0o750 });
    await this.#removeSockets(uuid);
    this.#poweredOff.delete(uuid);
    this.#died.delete(uuid);
    const child = startDetached(program, commandLine(machine, accelerator), directory);
    try {
      await this.#untilAnswering(uuid, child, signal);
    } catch (error) {
      await this.stop(uuid);
      throw error;
    }
  }

  async #untilAnswering(uuid: string, child: ChildProcess, signal?: AbortSignal): Promise<void> {
    let ended: string | undefined;
    child.once('error', (error) => {
      ended = error.message;
    });
    child.once('exit', (code, by) => {
      ended = by ? `it was killed by ${by}` : `it ended with code ${code}`;
      this.#changed(uuid);
    });
    for (const deadline = performance.now() + START; ; ) {
      signal?.throwIfAborted();
      try {
        await this.#monitor(uuid);
        return;
      } catch (error) {
        if (ended !== undefined) {
          const words = (
            await readFile(join(this.#directory(uuid), FILES.words), 'utf8').catch(() => '')
          ).trim();
          throw new IngotError('SYS.1006', `QEMU could not start the virtual machine: ${words || ended}`, {
            retryable: /lock|Cannot allocate|address already in use/i.test(words),
          });
        }
        if (performance.now() > deadline) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async powerDown(uuid: string, patience: number, signal?: AbortSignal): Promise<boolean> {
    const deadline = performance.now() + patience;
    let asked = 0;
    while ((await this.#pid(uuid)) !== undefined) {
      signal?.throwIfAborted();
      if (performance.now() >= deadline) return false;
      // A guest that is still booting hears it only later: it is told again.
      if (performance.now() - asked > 3000) {
        asked = performance.now();
        const answer = await this.#monitor(uuid)
          .then((qmp) => qmp.run('system_powerdown'))
          .catch((error: unknown) => error);
        if (answer instanceof IngotError && answer.code === 'SYS.1001') return false;
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    this.#letGo(uuid);
    return true;
  }

  async stop(uuid: string): Promise<void> {
    await kill(this.#directory(uuid), uuid);
    this.#letGo(uuid);
    this.#poweredOff.add(uuid);
    this.#died.delete(uuid);
  }

  async state(uuid: string): Promise<MachineState> {
    const pid = await this.#pid(uuid);
    if (pid === undefined) {
      this.#letGo(uuid);
      return this.#died.has(uuid)
        ? { is: 'stopped', why: 'its QEMU ended without its guest having powered off' }
        : { is: 'stopped' };
    }
    try {
      const { status } = await (await this.#monitor(uuid)).run<{ status: string }>('query-status');
      if (status === 'paused') return { is: 'paused' };
      const why = BROKEN[status];
      if (why !== undefined) return { is: 'unknown', why, ...(status === FULL && { canResume: true }) };
      return { is: 'running' };
    } catch (error) {
      if ((await this.#pid(uuid)) === undefined) return this.state(uuid);
      const why = error instanceof IngotError ? error.details : (error as Error).message;
      return { is: 'unknown', why: `its QEMU (process ${pid}) does not answer: ${why}` };
    }
  }

  async kept(): Promise<string[]> {
    const names = await readdir(this.#parts.directory).catch(() => []);
    return names.filter((name) => /^[0-9a-f]{32}$/.test(name));
  }

  async list(): Promise<string[]> {
    const names = await this.kept();
    const there = await Promise.all(names.map((uuid) => this.#pid(uuid)));
    return names.filter((_, i) => there[i] !== undefined);
  }

  async resume(uuid: string): Promise<void> {
    await (await this.#monitor(uuid)).run('cont');
  }

  async forget(uuid: string): Promise<void> {
    await this.stop(uuid);
    await rm(this.#directory(uuid), { recursive: true, force: true });
  }

  async attach(uuid: string, disk: Parameters<Hypervisor['attach']>[1]): Promise<void> {
    await disks.attach(await this.#monitor(uuid), disk);
  }

  async detach(uuid: string, diskUuid: string, signal?: AbortSignal): Promise<void> {
    await disks.detach(await this.#monitor(uuid), diskUuid, signal);
  }

  async changeCd(uuid: string, file: string | undefined): Promise<void> {
    await disks.changeCd(await this.#monitor(uuid), file);
  }

  async layerOf(uuid: string, diskUuid: string): Promise<string | undefined> {
    if ((await this.#pid(uuid)) === undefined) return undefined;
    return disks.layerOf(await this.#monitor(uuid), diskUuid);
  }

  async switchLayer(uuid: string, diskUuid: string, to: string): Promise<void> {
    await disks.switchLayer(await this.#monitor(uuid), diskUuid, to);
  }

  async foldLayer(
    uuid: string,
    diskUuid: string,
    into: string,
    settle: () => Promise<void>,
    signal?: AbortSignal,
  ): Promise<void> {
    await disks.foldLayer(await this.#monitor(uuid), diskUuid, into, settle, signal);
  }

  whileFrozen(uuid: string, work: () => Promise<void>): Promise<boolean> {
    return whileFrozen(join(this.#directory(uuid), FILES.agent), work);
  }

  consoleText(uuid: string, from: number, most: number) {
    return readSerial(this.#directory(uuid), from, most);
  }

  async screen(uuid: string, format: 'png' | 'ppm'): Promise<Buffer> {
    const qmp = await this.#monitor(uuid);
    await qmp.run('screendump', { filename: FILES.screen, format });
    return readFile(join(this.#directory(uuid), FILES.screen));
  }

  async firmwareText(uuid: string): Promise<string> {
    return (await this.#monitor(uuid)).run<string>('ringbuf-read', { device: FIRMWARE, size: 65_536 });
  }

  onChange(listener: (uuid: string) => void): void {
    this.#listeners.add(listener);
  }

  async tidy(): Promise<void> {
    const names = await this.kept();
    await Promise.all(names.map((uuid) => keepBounded(this.#directory(uuid))));
  }

  async close(): Promise<void> {
    this.#closing.abort();
    const monitors = [...this.#monitors.values()];
    this.#monitors.clear();
    for (const monitor of monitors) (await monitor.catch(() => undefined))?.close();
  }

  #directory(uuid: string): string {
    return join(this.#parts.directory, uuid);
  }

  #pid(uuid: string): Promise<number | undefined> {
    return writtenProcess(this.#directory(uuid), uuid);
  }

  /** The connection to the machine's monitor, opened when it is first needed. */
  #monitor(uuid: string): Promise<Qmp> {
    let monitor = this.#monitors.get(uuid);
    if (!monitor) {
      monitor = this.#open(uuid);
      this.#monitors.set(uuid, monitor);
      monitor.catch(() => this.#monitors.delete(uuid));
    }
    return monitor;
  }

  async #open(uuid: string): Promise<Qmp> {
    const qmp = await Qmp.open(join(this.#directory(uuid), FILES.monitor));
    qmp.on(({ event, data }) => {
      if (event === 'SHUTDOWN' && data.guest === true) this.#poweredOff.add(uuid);
      if (['STOP', 'RESUME', 'SHUTDOWN', 'GUEST_PANICKED', 'BLOCK_IO_ERROR'].includes(event))
        this.#changed(uuid);
    });
    void qmp.closed.then(() => {
      if (!this.#closing.signal.aborted && !this.#poweredOff.has(uuid)) this.#died.add(uuid);
      this.#letGo(uuid);
      this.#changed(uuid);
    });
    return qmp;
  }

  #letGo(uuid: string): void {
    const monitor = this.#monitors.get(uuid);
    this.#monitors.delete(uuid);
    void monitor?.then(
      (qmp) => qmp.close(),
      () => {},
    );
  }

  #changed(uuid: string): void {
    if (this.#closing.signal.aborted) return;
    for (const listener of this.#listeners) listener(uuid);
  }

  async #removeSockets(uuid: string): Promise<void> {
    for (const name of [FILES.monitor, FILES.console, FILES.agent, FILES.pid]) {
      await rm(join(this.#directory(uuid), name), { force: true });
    }
  }
}

function programFor(architecture: string): string {
  return `qemu-system-${architecture}`;
}

function requireRunnable({ architecture, paravirtual, disks: all }: Machine): void {
  if (architecture !== 'x86_64' || arch() !== 'x64') {
    throw new IngotError(
      'SYS.1013',
      `a virtual machine of the architecture ${architecture} can't be run on this host, whose is ${hostArchitecture()}; x86_64 is what runs on x86_64`,
    );
  }
  if (!paravirtual && all.length > MOST_IDE_DISKS) {
    throw new IngotError(
      'SYS.1006',
      `a virtual machine with IDE disks has at most ${MOST_IDE_DISKS} of them besides its CD drive, and this one would have ${all.length}`,
    );
  }
}
