import { choice, integer, text, uuid } from '../kernel/field.ts';
import {
  CREATION_PARAMETERS,
  DELETION_PARAMETERS,
  defineMessage,
  defineQuery,
  inventoryOf,
  nothing,
} from '../kernel/message.ts';
import { DESCRIPTION, NAME } from '../kernel/properties.ts';
import { Host } from './host.ts';
import { CPU_NUM, InstanceOffering, MEMORY_SIZE } from './instance-offering.ts';

const configuration = {
  zstackPackage: 'org.zstack.header.configuration',
  caller: 'admin',
  source: 'related-chapters.md, Virtual machine',
} as const;

export const CreateInstanceOffering = defineMessage({
  ...configuration,
  resource: InstanceOffering,
  name: 'CreateInstanceOffering',
  doc: 'Makes a size that virtual machines come in.',
  kind: 'change',
  route: 'POST /instance-offerings',
  parameters: {
    name: NAME,
    description: DESCRIPTION,
    cpuNum: CPU_NUM,
    memorySize: MEMORY_SIZE,
    allocatorStrategy: text('Reserved.', { optional: true }),
    sortKey: integer('Reserved.', { optional: true }),
    type: text('Reserved.', { optional: true }),
    ...CREATION_PARAMETERS,
  },
  answer: inventoryOf(InstanceOffering),
});

export const QueryInstanceOffering = defineQuery(InstanceOffering, {
  route: 'GET /instance-offerings',
  source: configuration.source,
  zstackPackage: configuration.zstackPackage,
});

export const ChangeInstanceOfferingState = defineMessage({
  ...configuration,
  resource: InstanceOffering,
  name: 'ChangeInstanceOfferingState',
  doc: 'Puts an instance offering into use or takes it out of use.',
  kind: 'change',
  route: 'PUT /instance-offerings/{uuid}/actions',
  parameters: {
    uuid: uuid('The offering.', { references: 'InstanceOffering' }),
    stateEvent: choice('What to do.', { enable: 'state becomes Enabled', disable: 'state becomes Disabled' }),
  },
  answer: inventoryOf(InstanceOffering),
});

export const DeleteInstanceOffering = defineMessage({
  ...configuration,
  resource: InstanceOffering,
  name: 'DeleteInstanceOffering',
  doc: 'Deletes an instance offering; virtual machines made from it stay as they are.',
  kind: 'change',
  route: 'DELETE /instance-offerings/{uuid}',
  parameters: { uuid: uuid('The offering.', { references: 'InstanceOffering' }), ...DELETION_PARAMETERS },
  answer: nothing,
  successIfMissing: true,
});

export const QueryHost = defineQuery(Host, {
  route: 'GET /hosts',
  source: 'zstack-api.md 4.11',
  zstackPackage: 'org.zstack.header.host',
});

export const ChangeHostState = defineMessage({
  resource: Host,
  zstackPackage: 'org.zstack.header.host',
  caller: 'admin',
  source: 'zstack-api.md 4.11',
  name: 'ChangeHostState',
  doc: 'Puts a host into use or takes it out of use; virtual machines that run on it go on.',
  kind: 'change',
  route: 'PUT /hosts/{uuid}/actions',
  parameters: {
    uuid: uuid('The host.', { references: 'Host' }),
    stateEvent: choice('What to do.', { enable: 'state becomes Enabled', disable: 'state becomes Disabled' }),
  },
  answer: inventoryOf(Host),
});
