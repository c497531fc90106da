import { boolean, choice, text } from '../kernel/field.ts';
import { CREATE_DATE, DESCRIPTION, LAST_OP_DATE, NAME, UUID } from '../kernel/properties.ts';
import { defineResource, type RowOf } from '../kernel/resource.ts';

export const Zone = defineResource({
  name: 'Zone',
  doc: 'A part of a data center; storages serve the zones they are attached to.',
  source: 'zstack-api.md 4.11',
  visible: 'everyone',
  tags: { system: {} },
  fields: {
    uuid: UUID,
    name: NAME,
    description: DESCRIPTION,
    state: choice('Whether it may be used.', { Enabled: 'in use', Disabled: 'taken out of use' }),
    type: text('Reserved.'),
    isDefault: boolean('The zone that is meant where none is named.', { since: 'ingot' }),
    createDate: CREATE_DATE,
    lastOpDate: LAST_OP_DATE,
  },
  aliases: { backupStorage: ['backupStorageRef', 'backupStorage'] },
});

declare module '../database/database.ts' {
  interface Tables {
    zone: RowOf<typeof Zone>;
  }
}
