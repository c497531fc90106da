/**
 * What every hypervisor owes its callers. Nothing above this file knows how one is spoken to: the rules, the
 * messages and the jobs are the same for a QEMU on this machine and for a libvirt on another.
 *
 * A machine is named by the uuid of its VmInstance, a disk by that of its Volume. What a machine is made of is given
 * anew at each start; between two starts a driver keeps what its guest said on the serial port and nothing else. A
 * machine that was started goes on when this process ends, and is found again by the next one. Whatever is done
 * already is success, so that a job may do it again after a death. Errors are IngotErrors whose `retryable` says
 * whether trying again can help.
 */

export interface Disk {
  uuid: string;
  /** The layer that the guest writes to, as `PrimaryStorageDriver.location` names it. */
  file: string;
  /** The volume's; 0 is the root volume, which is booted from before the CD. */
  deviceId: number;
}

/** What a machine is made of, for one start. */
export interface Machine {
  uuid: string;
  name: string;
  architecture: string;
  cpuNum: number;
  /** Bytes. */
  memorySize: number;
  /** virtio for disks and NICs; IDE and e1000 otherwise (image chapter, Platform). */
  paravirtual: boolean;
  disks: readonly Disk[];
  /** The medium in the CD drive, which each machine has. */
  cd?: string;
  /** Each on the bridge; without one on a network of its own, from where nothing is reached unless it is `outward`. */
  nics: readonly { mac: string; bridge?: string; outward?: boolean }[];
}

/**
 * - `running`: the guest runs; `paused` while it is held for a moment.
 * - `stopped`: there is no such machine, or it has powered off; `why` is there when it did not do so by itself.
 * - `unknown`: there is one, but it doesn't answer, or has stopped by itself; `why` says how, and `canResume` is there
 *   where what it stopped over may pass: `resume` has it try again.
 */
export interface MachineState {
  is: 'running' | 'paused' | 'stopped' | 'unknown';
  why?: string;
  canResume?: true;
}

/** What is known of a host without asking much. */
export interface HostSize {
  /** Of the processor, as images name it. */
  architecture: string;
  cpuNum: number;
  /** Bytes. */
  memorySize: number;
  /** Why it can't run anything, in a sentence. */
  missing?: string;
}

export interface HostFacts extends HostSize {
  /** `kvm`, or `tcg` for software emulation. */
  accelerator: 'kvm' | 'tcg';
  /** Why that one, in a sentence. */
  acceleratorReason: string;
  /** Of the hypervisor's program; absent when it is not installed. */
  version?: string;
}

export interface ConsoleText {
  /** What the guest said from `from` on. */
  text: string;
  /** Where that is, in bytes since the machine was first started; later than asked for where the beginning is gone. */
  from: number;
  /** Where the next piece begins. */
  next: number;
}

export interface Hypervisor {
  size(): Promise<HostSize>;
  /** Finds out, once, what this host can do; that takes seconds. */
  facts(): Promise<HostFacts>;

  /** Starts the machine. Rejects with what is wrong, and nothing is left running then. */
  start(machine: Machine, signal?: AbortSignal): Promise<void>;
  /** Asks the guest to power off; fulfilled with whether it did within `patience` milliseconds. */
  powerDown(uuid: string, patience: number, signal?: AbortSignal): Promise<boolean>;
  /** Ends the machine at once; what its guest has flushed is on its disks. */
  stop(uuid: string): Promise<void>;
  state(uuid: string): Promise<MachineState>;
  /** The machines that run or are paused, whoever has started them. */
  list(): Promise<string[]>;
  /** Those of which something is kept; see `forget`. */
  kept(): Promise<string[]>;
  /** Lets a machine that is paused, or `canResume`, go on. */
  resume(uuid: string): Promise<void>;
  /** Removes what is kept of a machine that is stopped. */
  forget(uuid: string): Promise<void>;

  /** Gives a running machine another disk. Rejects where its kind takes none while it runs. */
  attach(uuid: string, disk: Disk): Promise<void>;
  /** Takes a disk from a running machine, once its guest has let go of it. */
  detach(uuid: string, diskUuid: string, signal?: AbortSignal): Promise<void>;
  /** Changes the medium in a running machine's CD drive. */
  changeCd(uuid: string, file: string | undefined): Promise<void>;

  /** The layer that the guest writes to now; undefined where the machine does not run or has no such disk. */
  layerOf(uuid: string, diskUuid: string): Promise<string | undefined>;
  /** From now on the guest writes to `to`, which is there already, empty, and stands on the layer until now. */
  switchLayer(uuid: string, diskUuid: string, to: string): Promise<void>;
  /**
   * Puts all of the guest's layer into `into`, which it stands on, and has the guest write to that again. It is paused
   * for the moment in which `settle` runs: whoever reads the disk before that reads the upper layer, after it the lower.
   * Where `settle` rejects, for some seconds, the machine stays paused, on the lower layer. Never writes to anything but
   * the layer named.
   */
  foldLayer(
    uuid: string,
    diskUuid: string,
    into: string,
    settle: () => Promise<void>,
    signal?: AbortSignal,
  ): Promise<void>;
  /** Runs `work` while the guest's file systems are frozen, where its agent answers; fulfilled with whether it did. */
  whileFrozen(uuid: string, work: () => Promise<void>): Promise<boolean>;

  /** What the guest has said on its first serial port, at most `most` bytes; undefined where it never ran. */
  consoleText(uuid: string, from: number, most: number): Promise<ConsoleText | undefined>;
  /** What its firmware has said since this was asked last, such as that it finds nothing to start. */
  firmwareText(uuid: string): Promise<string>;
  /** The screen of a running machine: as PNG to be kept, or as PPM to be compared. */
  screen(uuid: string, format: 'png' | 'ppm'): Promise<Buffer>;

  /** `listener` is told of each machine whose state may have changed. */
  onChange(listener: (uuid: string) => void): void;
  /** Keeps what machines have written within bounds; now and then. */
  tidy(): Promise<void>;
  /** Lets go of everything; the machines go on. */
  close(): Promise<void>;
}
