/** Text in every place where a call takes any: it is text and nothing else, to the service and to both databases. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { messages } from '../../src/catalogue.ts';
import { IngotError } from '../../src/kernel/errors.ts';
import type { AnyField, Field } from '../../src/kernel/field.ts';
import type { Message } from '../../src/kernel/message.ts';
import { newUuid } from '../../src/kernel/uuid.ts';
import { type RangeServer, startRangeServer } from '../support/range-server.ts';
import { startTestService, type TestService } from '../support/service.ts';
import { smallQcow2 } from '../support/small-disks.ts';

/** What would mean something to either database, to Kysely or to a template, all in one. */
const TEXT = `'; drop table image; --" or "1"="1\\'); delete from "account"; /* $1 ? :a @b {{x}} \${y} %_ \u{1f98a}`;

/** What a text parameter is called whose value is shown as it was given. */
const SHOWN = new Set(['name', 'description', 'tag', 'guestOsType', 'value']);

for (const database of ['sqlite', 'postgres'] as const) {
  describe(`strings in calls, on ${database}`, () => {
    let service: TestService;
    let source: RangeServer;
    const there: Record<string, string> = {};
    before(async () => {
      source = await startRangeServer({ files: { '/a.qcow2': readFileSync((await smallQcow2()).path) } });
      service = await startTestService({ database });
      const { client } = service;
      const image = await client.call('AddImage', { name: 'kept', url: source.url('/a.qcow2') });
      const account = await client.call('CreateAccount', { name: 'kept', password: 'ab'.repeat(64) });
      there.Image = image.inventory.uuid;
      there.Account = account.inventory.uuid;
      for (const name of ['Zone', 'BackupStorage']) there[name] = (await client.query(name))[0]?.uuid;
    });
    after(async () => {
      await service.stop();
      await source.close();
    });

    let last = 0;
    /** A value that fits; what is named is there, unless it would be deleted. */
    const filler = (name: string, field: Field, message: Message): unknown => {
      const { references, kind } = field;
      if (kind === 'uuid' && references && message.route.method !== 'DELETE')
        return there[references] ?? newUuid();
      if (name === 'password') return 'cd'.repeat(64);
      if (name === 'url') return source.url('/a.qcow2');
      if (name === 'resourceType') return 'ImageVO';
      if (name === 'resourceUuid' && message.name.endsWith('Tag')) return there.Image;
      if (kind === 'uuid') return newUuid();
      if (kind === 'text') return `filler-${++last}`;
      if (kind === 'choice') return Object.keys(field.choices)[0];
      if (kind === 'list') return [filler(name, field.element as Field, message)];
      return kind === 'integer' ? field.min || 1 : false;
    };
    const takesText = (field: AnyField): boolean =>
      field.kind === 'text' || (field.kind === 'list' && takesText(field.element));
    const places = messages.flatMap((message) =>
      Object.entries(message.parameters)
        .filter(([, field]) => takesText(field))
        .map(([name, field]) => ({ message, name, field })),
    );

    it('they come back as themselves, or are refused as what they are not', async () => {
      const shown = new Set<string>();
      for (const { message, name, field } of places) {
        const others = Object.entries(message.parameters).filter(
          ([other, { presence }]) => other !== name && presence === 'required',
        );
        const parameters: Record<string, unknown> = {};
        for (const [other, each] of others) parameters[other] = filler(other, each, message);
        parameters[name] = field.kind === 'list' && message.route.body !== 'query' ? [TEXT] : TEXT;
        const answer = await service.client.call(message.name, parameters).catch((error) => error);
        if (answer instanceof IngotError) {
          // SYS.1000 is what nobody has thought of.
          assert.notEqual(answer.code, 'SYS.1000', `${message.name} ${name}: ${answer.details}`);
        } else {
          assert.equal(answer instanceof Error, false, `${message.name} ${name}: ${answer}`);
          if (!SHOWN.has(name) || answer.inventory?.[name] === undefined) continue;
          assert.equal(answer.inventory[name], TEXT, `${message.name} ${name}`);
          shown.add(`${message.name}.${name}`);
        }
      }
      for (const place of [
        ...['AddImage.name', 'AddImage.description', 'AddImage.guestOsType', 'UpdateImage.name'],
        ...[
          'CreateAccount.name',
          'UpdateAccount.description',
          'CreateUserTag.tag',
          'CreateDiskOffering.name',
        ],
        ...['CreateAccessKey.description', 'UpdateImage.guestOsType'],
      ]) {
        assert.ok(shown.has(place), `${place} is not among ${[...shown].join(' ')}`);
      }
    });

    it('and nothing else has come of them', async () => {
      const { client } = service;
      assert.equal((await client.query('Image', `uuid=${there.Image}`)).length, 1);
      assert.ok((await client.query('Account')).some((account) => account.uuid === there.Account));
      const found = await client.query('Image', `name=${TEXT}`);
      assert.ok(found.length > 0 && found.every((image) => image.name === TEXT));
    });
  });
}
