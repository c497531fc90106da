import { choice, list, uuid } from '../kernel/field.ts';
import { defineMessage, defineQuery, inventoriesOf, inventoryOf, nothing } from '../kernel/message.ts';
import { SystemTag, TAG, UserTag } from '../query/tag.ts';

const zstackPackage = 'org.zstack.header.tag';
const source = 'image chapter, Tags; zstack-api.md 3.6';

/** The types of the manual; which of them this service has, it says when it is called. */
const RESOURCE_TYPE = choice('Type of what is tagged.', {
  ImageVO: 'an image',
  BackupStorageVO: 'a backup storage',
  PrimaryStorageVO: 'a primary storage',
  VolumeVO: 'a volume',
  VolumeSnapshotVO: 'a snapshot of a volume',
  VolumeSnapshotTreeVO: "a tree of a volume's snapshots",
  VmInstanceVO: 'a virtual machine',
  InstanceOfferingVO: 'a size of virtual machines',
  DiskOfferingVO: 'a size of volumes',
  HostVO: 'a host',
  ClusterVO: 'a cluster',
  ZoneVO: 'a zone',
});
const RESOURCE_UUID = uuid('What is tagged.');

export const CreateUserTag = defineMessage({
  resource: UserTag,
  zstackPackage,
  name: 'CreateUserTag',
  doc: 'Puts a tag of your own on a resource.',
  source,
  caller: 'account',
  kind: 'change',
  route: 'POST /user-tags',
  parameters: { resourceType: RESOURCE_TYPE, resourceUuid: RESOURCE_UUID, tag: TAG },
  answer: inventoryOf(UserTag),
});

export const CreateSystemTag = defineMessage({
  resource: SystemTag,
  zstackPackage,
  name: 'CreateSystemTag',
  doc: "Puts a tag of one of the type's patterns on a resource; one that it has already is returned.",
  source,
  caller: 'account',
  kind: 'change',
  route: 'POST /system-tags',
  parameters: { resourceType: RESOURCE_TYPE, resourceUuid: RESOURCE_UUID, tag: TAG },
  answer: inventoryOf(SystemTag),
});

export const CreateSystemTags = defineMessage({
  resource: SystemTag,
  zstackPackage,
  name: 'CreateSystemTags',
  doc: 'Puts several system tags on a resource, or none where one of them is wrong.',
  source,
  caller: 'account',
  kind: 'change',
  route: 'POST /system-tags/{resourceUuid}/tags',
  parameters: {
    resourceUuid: RESOURCE_UUID,
    resourceType: RESOURCE_TYPE,
    tags: list('The tags.', TAG, { max: 100 }),
  },
  answer: inventoriesOf(SystemTag),
});

export const DeleteTag = defineMessage({
  resource: UserTag,
  zstackPackage,
  name: 'DeleteTag',
  doc: 'Takes a tag of either kind off; inherent ones stay.',
  source,
  caller: 'account',
  kind: 'change',
  route: 'DELETE /tags/{uuid}',
  parameters: {
    uuid: uuid('The tag.'),
    deleteMode: choice(
      'Without effect, as nothing hangs on a tag.',
      { Permissive: '', Enforcing: '' },
      { default: 'Permissive' },
    ),
  },
  answer: nothing,
});

export const QueryUserTag = defineQuery(UserTag, { route: 'GET /user-tags', source, zstackPackage });
export const QuerySystemTag = defineQuery(SystemTag, { route: 'GET /system-tags', source, zstackPackage });
