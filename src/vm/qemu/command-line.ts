/**
 * What QEMU is told on its command line. No shell reads it. Every disk is named with its format, so that bytes a
 * guest wrote can't pass for another one; the formats of the layers below stand in the layers above, which we wrote.
 * Sockets and logs are named relative to the machine's own directory, where QEMU is started.
 */
import type { Disk, Machine } from '../hypervisor.ts';

export const FILES = {
  monitor: 'qmp.sock',
  console: 'console.sock',
  agent: 'agent.sock',
  serial: 'serial.log',
  pid: 'qemu.pid',
  /** What QEMU itself says. */
  words: 'qemu.log',
  screen: 'screen',
} as const;

/** An IDE controller has four places, and the CD drive takes one. */
const IDE_DISKS = [
  { bus: 'ide.0', unit: 0 },
  { bus: 'ide.0', unit: 1 },
  { bus: 'ide.1', unit: 1 },
] as const;
export const MOST_IDE_DISKS = IDE_DISKS.length;

/** What the firmware says, the last of it, is kept under this name. */
export const FIRMWARE = 'firmware';

/** What the CD drive is called. */
export const CD = 'cd0';

export function commandLine(machine: Machine, accelerator: 'kvm' | 'tcg'): string[] {
  const json = (value: unknown) => JSON.stringify(value);
  const line = [
    ...['-name', `guest=${machine.uuid},process=ingot-vm`],
    ...['-uuid', asUuid(machine.uuid)],
    ...['-machine', 'pc,usb=off'],
    ...['-accel', accelerator],
    ...['-cpu', accelerator === 'kvm' ? 'host' : 'max'],
    ...['-smp', String(machine.cpuNum)],
    ...['-m', `size=${Math.ceil(machine.memorySize / 2 ** 20)}M`],
    ...['-nodefaults', '-no-user-config'],
    ...['-display', 'none', '-vga', 'std'],
    ...['-rtc', 'base=utc'],
    ...['-boot', 'strict=on'],
    ...['-pidfile', FILES.pid],
    ...['-chardev', `socket,id=monitor,path=${FILES.monitor},server=on,wait=off`],
    ...['-mon', 'chardev=monitor,mode=control'],
    ...[
      '-chardev',
      `socket,id=console,path=${FILES.console},server=on,wait=off,logfile=${FILES.serial},logappend=on`,
    ],
    ...['-serial', 'chardev:console'],
    ...['-chardev', `ringbuf,id=${FIRMWARE},size=16384`],
    ...['-device', `isa-debugcon,iobase=0x402,chardev=${FIRMWARE}`],
  ];
  if (machine.paravirtual) {
    line.push(
      ...['-chardev', `socket,id=agent,path=${FILES.agent},server=on,wait=off`],
      ...['-device', 'virtio-serial-pci,id=agents'],
      ...['-device', 'virtserialport,bus=agents.0,chardev=agent,name=org.qemu.guest_agent.0'],
      ...['-device', 'virtio-rng-pci'],
    );
  }
  machine.disks.forEach((disk, place) => {
    for (const block of blockNodes(disk)) line.push('-blockdev', json(block));
    line.push('-device', json(diskDevice(machine.paravirtual, disk, place)));
  });
  if (machine.cd !== undefined) line.push('-blockdev', json(cdNode(machine.cd)));
  line.push(
    '-device',
    json({
      driver: 'ide-cd',
      id: CD,
      bus: 'ide.1',
      unit: 0,
      bootindex: 1,
      ...(machine.cd !== undefined && { drive: CD_NODE }),
    }),
  );
  machine.nics.forEach(({ mac, bridge, outward = false }, i) => {
    // Through QEMU a guest reaches all that the host does, as if from there: its loopback, and the cloud's metadata.
    const own = `user,id=net${i},restrict=${outward ? 'off' : 'on'}`;
    line.push(
      ...['-netdev', bridge === undefined ? own : `bridge,id=net${i},br=${bridge}`],
      ...['-device', `${machine.paravirtual ? 'virtio-net-pci' : 'e1000'},netdev=net${i},mac=${mac}`],
    );
  });
  return line;
}

/** Names of nodes have at most 31 characters. */
const shortOf = (uuid: string) => uuid.slice(0, 24);
export const nodeOf = (diskUuid: string) => `v-${shortOf(diskUuid)}`;
export const deviceOf = (diskUuid: string) => `disk-${shortOf(diskUuid)}`;
const CD_NODE = 'iso';

export function blockNodes(disk: Disk): Record<string, unknown>[] {
  const file = `f-${shortOf(disk.uuid)}`;
  return [
    // Open for writing only as long as the guest writes to it, and no longer once another layer stands on it.
    { driver: 'file', 'node-name': file, filename: disk.file, discard: 'unmap', 'auto-read-only': true },
    { driver: 'qcow2', 'node-name': nodeOf(disk.uuid), file, discard: 'unmap' },
  ];
}

function cdNode(path: string): Record<string, unknown> {
  return {
    driver: 'raw',
    'node-name': CD_NODE,
    'read-only': true,
    file: { driver: 'file', filename: path, 'read-only': true },
  };
}

export function diskDevice(paravirtual: boolean, disk: Disk, place: number): Record<string, unknown> {
  const drive = { id: deviceOf(disk.uuid), drive: nodeOf(disk.uuid) };
  // The guest finds a disk again by this, whatever order it sees them in.
  const serial = disk.uuid.slice(0, 20);
  const boot = disk.deviceId === 0 ? { bootindex: 0 } : {};
  if (paravirtual) return { driver: 'virtio-blk-pci', serial, ...drive, ...boot };
  return { driver: 'ide-hd', serial, ...drive, ...IDE_DISKS[place], ...boot };
}

function asUuid(hex: string): string {
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
