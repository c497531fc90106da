import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import fc from 'fast-check';
import type { Database } from '../../src/database/database.ts';
import { Image } from '../../src/image/image.ts';
import { LongJob } from '../../src/job/long-job.ts';
import { IngotError } from '../../src/kernel/errors.ts';
import { query } from '../../src/query/query.ts';
import { onBothDatabases } from '../database/both-databases.ts';
import { insertImages } from './fill.ts';

const GIB = 2 ** 30;

onBothDatabases((kind, open) => {
  let database: Database;
  const names = async (...conditions: unknown[]) => {
    const { inventories = [] } = await query(database, Image, { conditions, sortBy: 'name' });
    return inventories.map(({ name }) => name);
  };
  const refuses = (condition: unknown, sentence: RegExp) =>
    assert.rejects(names(condition), (thrown) => {
      assert.ok(thrown instanceof IngotError, String(thrown));
      assert.equal(thrown.code, 'SYS.1007', thrown.details);
      assert.match(thrown.details, sentence);
      return true;
    });

  before(async () => {
    database = await open();
    await insertImages(database, [
      { name: 'Alpha', size: GIB, description: 'a,b', guestOsType: 'CentOS7', system: true },
      { name: 'beta', size: 2 * GIB, description: '100%', createDate: Date.UTC(2015, 5, 1), format: 'raw' },
      { name: 'GAMMA', size: 10 * GIB, state: 'Disabled', createDate: Date.UTC(2016, 5, 1, 10) },
      { name: 'Ärger', size: 0, description: 'under_score', createDate: Date.UTC(2027, 5, 1) },
      { name: 'back\\slash', size: 5, description: 'tail\\', createDate: Date.UTC(2028, 5, 1) },
    ]);
  });

  describe('a condition', () => {
    it('compares text without regard to the case of ASCII letters', async () => {
      assert.deepEqual(await names('name=ALPHA'), ['Alpha']);
      assert.deepEqual(await names('name=Alpha '), []);
      assert.deepEqual(await names('name!=alpha', 'name!=BETA'), ['back\\slash', 'GAMMA', 'Ärger']);
      assert.deepEqual(await names('name=ärger'), []);
      assert.deepEqual(await names('name=ÄRGER'), ['Ärger']);
      assert.deepEqual(await names('state=disabled'), ['GAMMA']);
      assert.deepEqual(await names('name>b', 'name<=gamma'), ['back\\slash', 'beta', 'GAMMA']);
      assert.deepEqual(await names('name>=GAMMA'), ['GAMMA', 'Ärger']);
      assert.deepEqual(await names('name<B'), ['Alpha']);
    });

    it('takes a pattern with % and _ and a backslash before what means itself', async () => {
      assert.deepEqual(await names('name~=%A'), ['Alpha', 'beta', 'GAMMA']);
      assert.deepEqual(await names('name~=_eta'), ['beta']);
      assert.deepEqual(await names('name~=_rger'), ['Ärger']);
      assert.deepEqual(await names('name!~=%a%'), ['Ärger']);
      assert.deepEqual(await names('description~=%\\%'), ['beta']);
      assert.deepEqual(await names('description~=100\\%'), ['beta']);
      assert.deepEqual(await names('description~=under\\_%'), ['Ärger']);
      assert.deepEqual(await names('description~=under\\__core'), ['Ärger']);
      assert.deepEqual(await names('name~=back\\\\slash'), ['back\\slash']);
      assert.deepEqual(await names('description~=tail\\'), ['back\\slash']);
      assert.deepEqual(await names('description~=%\\\\'), ['back\\slash']);
      assert.deepEqual(await names('name~='), []);
      assert.deepEqual(await names('uuid~=%-%'), []);
      assert.equal((await names('state~=EN%')).length, 4);
    });

    it('takes a list, with a backslash before a comma that is no end', async () => {
      assert.deepEqual(await names('name?=ALPHA, beta ,none'), ['Alpha', 'beta']);
      assert.deepEqual(await names('description?=a\\,b,x'), ['Alpha']);
      assert.deepEqual(await names('description?=tail\\\\'), ['back\\slash']);
      assert.deepEqual(await names({ name: 'description', op: 'in', value: ['a,b', 'tail\\'] }), [
        'Alpha',
        'back\\slash',
      ]);
      assert.deepEqual(await names('name!?=alpha,BETA,gamma'), ['back\\slash', 'Ärger']);
      assert.deepEqual(await names('name?='), []);
      assert.equal((await names('name!?=')).length, 5);
      assert.deepEqual(await names('size?=1G,5'), ['Alpha', 'back\\slash']);
      assert.deepEqual(await names('system?=true'), ['Alpha']);
    });

    it('tells what has a value from what has none', async () => {
      assert.deepEqual(await names('guestOsType not null'), ['Alpha']);
      assert.deepEqual(await names('guestOsType is not null'), ['Alpha']);
      assert.deepEqual(await names('description IS NULL'), ['GAMMA']);
      assert.deepEqual(await names('description  is  null '), ['GAMMA']);
      assert.deepEqual(await names({ name: 'description', op: 'is null' }), ['GAMMA']);
      assert.deepEqual(await names({ name: 'guestOsType', op: 'not null' }), ['Alpha']);
      assert.deepEqual(await names('name is null'), []);
      // Nothing is neither the same as a value nor another one.
      assert.deepEqual(await names('guestOsType!=windows'), ['Alpha']);
      assert.deepEqual(await names('guestOsType!?=windows,x'), ['Alpha']);
      assert.deepEqual(await names('guestOsType!~=win%'), ['Alpha']);
    });

    it('compares numbers, sizes with their units, dates and booleans as what they are', async () => {
      assert.deepEqual(await names('size>1G'), ['beta', 'GAMMA']);
      assert.deepEqual(await names('size>=1GiB', 'size<10G'), ['Alpha', 'beta']);
      assert.deepEqual(await names('size!=0', 'size<=5'), ['back\\slash']);
      assert.deepEqual(await names('size=1073741824'), ['Alpha']);
      assert.deepEqual(await names('createDate<2016-01-01T00:00:00Z'), ['beta']);
      assert.deepEqual(await names(`createDate=${Date.UTC(2016, 5, 1, 10)}`), ['GAMMA']);
      assert.deepEqual(await names('createDate>Jan 1, 2028 12:00:00 PM'), ['back\\slash']);
      assert.deepEqual(await names('createDate?=2015-06-01T00:00:00Z,2028-06-01T00:00:00Z'), [
        'back\\slash',
        'beta',
      ]);
      assert.deepEqual(await names('system=true'), ['Alpha']);
      assert.equal((await names('system!=TRUE')).length, 4);
      assert.equal((await names('size<9007199254740991')).length, 5);
      const { total } = await query(database, LongJob, { conditions: ['progress<9000000000'], count: true });
      assert.equal(total, 0);
    });

    it('is split at its leftmost operator, the longest there', async () => {
      assert.deepEqual(await names('name=a>=b'), []);
      assert.deepEqual(await names('name!=x=y', 'name = beta'), []);
      assert.deepEqual(await names(' name=beta'), ['beta']);
      assert.deepEqual(await names('description!~=100%', 'description!=a=b', 'size>5'), ['Alpha']);
      assert.deepEqual(await names({ name: 'name', op: ' like ', value: 'b%' }), ['back\\slash', 'beta']);
      assert.deepEqual(await names({ name: 'name', op: 'not like', value: '%a%' }), ['Ärger']);
      assert.deepEqual(await names({ name: 'name', op: 'not in', value: 'alpha,beta,gamma' }), [
        'back\\slash',
        'Ärger',
      ]);
      assert.deepEqual(await names({ name: 'size', op: '>', value: GIB }), ['beta', 'GAMMA']);
    });

    it('that can not be read or does not fit is refused, and the place is named', async () => {
      await refuses('name', /'name' can't be read: at position 5, an operator/);
      await refuses('name ist null', /at position 5, an operator/);
      await refuses('=x', /at position 1, a field name/);
      await refuses('', /at position 1, a field name/);
      await refuses('nmae=x', /^Image has no field 'nmae'; did you mean 'name'\?$/);
      await refuses('name.first=x', /^Image has no field 'name' \(in 'name\.first'\)/);
      await refuses(
        'backupStorage.nmae=x',
        /^BackupStorage has no field 'nmae' \(in .*; did you mean 'name'/,
      );
      await refuses('backupStorage=x', /'backupStorage' of Image is not a field but leads on/);
      await refuses('__proto__=x', /no field '__proto__'/);
      await refuses('constructor.name=x', /no field 'constructor'/);
      await refuses('size>lots', /^'size' is compared with 'lots', which is not a whole number of bytes/);
      await refuses('size?=1,lots', /compared with 'lots'/);
      await refuses('size=', /^'size' is compared with ''/);
      await refuses('createDate>yesterday', /which is not a date such as/);
      await refuses(`createDate>${'9'.repeat(30)}`, /which is not a date/);
      await refuses('system=yes', /which is not true or false/);
      await refuses('system>true', /^'>' \(is greater than\) does not fit 'system', which is a boolean$/);
      await refuses('size~=1%', /^'like' \(matches\) does not fit 'size', which is a number$/);
      await refuses({ name: 'name', op: 'lik', value: 'x' }, /no operator 'lik'; did you mean 'like'/);
      await refuses({ name: 'name', op: 'constructor', value: 'x' }, /no operator 'constructor'/);
      await refuses({ name: 'name', op: '=' }, /^the condition on 'name' with '=' needs a 'value'$/);
      await refuses({ op: '=', value: 'x' }, /^a condition needs 'name' and 'op'/);
      await refuses(['name=beta'], /^a condition needs 'name' and 'op', but is \["name=beta"\]$/);
      await refuses(
        { name: 'name', op: '=', value: {} },
        /^the condition on 'name' with '=' takes .* has \{\}$/,
      );
      await refuses({ name: 'name', op: '=', value: ['beta'] }, /takes text, .* has \["beta"\]$/);
      await refuses({ name: 'name', op: 'in', value: ['beta', null] }, /takes text, .* has null$/);
      await refuses({ name: 'name', op: '?=', value: [['beta']] }, /takes text, .* has \["beta"\]$/);
      for (const other of [5, true, null, undefined]) await refuses(other, /can't be read: at position/);
      await refuses('name=a\0b', /text without NUL characters$/);
      await refuses('name~=a\0b', /text without NUL characters$/);
      await refuses(`name~=${'é'.repeat(25_001)}`, /at most 50000 bytes/);
      await refuses(`name=${'x'.repeat(70_000)}`, /^a condition may have at most 65536 characters/);
      await refuses(`size?=${'1,'.repeat(30_001)}`, /name 30001 values, and a query may have at most 30000/);
      await refuses(`${'backupStorage.image.'.repeat(9)}name=x`, /walks over more than 16 relations/);
    });

    it('that is refused is shown in part where it is long, and costs no more than a short one', async () => {
      const long = 'n'.repeat(1_000_000);
      for (const condition of [
        { name: long, op: '=', value: 'x' },
        { name: `backupStorage.${long}`, op: '=', value: 'x' },
        { name: 'name', op: long, value: 'x' },
        { name: 'size', op: '=', value: long },
        { name: 'name', op: '=', value: [long] },
        { op: long },
      ]) {
        const began = performance.now();
        await assert.rejects(names(condition), (error) => {
          assert.ok(error instanceof IngotError);
          assert.ok(JSON.stringify(error.toBody()).length < 1500, error.details.slice(0, 2000));
          return true;
        });
        // A comparison with every field's name, letter by letter, took seconds.
        assert.ok(performance.now() - began < 1000);
      }
    });

    it('may stand beside ten thousand, whatever they are', { timeout: 60_000 }, async () => {
      // Shown to the database's planner all at once, the patterns took PostgreSQL minutes, and SQLite one and a half.
      for (const make of [
        (i: number) => `size!=${i + 100}`,
        (i: number) => `name!~=x${i}%`,
        (i: number) => `name~=${i % 2 ? '%' : 'a%'}`,
      ]) {
        const many = Array.from({ length: 10_000 }, (_, i) => make(i));
        const { total: all } = await query(database, Image, { conditions: many, count: true });
        assert.equal(all, make(0) === 'name~=a%' ? 1 : 5);
        const { total: any } = await query(database, Image, { where: many.join(' or '), count: true });
        assert.equal(any, 5);
        await assert.rejects(query(database, Image, { conditions: [...many, 'size=1'] }), {
          code: 'SYS.1007',
          message: 'a query may have at most 10000 conditions, but this one has 10001',
        });
      }
    });

    it('whose patterns take long leaves the thread that serves calls free', async () => {
      const conditions = Array.from({ length: 12 }, (_, i) => `description~=%${'a'.repeat(1000 + i)}b`);
      const where = conditions.join(' or ');
      const made = await insertImages(
        database,
        Array.from({ length: 30 }, () => ({ description: 'a'.repeat(2048) })),
      );
      let turns = 0;
      const timer = setInterval(() => turns++, 1);
      const { total } = await query(database, Image, { where, count: true }).finally(() =>
        clearInterval(timer),
      );
      for (const { uuid } of made) await database.sql.deleteFrom('image').where('uuid', '=', uuid).execute();
      assert.equal(total, 0);
      // PostgreSQL may be so quick that there is nothing to see.
      if (kind === 'sqlite') assert.ok(turns > 10, `${turns} turns`);
    });

    it('may have patterns of so many bytes together', async () => {
      const sentence = /^the patterns of a query may have at most 50000 bytes together/;
      const many = Array.from({ length: 50 }, () => `name~=%${'x'.repeat(1024)}`);
      await assert.rejects(names(...many), { code: 'SYS.1007', message: sentence });
      await assert.rejects(query(database, Image, { where: many.join(' or ') }), { message: sentence });
    });

    it('may name tens of thousands of values', async () => {
      assert.deepEqual(await names(`size?=${'7,'.repeat(29_999)}5`), ['back\\slash']);
      assert.deepEqual(await names(`name~=b${'%'.repeat(49_000)}`), ['back\\slash', 'beta']);
    });
  });

  describe('text', () => {
    it('comes back as itself and finds itself, whatever SQL it is made of', async () => {
      const piece = fc.constantFrom(
        ...["'", '"', ';', '--', '/*', '*/', '\\', '%', '_', '`', '$1', '?', ':a', '@x', '\n', '🦊', 'É'],
        ...['drop table image', ' or 1=1', ')', '(', 'null', '$', '{{', 'x', ' ', ',', '0x41', "E'\\x41'"],
      );
      const value = fc
        .array(piece, { minLength: 1, maxLength: 6 })
        .map((pieces) => pieces.join('').trim())
        .filter((text) => text !== '');
      const count = async (...conditions: unknown[]) =>
        (await query(database, Image, { conditions, count: true })).total;
      await fc.assert(
        fc.asyncProperty(value, async (text) => {
          const [image] = await insertImages(database, [
            { name: text, description: text, guestOsType: text },
          ]);
          const own = { name: 'uuid', op: '=', value: image?.uuid };
          const { inventories = [] } = await query(database, Image, { conditions: [own] });
          for (const field of ['name', 'description', 'guestOsType']) {
            assert.equal(inventories[0]?.[field], text);
            assert.equal(await count(own, { name: field, op: '=', value: text }), 1);
            assert.equal(await count(own, { name: field, op: 'in', value: ['-', text] }), 1);
            assert.equal(await count(own, { name: field, op: '!=', value: text }), 0);
            const pattern = `${text.replace(/[\\%_]/g, '\\$&')}%`;
            assert.equal(await count(own, { name: field, op: 'like', value: pattern }), 1);
          }
          assert.equal(await count(own, `name=${text}`), 1);
          // In the other places of a query it is no more than a name that isn't there.
          await assert.rejects(count({ name: text, op: '=', value: 'x' }), { code: 'SYS.1007' });
          await assert.rejects(query(database, Image, { sortBy: text }), { code: 'SYS.1007' });
          await assert.rejects(query(database, Image, { fields: [text] }), { code: 'SYS.1007' });
          await database.sql
            .deleteFrom('image')
            .where('uuid', '=', image?.uuid ?? '')
            .execute();
        }),
        { numRuns: 25 },
      );
      assert.equal(await count(), 5);
    });
  });
});
