import { ARCHITECTURE, GUEST_OS_TYPE, Image, PLATFORM } from '../image/image.ts';
import { choice, integer, text, uuid } from '../kernel/field.ts';
import { CREATE_DATE, DESCRIPTION, LAST_OP_DATE, NAME, UUID } from '../kernel/properties.ts';
import { defineResource, type RowOf, relate } from '../kernel/resource.ts';
import { Volume } from '../volume/volume.ts';
import { Zone } from '../zone/zone.ts';
import { Host } from './host.ts';
import { CPU_NUM, InstanceOffering, MEMORY_SIZE } from './instance-offering.ts';

const zstackClass = (name: string) => `org.zstack.header.vm.${name}Inventory`;

export const VM_TYPE = choice('What it is for.', {
  UserVm: 'a user runs it; from images that are no system images',
  ApplianceVm: 'it serves others; from system images alone',
});

export const VmInstance = defineResource({
  name: 'VmInstance',
  zstackClass: zstackClass('VmInstance'),
  tags: { system: {} },
  doc: 'A virtual machine.',
  source: 'related-chapters.md, Virtual machine; zstack-api.md 4.9',
  fields: {
    uuid: UUID,
    name: NAME,
    description: DESCRIPTION,
    zoneUuid: uuid('The zone it is in.', { references: 'Zone' }),
    imageUuid: uuid('The image it was made from; perhaps deleted meanwhile.', { references: 'Image' }),
    hostUuid: uuid('The host that it runs on; absent while it does not run.', {
      optional: true,
      references: 'Host',
    }),
    lastHostUuid: uuid('The host that it ran on last.', { optional: true, references: 'Host' }),
    instanceOfferingUuid: uuid('The offering it was made from.', {
      optional: true,
      references: 'InstanceOffering',
    }),
    rootVolumeUuid: uuid('The volume that it starts from.', { references: 'Volume' }),
    platform: { ...PLATFORM },
    architecture: { ...ARCHITECTURE },
    guestOsType: GUEST_OS_TYPE,
    type: VM_TYPE,
    hypervisorType: choice('What runs it.', { KVM: '' }),
    allocatorStrategy: text('Reserved.'),
    cpuNum: CPU_NUM,
    cpuSpeed: integer('Reserved.'),
    memorySize: MEMORY_SIZE,
    state: choice('Where it is in its life.', {
      Created: 'never started',
      Starting: 'being started',
      Running: 'its guest runs',
      Stopping: 'being stopped',
      Stopped: 'its guest does not run',
      Rebooting: 'being stopped and started again',
      Destroying: 'being deleted with its root volume',
      Destroyed: 'deleted',
      Migrating: 'on its way to another host',
      Unknown: 'the host does not say; see stateReason',
    }),
    stateReason: text('Why, where it is not in the state that it was last put into.', {
      since: 'ingot',
      optional: true,
      max: 4096,
    }),
    createDate: CREATE_DATE,
    lastOpDate: LAST_OP_DATE,
  },
  references: {
    zone: {
      to: Zone,
      by: 'zoneUuid',
      doc: 'The zone it is in.',
      inverse: { name: 'vmInstance', doc: 'The virtual machines in it.' },
    },
    image: {
      to: Image,
      by: 'imageUuid',
      doc: 'The image it was made from.',
      inverse: { name: 'vmInstance', doc: 'The virtual machines made from it.' },
    },
    host: {
      to: Host,
      by: 'hostUuid',
      doc: 'The host that it runs on.',
      inverse: { name: 'vmInstance', doc: 'The virtual machines that run on it.' },
    },
    instanceOffering: {
      to: InstanceOffering,
      by: 'instanceOfferingUuid',
      doc: 'The offering it was made from.',
      inverse: { name: 'vmInstance', doc: 'The virtual machines made from it.' },
    },
    rootVolume: { to: Volume, by: 'rootVolumeUuid', doc: 'The volume that it starts from.' },
  },
});

relate(Volume, 'vmInstance', {
  to: VmInstance,
  by: 'vmInstanceUuid',
  doc: 'The virtual machine that has it.',
  inverse: { name: 'volume', doc: 'Its volumes.', listed: 'allVolumes' },
});

export const VmNic = defineResource({
  name: 'VmNic',
  zstackClass: zstackClass('VmNic'),
  visible: 'references',
  doc: 'A network interface of a virtual machine.',
  source: 'zstack-api.md 4.9',
  fields: {
    uuid: UUID,
    vmInstanceUuid: uuid('The virtual machine.', { references: 'VmInstance' }),
    deviceId: integer('Its place, from 0 on.'),
    mac: text('Its address.', { max: 17 }),
    driverType: choice('What the guest sees.', { virtio: '', e1000: '' }),
    type: choice('What it is connected to.', {
      user: 'a network of its own, where nobody reaches it; vm/guest.network says what it reaches from there',
      bridge: 'a bridge of the host',
    }),
    bridge: text('The bridge.', { optional: true, max: 15, since: 'ingot' }),
    hypervisorType: choice('What runs it.', { KVM: '' }),
    state: choice('Reserved.', { enable: '' }),
    createDate: CREATE_DATE,
    lastOpDate: LAST_OP_DATE,
  },
  references: {
    vmInstance: {
      to: VmInstance,
      by: 'vmInstanceUuid',
      doc: 'The virtual machine.',
      inverse: { name: 'vmNic', doc: 'Its network interfaces.', listed: 'vmNics' },
    },
  },
});

export const VmCdRom = defineResource({
  name: 'VmCdRom',
  zstackClass: zstackClass('VmCdRom'),
  visible: 'references',
  doc: 'The CD drive of a virtual machine, with what is in it.',
  source: 'zstack-api.md 4.9',
  fields: {
    uuid: UUID,
    vmInstanceUuid: uuid('The virtual machine.', { references: 'VmInstance' }),
    deviceId: integer('Its place, from 0 on.'),
    name: NAME,
    description: DESCRIPTION,
    isoUuid: uuid('The image in it; perhaps deleted meanwhile.', { optional: true, references: 'Image' }),
    isoInstallPath: text("The image's file on the primary storage.", { optional: true, max: 4096 }),
    createDate: CREATE_DATE,
    lastOpDate: LAST_OP_DATE,
  },
  columns: {
    /** Whose cache the file is in; keeps that entry. */
    primaryStorageUuid: uuid('', { optional: true }),
  },
  references: {
    vmInstance: {
      to: VmInstance,
      by: 'vmInstanceUuid',
      doc: 'The virtual machine.',
      inverse: { name: 'vmCdRom', doc: 'Its CD drive.', listed: 'vmCdRoms' },
    },
  },
});

export type VmInstanceRow = RowOf<typeof VmInstance>;

declare module '../database/database.ts' {
  interface Tables {
    vmInstance: VmInstanceRow;
    vmNic: RowOf<typeof VmNic>;
    vmCdRom: RowOf<typeof VmCdRom>;
  }
}
