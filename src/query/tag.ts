/** Tags: short texts on resources of any type, which queries can ask for as `__userTag__` and `__systemTag__`. */
import { boolean, choice, text, uuid } from '../kernel/field.ts';
import { CREATE_DATE, LAST_OP_DATE, UUID } from '../kernel/properties.ts';
import { defineResource, type Relation, type RowOf } from '../kernel/resource.ts';

export const TAG = text('The tag: at most 2048 characters.', { max: 2048 });

const OF_BOTH = {
  uuid: UUID,
  resourceUuid: uuid('What is tagged.'),
  resourceType: text('Type of what is tagged, such as ImageVO.'),
  tag: TAG,
} as const;

const DATES = { createDate: CREATE_DATE, lastOpDate: LAST_OP_DATE } as const;

/** Who sees a resource sees its tags. */
const VISIBLE = { resource: 'resourceUuid', type: 'resourceType' } as const;

export const UserTag = defineResource({
  name: 'UserTag',
  zstackClass: 'org.zstack.header.tag.UserTagInventory',
  doc: 'A text that a user has put on a resource.',
  source: 'related-chapters.md, Tags; zstack-api.md 4.10',
  visible: VISIBLE,
  fields: { ...OF_BOTH, type: choice('Which of the two kinds.', { User: '' }), ...DATES },
});

export const SystemTag = defineResource({
  name: 'SystemTag',
  zstackClass: 'org.zstack.header.tag.SystemTagInventory',
  doc: 'A text on a resource that the program knows: its patterns are declared with the type of the resource.',
  source: 'related-chapters.md, Tags; zstack-api.md 4.10',
  visible: VISIBLE,
  fields: {
    ...OF_BOTH,
    type: choice('Which of the two kinds.', { System: '' }),
    inherent: boolean('Set by the service itself, and not to be deleted.'),
    ...DATES,
  },
});

/** The system tags as a part of a resource's inventory. */
export const SYSTEM_TAGS: Relation = {
  to: SystemTag,
  local: 'uuid',
  foreign: 'resourceUuid',
  doc: 'Its system tags.',
  inventory: {},
};

/** Fields that stand for whether a resource has such a tag. */
export const TAG_FIELDS: Readonly<Record<string, Relation>> = {
  __userTag__: { to: UserTag, local: 'uuid', foreign: 'resourceUuid', doc: 'Its user tags.' },
  __systemTag__: { ...SYSTEM_TAGS, doc: 'Its system tags.' },
};

declare module '../database/database.ts' {
  interface Tables {
    userTag: RowOf<typeof UserTag>;
    systemTag: RowOf<typeof SystemTag>;
  }
}
