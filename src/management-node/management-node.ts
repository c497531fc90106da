import { date, text } from '../kernel/field.ts';
import { UUID } from '../kernel/properties.ts';
import { defineResource, type RowOf } from '../kernel/resource.ts';

export const ManagementNode = defineResource({
  name: 'ManagementNode',
  zstackClass: 'org.zstack.header.managementnode.ManagementNodeInventory',
  doc: 'A process of the service that shares this database.',
  source: 'zstack-api.md 4.11',
  visible: 'administrators',
  fields: {
    uuid: UUID,
    hostName: text("Its machine's name.", { max: 255 }),
    joinDate: date('When it started.'),
    heartBeat: date('When it was last heard of.'),
  },
});

declare module '../database/database.ts' {
  interface Tables {
    managementNode: RowOf<typeof ManagementNode>;
  }
}
