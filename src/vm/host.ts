import { ARCHITECTURE } from '../image/image.ts';
import { bytes, choice, integer, text, uuid } from '../kernel/field.ts';
import { CREATE_DATE, DESCRIPTION, LAST_OP_DATE, NAME, UUID } from '../kernel/properties.ts';
import { defineResource, type RowOf } from '../kernel/resource.ts';
import { Zone } from '../zone/zone.ts';

export const Host = defineResource({
  name: 'Host',
  visible: 'everyone',
  tags: { system: {} },
  doc: "A machine that virtual machines run on. The service's own is there by itself.",
  source: 'zstack-api.md 4.11',
  fields: {
    uuid: UUID,
    name: NAME,
    description: DESCRIPTION,
    zoneUuid: uuid('The zone it is in.', { references: 'Zone' }),
    managementIp: text('What the service reaches it by.', { max: 255 }),
    hypervisorType: choice('What runs the virtual machines.', {
      KVM: 'QEMU, by KVM or by software emulation; see accelerator',
    }),
    state: choice('Set by the administrator.', { Enabled: 'takes virtual machines', Disabled: 'takes none' }),
    status: choice('Whether it can run virtual machines.', {
      Connecting: 'not looked at yet',
      Connected: 'it can',
      Disconnected: 'it can not; acceleratorReason says why',
    }),
    architecture: { ...ARCHITECTURE },
    accelerator: choice(
      'How guests run.',
      { kvm: 'on the processor itself', tcg: 'by software emulation, ten to fifty times slower' },
      { since: 'ingot' },
    ),
    acceleratorReason: text('Why so.', { since: 'ingot', max: 2048 }),
    hypervisorVersion: text("Of the hypervisor's program.", { since: 'ingot', optional: true }),
    totalCpuCapacity: integer('Processors that it has.'),
    availableCpuCapacity: integer(
      'Those less what running virtual machines were promised; 0 where they were promised more.',
    ),
    totalMemoryCapacity: bytes('Memory that it has, in bytes.'),
    availableMemoryCapacity: bytes('That less what running virtual machines have, in bytes.'),
    createDate: CREATE_DATE,
    lastOpDate: LAST_OP_DATE,
  },
  references: {
    zone: {
      to: Zone,
      by: 'zoneUuid',
      doc: 'The zone it is in.',
      inverse: { name: 'host', doc: 'The hosts in it.' },
    },
  },
});

declare module '../database/database.ts' {
  interface Tables {
    host: RowOf<typeof Host>;
  }
}
