import { boolean, uuid } from '../kernel/field.ts';
import {
  CREATION_PARAMETERS,
  DELETION_PARAMETERS,
  defineMessage,
  defineQuery,
  inventoryOf,
  nothing,
} from '../kernel/message.ts';
import { DESCRIPTION, NAME } from '../kernel/properties.ts';
import { Zone } from './zone.ts';

const about = { resource: Zone, source: 'zstack-api.md 3.9' };

export const CreateZone = defineMessage({
  ...about,
  name: 'CreateZone',
  doc: 'Makes a zone. Storages are attached to it, or added in it.',
  caller: 'admin',
  kind: 'change',
  route: 'POST /zones',
  parameters: {
    name: NAME,
    description: DESCRIPTION,
    isDefault: boolean('It is meant where none is named, instead of the one that was.', { default: false }),
    ...CREATION_PARAMETERS,
  },
  answer: inventoryOf(Zone),
});

export const QueryZone = defineQuery(Zone, { route: 'GET /zones', source: about.source });

export const DeleteZone = defineMessage({
  ...about,
  name: 'DeleteZone',
  doc: 'Deletes a zone with the primary storages in it and all that is on them; backup storages are detached from it.',
  caller: 'admin',
  kind: 'job',
  route: 'DELETE /zones/{uuid}',
  parameters: { uuid: uuid('The zone.', { references: 'Zone' }), ...DELETION_PARAMETERS },
  answer: nothing,
  successIfMissing: true,
});
