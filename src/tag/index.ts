import type { SqlTransaction } from '../database/database.ts';
import type { Caller, ChangeOperation, Operations } from '../job/operation.ts';
import type { Clock } from '../kernel/clock.ts';
import { IngotError } from '../kernel/errors.ts';
import { type Resource, resourceTypeOf } from '../kernel/resource.ts';
import { requireInventory } from '../query/find.ts';
import { SystemTag, UserTag } from '../query/tag.ts';
import type * as messages from './messages.ts';
import type { CreateSystemTag, CreateSystemTags, CreateUserTag, DeleteTag } from './messages.ts';
import { addSystemTag, addUserTag, holdResource, type Tagged } from './tags.ts';

interface Parts {
  clock: Clock;
  /** Every resource, by its name. */
  resources: ReadonlyMap<string, Resource>;
  /** Throws where the caller, who is no administrator, may not change the resource; without it none may. */
  requireChange?: (tx: SqlTransaction, caller: Caller, tagged: Tagged) => Promise<void>;
}

export function tagOperations(parts: Parts): Operations<typeof messages> {
  return {
    createUserTag: createUserTag(parts),
    createSystemTag: createSystemTag(parts),
    createSystemTags: createSystemTags(parts),
    deleteTag: deleteTag(parts),
  };
}

function createUserTag(parts: Parts): ChangeOperation<typeof CreateUserTag> {
  return async ({ parameters, caller }, tx) => {
    const tagged = await admit(parts, tx, caller, parameters);
    const uuid = await addUserTag(tx, tagged, parameters.tag, parts.clock.now());
    return { inventory: await requireInventory(tx, UserTag, uuid) };
  };
}

function createSystemTag(parts: Parts): ChangeOperation<typeof CreateSystemTag> {
  return async ({ parameters, caller }, tx) => {
    const tagged = await admit(parts, tx, caller, parameters);
    const uuid = await addSystemTag(tx, tagged, parameters.tag, parts.clock.now());
    return { inventory: await requireInventory(tx, SystemTag, uuid) };
  };
}

function createSystemTags(parts: Parts): ChangeOperation<typeof CreateSystemTags> {
  return async ({ parameters, caller }, tx) => {
    const tagged = await admit(parts, tx, caller, parameters);
    const inventories = [];
    for (const tag of parameters.tags) {
      const uuid = await addSystemTag(tx, tagged, tag, parts.clock.now());
      inventories.push(await requireInventory(tx, SystemTag, uuid));
    }
    return { inventories };
  };
}

/** What is not there is off already. */
function deleteTag(parts: Parts): ChangeOperation<typeof DeleteTag> {
  return async ({ parameters: { uuid }, caller }, tx) => {
    const userTag = await tx.selectFrom('userTag').selectAll().where('uuid', '=', uuid).executeTakeFirst();
    const systemTag = await tx
      .selectFrom('systemTag')
      .selectAll()
      .where('uuid', '=', uuid)
      .executeTakeFirst();
    const tag = userTag ?? systemTag;
    if (!tag) return {};
    await requireChange(parts, tx, caller, {
      resource: resourceOfType(parts, tag.resourceType),
      uuid: tag.resourceUuid,
    });
    if (systemTag?.inherent) {
      throw new IngotError(
        'SYS.1006',
        `the system tag '${tag.tag}' (${uuid}) is inherent and can't be deleted`,
      );
    }
    await tx
      .deleteFrom(userTag ? 'userTag' : 'systemTag')
      .where('uuid', '=', uuid)
      .execute();
    return {};
  };
}

/** What is to be tagged, held until the transaction ends. */
async function admit(
  parts: Parts,
  tx: SqlTransaction,
  caller: Caller,
  { resourceType, resourceUuid }: { resourceType: string; resourceUuid: string },
): Promise<Tagged> {
  const tagged = { resource: resourceOfType(parts, resourceType), uuid: resourceUuid };
  await holdResource(tx, tagged);
  await requireChange(parts, tx, caller, tagged);
  return tagged;
}

async function requireChange(
  parts: Parts,
  tx: SqlTransaction,
  caller: Caller,
  tagged: Tagged,
): Promise<void> {
  if (caller.admin) return;
  if (!parts.requireChange) {
    throw new IngotError('ID.1002', `the ${tagged.resource.name} ${tagged.uuid} is another account's`);
  }
  await parts.requireChange(tx, caller, tagged);
}

function resourceOfType(parts: Parts, type: string): Resource {
  const taggable = [...parts.resources.values()].filter((resource) => resource.tags);
  const found = taggable.find((resource) => resourceTypeOf(resource) === type);
  if (found) return found;
  throw new IngotError('SYS.1007', `there is nothing of the type ${type} here to tag`, {
    elaboration: `Known are: ${taggable.map(resourceTypeOf).join(', ')}.`,
    opaque: { parameter: 'resourceType' },
  });
}
