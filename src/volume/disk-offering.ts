import { bytes, choice } from '../kernel/field.ts';
import { CREATE_DATE, DESCRIPTION, LAST_OP_DATE, NAME, UUID } from '../kernel/properties.ts';
import { defineResource, type RowOf } from '../kernel/resource.ts';

export const DISK_SIZE = bytes('Virtual size of the volumes made from it, in bytes.', { min: 512 });

export const DiskOffering = defineResource({
  name: 'DiskOffering',
  zstackClass: 'org.zstack.header.configuration.DiskOfferingInventory',
  visible: 'everyone',
  tags: { system: {} },
  doc: 'A size that volumes come in.',
  source: 'related-chapters.md, Volume',
  fields: {
    uuid: UUID,
    name: NAME,
    description: DESCRIPTION,
    diskSize: DISK_SIZE,
    state: choice('Set by the administrator.', {
      Enabled: 'volumes may be made from it',
      Disabled: 'no volumes may be made from it',
    }),
    type: choice('Reserved.', { zstack: '' }),
    createDate: CREATE_DATE,
    lastOpDate: LAST_OP_DATE,
  },
});

declare module '../database/database.ts' {
  interface Tables {
    diskOffering: RowOf<typeof DiskOffering>;
  }
}
