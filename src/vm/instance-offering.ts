import { bytes, choice, integer, text } from '../kernel/field.ts';
import { CREATE_DATE, DESCRIPTION, LAST_OP_DATE, NAME, UUID } from '../kernel/properties.ts';
import { defineResource, type RowOf } from '../kernel/resource.ts';

export const CPU_NUM = integer('How many processors its guest sees.', { min: 1, max: 255 });
export const MEMORY_SIZE = bytes('Memory that its guest has, in bytes; at least 16 MiB.', {
  min: 16 * 2 ** 20,
});

export const InstanceOffering = defineResource({
  name: 'InstanceOffering',
  zstackClass: 'org.zstack.header.configuration.InstanceOfferingInventory',
  visible: 'everyone',
  tags: { system: {} },
  doc: 'A size that virtual machines come in.',
  source: 'related-chapters.md, Virtual machine',
  fields: {
    uuid: UUID,
    name: NAME,
    description: DESCRIPTION,
    cpuNum: CPU_NUM,
    cpuSpeed: integer('Reserved.'),
    memorySize: MEMORY_SIZE,
    allocatorStrategy: text('Reserved.'),
    sortKey: integer('Reserved.'),
    state: choice('Set by the administrator.', {
      Enabled: 'virtual machines may be made from it',
      Disabled: 'no virtual machines may be made from it',
    }),
    type: choice('Which virtual machines it is for.', { UserVm: '' }),
    createDate: CREATE_DATE,
    lastOpDate: LAST_OP_DATE,
  },
});

declare module '../database/database.ts' {
  interface Tables {
    instanceOffering: RowOf<typeof InstanceOffering>;
  }
}
