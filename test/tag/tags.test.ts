import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { sql } from 'kysely';
import { resources } from '../../src/catalogue.ts';
import type { Database, SqlTransaction } from '../../src/database/database.ts';
import { Image } from '../../src/image/image.ts';
import type { Caller } from '../../src/job/operation.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import type { Field } from '../../src/kernel/field.ts';
import { type Resource, resourceTypeOf } from '../../src/kernel/resource.ts';
import { newUuid } from '../../src/kernel/uuid.ts';
import { query } from '../../src/query/query.ts';
import { tagOperations } from '../../src/tag/index.ts';
import { findStrayTags } from '../../src/tag/stray.ts';
import { addSystemTag, addUserTag, replaceSystemTag } from '../../src/tag/tags.ts';
import { onBothDatabases } from '../database/both-databases.ts';
import { insertCopy, insertImages, insertStorage } from '../query/fill.ts';

const ADMIN: Caller = { accountUuid: 'admin', admin: true };
const operations = tagOperations({ clock: systemClock, resources });

/** A value that fits the column. */
function valueFor(field: Field): unknown {
  if (field.presence === 'optional') return null;
  if (field.kind === 'integer' || field.kind === 'date') return 1;
  if (field.kind === 'boolean') return false;
  return field.kind === 'choice' ? Object.keys(field.choices)[0] : 'x';
}

type Made = { table: string; uuid: string }[];

/** Inserts what the row has to refer to first; all of it is noted in `made`. */
async function insertAny(database: Database, resource: Resource, made: Made): Promise<string> {
  const uuid = newUuid();
  const row: [name: string, value: unknown][] = [];
  for (const [name, field] of Object.entries({ ...resource.fields, ...resource.columns })) {
    const other = field.presence === 'optional' ? undefined : resources.get(field.references ?? '');
    if (name === 'uuid') row.push([name, uuid]);
    else row.push([name, other?.fields.uuid ? await insertAny(database, other, made) : valueFor(field)]);
  }
  await sql`insert into ${sql.table(resource.table)} (${sql.join(row.map(([name]) => sql.ref(name)))})
    values (${sql.join(row.map(([, value]) => value))})`.execute(database.sql);
  made.push({ table: resource.table, uuid });
  return uuid;
}

onBothDatabases((_kind, open) => {
  let database: Database;
  before(async () => {
    database = await open();
  });
  const anImage = async () => (await insertImages(database, [{}]))[0]?.uuid as string;
  type Operation = (call: never, tx: SqlTransaction, afterCommit: () => void) => Promise<unknown>;
  const run = (operation: Operation, parameters: object, caller = ADMIN) =>
    database.transaction((tx) => operation({ parameters, caller } as never, tx, () => {})) as Promise<
      Record<string, unknown>
    >;
  const tagsOf = async (resourceUuid: string) => {
    const of = (table: 'userTag' | 'systemTag') =>
      database.sql.selectFrom(table).select('tag').where('resourceUuid', '=', resourceUuid).execute();
    return [...(await of('userTag')), ...(await of('systemTag'))].map(({ tag }) => tag).sort();
  };
  const put = (resource: Resource, uuid: string, ...tags: string[]) =>
    database.transaction(async (tx) => {
      for (const tag of tags) await addUserTag(tx, { resource, uuid }, tag, 1);
    });

  describe('tags', () => {
    it('go with their resource, whatever its type and whoever deletes the row', async () => {
      const taggable = [...resources.values()].filter((resource) => resource.tags);
      assert.ok(taggable.length >= 3);
      for (const resource of taggable) {
        const made: Made = [];
        const gone = await insertAny(database, resource, made);
        const stays = await insertAny(database, resource, made);
        for (const uuid of [gone, stays]) {
          await put(resource, uuid, 'mine');
          const values = {
            uuid: newUuid(),
            resourceUuid: uuid,
            resourceType: resourceTypeOf(resource),
            tag: 'x',
          };
          const rest = { type: 'System', inherent: true, createDate: 1, lastOpDate: 1 } as const;
          await database.sql
            .insertInto('systemTag')
            .values({ ...values, ...rest })
            .execute();
        }
        await sql`delete from ${sql.table(resource.table)} where uuid = ${gone}`.execute(database.sql);
        assert.deepEqual(await tagsOf(gone), [], resource.name);
        assert.deepEqual(await tagsOf(stays), ['mine', 'x'], resource.name);
        await sql`delete from ${sql.table(resource.table)}`.execute(database.sql);
        assert.deepEqual(await tagsOf(stays), [], resource.name);
        for (const { table, uuid } of made.reverse()) {
          await sql`delete from ${sql.table(table)} where uuid = ${uuid}`.execute(database.sql);
        }
      }
    });

    it('of what is not there are found', async () => {
      const values = { uuid: newUuid(), resourceUuid: newUuid(), resourceType: 'ImageVO', tag: 'stray' };
      const rest = { type: 'User', createDate: 1, lastOpDate: 1 } as const;
      await database.sql
        .insertInto('userTag')
        .values({ ...values, ...rest })
        .execute();
      await put(Image, await anImage(), 'kept');
      assert.deepEqual(await findStrayTags(database, resources.values()), [{ table: 'userTag', ...values }]);
      await database.sql.deleteFrom('userTag').where('uuid', '=', values.uuid).execute();
    });

    it('of a user are any text, once each', async () => {
      const resourceUuid = await anImage();
      const call = { resourceType: 'ImageVO', resourceUuid };
      const { inventory } = await run(operations.createUserTag, { ...call, tag: 'golden-image' });
      const { uuid, createDate, lastOpDate, ...rest } = inventory as Record<string, unknown>;
      assert.deepEqual(rest, { ...call, tag: 'golden-image', type: 'User' });
      assert.ok(uuid && createDate && lastOpDate);
      await assert.rejects(run(operations.createUserTag, { ...call, tag: 'golden-image' }), {
        code: 'SYS.1006',
        message: `the Image ${resourceUuid} has the user tag 'golden-image' already`,
      });
      for (const tag of ['Golden-Image', '🦊'.repeat(2048), "'; drop table image"]) {
        await run(operations.createUserTag, { ...call, tag });
        const condition = { name: '__userTag__', op: '=', value: tag };
        const found = await query(database, Image, { conditions: [condition], fields: ['uuid'] });
        assert.deepEqual(found.inventories, [{ uuid: resourceUuid }]);
      }
    });

    it('of the system are of declared patterns', async () => {
      const resourceUuid = await anImage();
      const create = (tag: string) =>
        run(operations.createSystemTag, { resourceType: 'ImageVO', resourceUuid, tag });
      const { inventory } = await create('bootMode::UEFI');
      assert.partialDeepStrictEqual(inventory, { tag: 'bootMode::UEFI', type: 'System', inherent: false });
      assert.deepEqual((await create('bootMode::UEFI')).inventory, inventory, 'the existing one');
      await create('applianceType::vrouter');
      await create('applianceType::other');
      await create('imageName::centos 7::primaryStorageUuid::ps');
      await create('qemuga');
      for (const [tag, says] of [
        ['bootMode::Legacy', /has the system tag 'bootMode::UEFI', and can have one such only$/],
        ['bootMode::BIOS', /^'bootMode::BIOS' must end in one of Legacy, UEFI, UEFI_WITH_CSM$/],
        ['botMode::UEFI', /no system tag of ImageVO; did you mean 'bootMode'\?$/],
        ['bootMode', /no system tag/],
        ['applianceType::', /no system tag/],
        ['a::b::c', /no system tag/],
        ['marketplace::false', /no system tag/],
        ['ephemeral::x', /no system tag/],
      ] as const) {
        await assert.rejects(create(tag), { message: says }, tag);
      }
      const storage = await insertStorage(database, 'plain');
      await assert.rejects(
        run(operations.createSystemTag, {
          resourceType: 'BackupStorageVO',
          resourceUuid: storage,
          tag: 'x::y',
        }),
        { code: 'SYS.1007', message: 'BackupStorageVO takes no system tags' },
      );
    });

    it('of the system come several at once, or none', async () => {
      const resourceUuid = await anImage();
      const call = { resourceType: 'ImageVO', resourceUuid };
      const tags = ['qemuga', 'packer', 'qemuga'];
      const { inventories } = await run(operations.createSystemTags, { ...call, tags });
      assert.deepEqual(
        (inventories as { tag: string }[]).map(({ tag }) => tag),
        tags,
      );
      await assert.rejects(run(operations.createSystemTags, { ...call, tags: ['remote', 'nonsense'] }), {
        code: 'SYS.1007',
      });
      assert.deepEqual(await tagsOf(resourceUuid), ['packer', 'qemuga']);
    });

    it('are for what is there', async () => {
      const call = { resourceType: 'ImageVO', resourceUuid: newUuid(), tag: 'x' };
      await assert.rejects(run(operations.createUserTag, call), { code: 'SYS.1003' });
      await assert.rejects(run(operations.createUserTag, { ...call, resourceType: 'ClusterVO' }), {
        code: 'SYS.1007',
        message: 'there is nothing of the type ClusterVO here to tag',
      });
      const resourceUuid = await anImage();
      await assert.rejects(
        run(operations.createUserTag, { ...call, resourceUuid, resourceType: 'ZoneVO' }),
        { code: 'SYS.1003' },
        "another type's uuid",
      );
      await assert.rejects(
        run(operations.createUserTag, { ...call, resourceUuid }, { ...ADMIN, admin: false }),
        {
          code: 'ID.1002',
        },
      );
    });

    it('are taken off, inherent ones not', async () => {
      const resourceUuid = await anImage();
      const tagged = { resource: Image, uuid: resourceUuid };
      const [mine, inherent] = await database.transaction(async (tx) => [
        await addUserTag(tx, tagged, 'mine', 1),
        await addSystemTag(tx, tagged, 'CreatedBySystem', 1, { inherent: true }),
      ]);
      assert.deepEqual(await run(operations.deleteTag, { uuid: mine }), {});
      assert.deepEqual(await run(operations.deleteTag, { uuid: mine }), {}, 'what is off already');
      await assert.rejects(run(operations.deleteTag, { uuid: inherent }), {
        code: 'SYS.1006',
        message: `the system tag 'CreatedBySystem' (${inherent}) is inherent and can't be deleted`,
      });
      assert.deepEqual(await tagsOf(resourceUuid), ['CreatedBySystem']);
    });

    it('are replaced where one may be of a pattern only', async () => {
      const uuid = await anImage();
      for (const tag of ['bootMode::UEFI', 'bootMode::Legacy', 'bootMode::Legacy']) {
        await database.transaction((tx) => replaceSystemTag(tx, { resource: Image, uuid }, tag, 1));
        assert.deepEqual(await tagsOf(uuid), [tag]);
      }
    });

    it('are put on once, however many do it at once', async () => {
      const resourceUuid = await anImage();
      const call = { resourceType: 'ImageVO', resourceUuid, tag: 'race' };
      const all = await Promise.allSettled(
        Array.from({ length: 8 }, () => run(operations.createUserTag, call)),
      );
      assert.equal(all.filter(({ status }) => status === 'fulfilled').length, 1);
      assert.deepEqual(await tagsOf(resourceUuid), ['race']);
    });

    it('are asked for by what they say and by their absence, at any depth', async () => {
      const storage = await insertStorage(database, 'tagged-storage');
      const [one, two, none] = (
        await insertImages(database, [{ name: 'one' }, { name: 'two' }, { name: 'none' }])
      ).map(({ uuid }) => uuid) as [string, string, string];
      for (const uuid of [one, none]) await insertCopy(database, uuid, storage);
      await put(Image, one, 'red', 'tall');
      await put(Image, two, 'blue');
      await put(resources.get('BackupStorage') as Resource, storage, 'fast');
      const names = async (where: string) => {
        const mine = `uuid in (${one}, ${two}, ${none})`;
        const { inventories = [] } = await query(database, Image, {
          where: `${mine} and (${where})`,
          sortBy: 'name',
        });
        return inventories.map(({ name }) => name);
      };
      assert.deepEqual(await names('__userTag__=RED'), ['one']);
      assert.deepEqual(await names('__userTag__!=red'), ['none', 'two']);
      assert.deepEqual(await names('__userTag__?=red,blue'), ['one', 'two']);
      assert.deepEqual(await names('__userTag__!?=red,blue'), ['none']);
      assert.deepEqual(await names('__userTag__~=%l%'), ['one', 'two']);
      assert.deepEqual(await names('__userTag__!~=b%'), ['none', 'one']);
      assert.deepEqual(await names('__userTag__ is null'), ['none']);
      assert.deepEqual(await names('__userTag__ not null'), ['one', 'two']);
      assert.deepEqual(await names('__systemTag__ is null'), ['none', 'one', 'two']);
      assert.deepEqual(await names('backupStorage.__userTag__=fast'), ['none', 'one']);
      assert.deepEqual(await names('backupStorage.__userTag__!=slow'), ['none', 'one']);
      assert.deepEqual(await names('not backupStorage.__userTag__=fast'), ['two']);
      await assert.rejects(
        names('backupStorageRef.__userTag__=x'),
        /ImageBackupStorageRef has no field '__userTag__'/,
      );
    });
  });
});
