import { ARCHITECTURE, GUEST_OS_TYPE, Image, PLATFORM } from '../image/image.ts';
import { boolean, bytes, choice, defaulted, integer, list, optional, text, uuid } from '../kernel/field.ts';
import {
  answerOf,
  CREATION_PARAMETERS,
  DELETION_PARAMETERS,
  defineMessage,
  defineQuery,
  inventoryOf,
  nothing,
} from '../kernel/message.ts';
import { DESCRIPTION, NAME } from '../kernel/properties.ts';
import { Volume } from '../volume/volume.ts';
import { CPU_NUM, MEMORY_SIZE } from './instance-offering.ts';
import { VM_TYPE, VmCdRom, VmInstance, VmNic } from './vm-instance.ts';

/** What they come in, and what they run on. */
export * from './offering-messages.ts';

const zstackPackage = 'org.zstack.header.vm';
const about = { resource: VmInstance, zstackPackage, caller: 'account' } as const;
const VM = uuid('The virtual machine.', { references: 'VmInstance' });
const ACTIONS = 'PUT /vm-instances/{uuid}/actions';
const HERE = uuid('Without effect: there is one host.', { optional: true });
const SIZES = (what: string) => bytes(`Virtual size ${what}, in bytes.`, { min: 512, optional: true });

export const CreateVmInstance = defineMessage({
  ...about,
  name: 'CreateVmInstance',
  doc: 'Makes a virtual machine from a RootVolumeTemplate, or from an ISO with a blank root volume; starts it unless told otherwise.',
  source: 'related-chapters.md, Virtual machine; zstack-api.md 3.5, 5.7',
  kind: 'job',
  route: 'POST /vm-instances',
  parameters: {
    name: NAME,
    description: DESCRIPTION,
    imageUuid: uuid('A RootVolumeTemplate or an ISO.', { references: 'Image', access: 'use' }),
    instanceOfferingUuid: uuid('The size that it comes in.', {
      optional: true,
      references: 'InstanceOffering',
    }),
    cpuNum: optional(CPU_NUM, 'How many processors it has, where no offering is named.'),
    memorySize: optional(MEMORY_SIZE, 'Memory in bytes, where no offering is named.'),
    rootDiskOfferingUuid: uuid('For an ISO: the size of the root volume.', {
      optional: true,
      references: 'DiskOffering',
    }),
    rootDiskSize: SIZES("of the root volume; for an ISO needed, for a template at least the image's"),
    dataDiskOfferingUuids: list('A data volume is made for each.', uuid('', { references: 'DiskOffering' }), {
      optional: true,
      min: 0,
      max: 24,
    }),
    dataDiskSizes: list('A data volume of each size, in bytes, is made.', bytes('', { min: 512 }), {
      optional: true,
      min: 0,
      max: 24,
    }),
    primaryStorageUuidForRootVolume: uuid('Where its volumes are made; one that can is chosen by default.', {
      optional: true,
      references: 'PrimaryStorage',
    }),
    type: defaulted(VM_TYPE, 'UserVm'),
    strategy: choice(
      'Whether it is started.',
      { InstantStart: 'at once', JustCreate: 'later', CreateStopped: 'later' },
      { default: 'InstantStart' },
    ),
    platform: optional(PLATFORM, 'What runs in it; by default as the image says.'),
    guestOsType: optional(GUEST_OS_TYPE, 'The operating system; by default as the image says.'),
    architecture: optional(ARCHITECTURE, 'Its processor; by default as the image says.'),
    bridge: text(
      'A bridge of the host to connect it to; administrators only. By default a network of its own.',
      {
        optional: true,
        max: 15,
        since: 'ingot',
        rule: {
          says: 'the name of a bridge: letters, digits, dots, hyphens, underscores',
          test: (name) => /^[\w.-]+$/.test(name),
        },
      },
    ),
    l3NetworkUuids: list('Without effect: there are no networks to name.', uuid(''), {
      optional: true,
      min: 0,
    }),
    zoneUuid: uuid('The zone it shall be in; one that can take it is chosen by default.', {
      optional: true,
      references: 'Zone',
    }),
    clusterUuid: HERE,
    hostUuid: uuid('The host that it shall run on.', { optional: true, references: 'Host' }),
    ...CREATION_PARAMETERS,
  },
  answer: inventoryOf(VmInstance),
});

export const QueryVmInstance = defineQuery(VmInstance, {
  route: 'GET /vm-instances',
  source: 'zstack-api.md 3.5',
  zstackPackage,
});

export const QueryVmNic = defineQuery(VmNic, {
  route: 'GET /vm-instances/nics',
  source: 'zstack-api.md 4.9',
  zstackPackage,
});

export const QueryVmCdRom = defineQuery(VmCdRom, {
  route: 'GET /vm-instances/cdroms',
  source: 'zstack-api.md 4.9',
  zstackPackage,
});

export const UpdateVmInstance = defineMessage({
  ...about,
  name: 'UpdateVmInstance',
  doc: 'Changes what a virtual machine says of itself, and, while it does not run, its size and devices; what is not given stays as it is.',
  source: 'zstack-api.md 3.5',
  kind: 'change',
  route: ACTIONS,
  parameters: {
    uuid: VM,
    name: optional(NAME),
    description: DESCRIPTION,
    platform: optional(PLATFORM),
    guestOsType: GUEST_OS_TYPE,
    cpuNum: optional(CPU_NUM),
    memorySize: optional(MEMORY_SIZE),
  },
  answer: inventoryOf(VmInstance),
});

export const StartVmInstance = defineMessage({
  ...about,
  name: 'StartVmInstance',
  doc: 'Starts a virtual machine that does not run.',
  source: 'zstack-api.md 3.5',
  kind: 'job',
  route: ACTIONS,
  parameters: { uuid: VM, clusterUuid: HERE, hostUuid: HERE },
  answer: inventoryOf(VmInstance),
});

export const StopVmInstance = defineMessage({
  ...about,
  name: 'StopVmInstance',
  doc: "Stops a virtual machine: asks its guest to power off, and ends it where that doesn't in time.",
  source: 'zstack-api.md 3.5',
  kind: 'job',
  route: ACTIONS,
  parameters: {
    uuid: VM,
    type: choice(
      'How.',
      {
        grace: 'the guest is asked by ACPI first; after vm/stop.patience seconds it is ended',
        cold: 'it is ended at once, as if its plug was pulled',
      },
      { default: 'grace' },
    ),
  },
  answer: inventoryOf(VmInstance),
});

export const RebootVmInstance = defineMessage({
  ...about,
  name: 'RebootVmInstance',
  doc: 'Stops a virtual machine as StopVmInstance does, and starts it again.',
  source: 'zstack-api.md 3.5',
  kind: 'job',
  route: ACTIONS,
  parameters: { uuid: VM },
  answer: inventoryOf(VmInstance),
});

export const DestroyVmInstance = defineMessage({
  ...about,
  name: 'DestroyVmInstance',
  doc: 'Deletes a virtual machine with its root volume; its data volumes are detached and stay. A start under way is cancelled.',
  source: 'zstack-api.md 3.5',
  kind: 'job',
  route: 'DELETE /vm-instances/{uuid}',
  parameters: { uuid: VM, ...DELETION_PARAMETERS },
  answer: nothing,
  successIfMissing: true,
});

export const AttachDataVolumeToVm = defineMessage({
  ...about,
  resource: Volume,
  zstackPackage: 'org.zstack.header.volume',
  name: 'AttachDataVolumeToVm',
  doc: 'Gives a virtual machine a data volume, also while it runs where its disks are virtio; a volume that is a promise comes to be.',
  source: 'zstack-api.md 3.3',
  kind: 'job',
  route: 'POST /volumes/{volumeUuid}/vm-instances/{vmInstanceUuid}',
  parameters: {
    volumeUuid: uuid('The data volume.', { references: 'Volume', access: 'change' }),
    vmInstanceUuid: uuid('The virtual machine.', { references: 'VmInstance', access: 'change' }),
  },
  answer: inventoryOf(Volume),
});

export const DetachDataVolumeFromVm = defineMessage({
  ...about,
  resource: Volume,
  zstackPackage: 'org.zstack.header.volume',
  name: 'DetachDataVolumeFromVm',
  doc: 'Takes a data volume from its virtual machine, also while that runs where its disks are virtio.',
  source: 'zstack-api.md 3.3',
  kind: 'job',
  route: 'DELETE /volumes/{uuid}/vm-instances',
  parameters: {
    uuid: uuid('The data volume.', { references: 'Volume' }),
    vmUuid: uuid('The virtual machine; the one that has it by default.', {
      optional: true,
      references: 'VmInstance',
    }),
  },
  answer: inventoryOf(Volume),
});

export const AttachIsoToVmInstance = defineMessage({
  ...about,
  name: 'AttachIsoToVmInstance',
  doc: 'Puts an ISO into the CD drive of a virtual machine, also while it runs.',
  source: 'zstack-api.md 3.5',
  kind: 'job',
  route: 'POST /vm-instances/{vmInstanceUuid}/iso/{isoUuid}',
  parameters: {
    vmInstanceUuid: uuid('The virtual machine.', { references: 'VmInstance', access: 'change' }),
    isoUuid: uuid('The ISO.', { references: 'Image', access: 'use' }),
  },
  answer: inventoryOf(VmInstance),
});

export const DetachIsoFromVmInstance = defineMessage({
  ...about,
  name: 'DetachIsoFromVmInstance',
  doc: 'Takes the ISO out of the CD drive of a virtual machine.',
  source: 'zstack-api.md 3.5',
  kind: 'job',
  route: 'DELETE /vm-instances/{vmInstanceUuid}/iso',
  parameters: {
    vmInstanceUuid: uuid('The virtual machine.', { references: 'VmInstance', access: 'change' }),
    isoUuid: uuid('The ISO; the one that is in it by default.', { optional: true }),
  },
  answer: inventoryOf(VmInstance),
});

export const GetVmConsoleLog = defineMessage({
  ...about,
  name: 'GetVmConsoleLog',
  doc: 'What the guest of a virtual machine has said on its first serial port.',
  source: 'beyond the manual',
  kind: 'sync',
  route: 'GET /vm-instances/{uuid}/console-log',
  parameters: {
    uuid: VM,
    from: integer('Where to begin, in bytes since its first start: `next` of the last answer.', {
      optional: true,
    }),
    bytes: bytes('How much at most; without `from`, the last so many bytes.', {
      default: 65_536,
      min: 1,
    }),
  },
  answer: answerOf({
    text: text('What it said.', { min: 0, max: 1_048_576 }),
    from: integer('Where this begins.'),
    next: integer('Where what follows begins.'),
    state: text('The state that the virtual machine is in.'),
  }),
});

export const VerifyImageBoots = defineMessage({
  ...about,
  resource: Image,
  name: 'VerifyImageBoots',
  doc: 'Starts a throw-away virtual machine from an image and waits until its guest is up; the image then has the tag boot::verified::DATE.',
  source: 'beyond the manual',
  kind: 'job',
  route: 'PUT /images/{uuid}/actions',
  parameters: {
    uuid: uuid('The image.', { references: 'Image' }),
    pattern: text(
      'Words that the serial port must come to say, within a line; `*` stands for anything. By default a log-in prompt, or a screen that changed and came to rest.',
      {
        optional: true,
        max: 1024,
        rule: {
          says: 'words within a line, and not only `*`',
          test: (words) => /[^*\s]/.test(words) && !/[\r\n]/.test(words),
        },
      },
    ),
    seconds: integer('How long it may take.', { default: 300, min: 1, max: 3600, unit: 'seconds' }),
    memorySize: optional(MEMORY_SIZE, 'Memory of the virtual machine in bytes; 512 MiB by default.'),
    cpuNum: optional(CPU_NUM, 'How many processors it has; 1 by default.'),
  },
  answer: answerOf({
    boots: boolean('Whether the guest came up.'),
    evidence: text('How that was seen, or what was seen instead.', { max: 4096 }),
    seconds: integer('How long it took.', { unit: 'seconds' }),
    console: text('The end of what the guest said on its serial port.', { min: 0, max: 65_536 }),
    screen: text("The file of the service's machine with the screen at the end, as PNG.", {
      optional: true,
      max: 4096,
    }),
  }),
});
