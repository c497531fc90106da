import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { messages } from '../../src/catalogue.ts';
import { boolean, text, uuid } from '../../src/kernel/field.ts';
import {
  defineMessage,
  defineQuery,
  inventoryOf,
  messagesIn,
  nothing,
  pathVariables,
} from '../../src/kernel/message.ts';
import { NAME, UUID } from '../../src/kernel/properties.ts';
import { defineResource, inventoryRelations } from '../../src/kernel/resource.ts';

function family() {
  const Shelf = defineResource({
    name: 'Shelf',
    doc: 'A shelf.',
    source: '',
    fields: { uuid: UUID, name: NAME },
  });
  const Book = defineResource({
    name: 'Book',
    doc: 'A book.',
    source: '',
    fields: { uuid: UUID, shelfUuid: uuid('Where it stands.') },
    references: {
      shelf: {
        to: Shelf,
        by: 'shelfUuid',
        doc: 'Its shelf.',
        inverse: { name: 'book', doc: 'The books on it.', listed: 'bookUuids', pluck: 'uuid' },
      },
    },
  });
  return { Shelf, Book };
}

describe('a resource', () => {
  it('gets its table, key and class from its name', () => {
    const { Shelf } = family();
    assert.equal(Shelf.table, 'shelf');
    assert.deepEqual(Shelf.key, ['uuid']);
    assert.equal(Shelf.zstackClass, 'org.zstack.header.shelf.ShelfInventory');
  });

  it('that refers to another leads there, and the other leads back', () => {
    const { Shelf, Book } = family();
    assert.deepEqual(Book.relations.shelf, {
      to: Shelf,
      local: 'shelfUuid',
      foreign: 'uuid',
      doc: 'Its shelf.',
    });
    assert.equal(Shelf.relations.book?.to, Book);
    assert.equal(Shelf.relations.book?.local, 'uuid');
    assert.equal(Shelf.relations.book?.foreign, 'shelfUuid');
    assert.deepEqual(
      inventoryRelations(Shelf).map(([name, relation]) => [name, relation.inventory]),
      [['bookUuids', { pluck: 'uuid' }]],
    );
    assert.deepEqual(inventoryRelations(Book), []);
  });

  it('may not have one name twice: for two relations, or for a relation and a field', () => {
    const { Shelf } = family();
    const again = (name: string, inverse: string) => () =>
      defineResource({
        name: 'Box',
        doc: '',
        source: '',
        fields: { uuid: UUID, shelfUuid: uuid('') },
        references: { [name]: { to: Shelf, by: 'shelfUuid', doc: '', inverse: { name: inverse, doc: '' } } },
      });
    assert.throws(again('shelf', 'book'), /Shelf\.book is declared twice/);
    assert.throws(again('shelf', 'name'), /Shelf\.name is declared twice/);
    assert.throws(again('shelfUuid', 'box'), /Box\.shelfUuid is declared twice/);
    assert.throws(again('uuid', 'crate'), /Box\.uuid is declared twice/);
  });

  it('can not be changed', () => {
    const { Shelf } = family();
    assert.throws(() => {
      (Shelf as { table: string }).table = 'other';
    }, TypeError);
  });
});

describe('a message', () => {
  const { Shelf } = family();
  const common = {
    doc: '',
    source: '',
    caller: 'admin',
    kind: 'change',
    parameters: {},
    answer: nothing,
  } as const;

  it('gets its action, wire form and package from its declaration', () => {
    const post = defineMessage({ ...common, name: 'AddShelf', route: 'POST /shelves', resource: Shelf });
    assert.equal(post.action, 'addShelf');
    assert.deepEqual(post.route, { method: 'POST', path: '/shelves', also: [], body: 'params' });
    assert.equal(post.zstackPackage, 'org.zstack.header.shelf');
    assert.equal(post.query, false);
    assert.equal(post.successIfMissing, false);
    const put = defineMessage({ ...common, name: 'PaintShelf', route: 'PUT /shelves/{uuid}/actions' });
    assert.equal(put.route.body, 'action');
    assert.equal(put.zstackPackage, 'org.zstack.header.core');
    const drop = defineMessage({ ...common, name: 'DeleteShelf', route: 'DELETE /shelves/{uuid}' });
    assert.equal(drop.route.body, 'query');
    const attach = defineMessage({
      ...common,
      name: 'AttachShelf',
      route: 'PUT /shelves/{uuid}/wall',
      body: 'params',
    });
    assert.equal(attach.route.body, 'params');
  });

  it('that queries is derived from its resource alone', () => {
    const query = defineQuery(Shelf, { route: 'GET /shelves', source: 'somewhere' });
    assert.equal(query.name, 'QueryShelf');
    assert.equal(query.query, true);
    assert.equal(query.kind, 'sync');
    assert.deepEqual(query.route.also, ['/shelves/{uuid}']);
    assert.deepEqual(query.answer, { kind: 'inventories', of: Shelf });
    const without = defineQuery(Shelf, { route: 'GET /shelves', source: '', byUuid: false });
    assert.deepEqual(without.route.also, []);
  });

  it('is found among what a file exports, and nothing else is', () => {
    const message = defineMessage({
      ...common,
      name: 'GetShelf',
      route: 'GET /shelf',
      parameters: { full: boolean('', { default: false }), note: text('') },
      answer: inventoryOf(Shelf),
    });
    assert.deepEqual(messagesIn({ message, Shelf, helper: () => {}, text: 'x', none: null }), [message]);
  });

  it('names the variables of its path', () => {
    assert.deepEqual(pathVariables('/a/{one}/b/{two}/c'), ['one', 'two']);
    assert.deepEqual(pathVariables('/a'), []);
  });
});

describe('the catalogue', () => {
  it('has each name once, and each route once but for actions', () => {
    const names = messages.map((message) => message.name);
    assert.equal(new Set(names).size, names.length);
    const routes = messages
      .filter((message) => message.route.body !== 'action')
      .flatMap(({ route }) => [route.path, ...route.also].map((path) => `${route.method} ${path}`));
    assert.deepEqual(
      routes.filter((route, i) => routes.indexOf(route) !== i),
      [],
    );
  });

  it('declares every variable of a path as a parameter, required', () => {
    for (const message of messages) {
      for (const name of pathVariables(message.route.path)) {
        assert.equal(message.parameters[name]?.presence, 'required', `${message.name}: ${name}`);
      }
    }
  });

  it('says of everything what it is and where it comes from', () => {
    for (const message of messages) {
      assert.ok(message.doc && message.source, message.name);
      if (message.query) continue;
      for (const [name, field] of Object.entries(message.parameters)) {
        assert.ok(field.doc, `${message.name}.${name}`);
      }
    }
  });
});
