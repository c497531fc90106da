import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { messages } from '../../src/catalogue.ts';
import type { AnyField } from '../../src/kernel/field.ts';
import { type Message, pathVariables } from '../../src/kernel/message.ts';
import { startTestService, type TestService, until } from '../support/service.ts';

type Json = Record<string, unknown>;

/** Every object inside a JSON value, itself too. */
function* objectsIn(value: unknown): Generator<Json> {
  if (typeof value !== 'object' || value === null) return;
  if (!Array.isArray(value)) yield value as Json;
  for (const inner of Object.values(value)) yield* objectsIn(inner);
}

/** Parameters of queries that are called otherwise in addresses; the direction is the sign before the field. */
const QUERY_NAMES: Record<string, string> = {
  conditions: 'q',
  sortBy: 'sort',
  sortDirection: '',
  fields: 'fields',
};

/** By the parameter's name, wherever it stands: in the path, the address or the body. */
function parameterSchemas(operation: Json, message: Message): Record<string, Json> {
  const inAddress = (operation.parameters ?? []) as { name: string; schema: Json }[];
  const found = Object.fromEntries(inAddress.map(({ name, schema }) => [name, schema]));
  for (const [i, variable] of pathVariables(message.route.path).entries()) {
    const shown = inAddress.filter((each) => (each as unknown as Json).in === 'path')[i];
    if (shown) found[variable] = shown.schema;
  }
  const body = operation.requestBody as { content: Record<string, { schema: Json }> } | undefined;
  const schema = body?.content['application/json']?.schema ?? {};
  const alternatives = (schema.oneOf as { title: string; properties: Record<string, Json> }[]) ?? [];
  const own = alternatives.find(({ title }) => title === message.name);
  const properties = own ? (Object.values(own.properties)[0]?.properties as Json) : schema.properties;
  return { ...found, ...((properties ?? {}) as Record<string, Json>) };
}

/** What the schema of the field must at least say of its values. */
function limitsOf(field: AnyField): Json {
  switch (field.kind) {
    case 'text':
      return { type: 'string', minLength: field.min, maxLength: field.max };
    case 'uuid':
      return { type: 'string', pattern: '^[0-9a-f]{32}$' };
    case 'integer':
      return { type: 'integer', minimum: field.min, maximum: field.max };
    case 'boolean':
      return { type: 'boolean' };
    case 'date':
      return { type: 'string' };
    case 'choice':
      return { type: 'string', enum: [...Object.keys(field.choices), ...Object.keys(field.aliases)] };
    case 'json':
      return {};
    case 'list':
      return {
        type: 'array',
        minItems: field.minItems,
        maxItems: field.maxItems,
        items: limitsOf(field.element),
      };
  }
}

describe('beside the API', () => {
  let service: TestService;
  before(async () => {
    service = await startTestService({ settings: { logLevel: 'debug' } });
  });
  after(() => service.stop());
  const get = (path: string) => service.client.http('GET', path);

  describe('the OpenAPI document', () => {
    let document: { openapi: string; paths: Record<string, Record<string, Json>>; components: Json };
    before(async () => {
      document = (await get('/openapi.json')).json as typeof document;
    });
    const operations = () =>
      Object.entries(document.paths).flatMap(([path, item]) =>
        Object.entries(item).map(([method, operation]) => ({ path, method, operation })),
      );

    it('has every message, on every one of its paths', () => {
      // Paths that differ in the names of their variables alone are one to OpenAPI.
      const shapeOf = (path: string) => path.replace(/\{\w+\}/g, '{}');
      const byShape = new Map(Object.entries(document.paths).map(([path, item]) => [shapeOf(path), item]));
      for (const message of messages) {
        for (const path of [message.route.path, ...message.route.also]) {
          const operation = byShape.get(shapeOf(path))?.[message.route.method.toLowerCase()];
          assert.ok(
            ((operation?.['x-ingot-messages'] ?? []) as string[]).includes(message.name),
            `${message.name} ${path}`,
          );
        }
      }
    });

    it('keeps the rules of OpenAPI 3.1', () => {
      assert.match(document.openapi, /^3\.1\.\d$/);
      const ids = operations().map(({ operation }) => operation.operationId);
      assert.equal(new Set(ids).size, ids.length);
      const shapes = Object.keys(document.paths).map((path) => path.replace(/\{\w+\}/g, '{}'));
      assert.equal(new Set(shapes).size, shapes.length);
      for (const { path, method, operation } of operations()) {
        const where = `${method} ${path}`;
        assert.match(path, /^\//, where);
        assert.match(method, /^(get|post|put|delete)$/, where);
        const parameters = (operation.parameters ?? []) as Json[];
        const inPath = parameters.filter((parameter) => parameter.in === 'path');
        assert.deepEqual(
          inPath.map((parameter) => parameter.name).sort(),
          Array.from(path.matchAll(/\{(\w+)\}/g), (match) => match[1]).sort(),
          where,
        );
        for (const parameter of parameters) {
          assert.ok(parameter.schema, `${where}: ${parameter.name}`);
          if (parameter.in === 'path') assert.equal(parameter.required, true, where);
        }
        const names = parameters.map((parameter) => `${parameter.in} ${parameter.name}`);
        assert.equal(new Set(names).size, names.length, where);
        const answers = Object.entries(operation.responses as Record<string, Json>);
        assert.ok(answers.length > 0, where);
        for (const [status, answer] of answers) {
          assert.match(status, /^[2-5]\d\d$/, where);
          assert.equal(typeof answer.description, 'string', where);
        }
        if (operation.requestBody) assert.match(method, /post|put/, where);
      }
    });

    for (const path of ['/openapi.json', '/v1/openapi.json']) {
      it(`says of each parameter its type, default, choices, limits and since when there is it (${path})`, async () => {
        const { paths } = (await get(path)).json as typeof document;
        const all = Object.values(paths).flatMap((item) => Object.values(item));
        for (const message of messages) {
          const named = (each: Json) => ((each['x-ingot-messages'] ?? []) as string[]).includes(message.name);
          const operation = all.find((each) => each.operationId === message.action) ?? all.find(named);
          assert.ok(operation, message.name);
          const schemas = parameterSchemas(operation, message);
          for (const [name, field] of Object.entries(message.parameters)) {
            const where = `${message.name}.${name}`;
            const written = message.query ? QUERY_NAMES[name] : undefined;
            if (written === '') continue;
            const schema = schemas[written ?? name];
            assert.ok(schema, where);
            assert.equal(schema['x-since'], field.since, where);
            if (written) continue;
            assert.deepEqual(schema.default, field.default, where);
            assert.partialDeepStrictEqual(schema, limitsOf(field), where);
          }
        }
      });
    }

    it('refers to nothing that it does not hold, and holds only sound schemas', () => {
      const schemas = document.components.schemas as Record<string, Json>;
      for (const object of objectsIn(document)) {
        if (typeof object.$ref === 'string') {
          const name = /^#\/components\/schemas\/(\w+)$/.exec(object.$ref)?.[1] ?? '';
          assert.ok(schemas[name], object.$ref);
        }
        if (typeof object.pattern === 'string')
          assert.doesNotThrow(() => new RegExp(object.pattern as string, 'u'));
        if (Array.isArray(object.required) && object.properties) {
          for (const name of object.required) assert.ok(name in (object.properties as Json), String(name));
        }
        if (Array.isArray(object.enum)) assert.equal(new Set(object.enum).size, object.enum.length);
      }
    });

    it('describes what really comes', async () => {
      const [store] = await service.client.query('BackupStorage');
      const schemas = document.components.schemas as Record<string, { properties: Json; required: string[] }>;
      const schema = schemas.BackupStorage;
      assert.deepEqual(
        Object.keys(store ?? {}).filter((name) => !(name in (schema?.properties ?? {}))),
        [],
      );
      assert.deepEqual(
        schema?.required.filter((name) => !(name in (store ?? {}))),
        [],
      );
    });
  });

  it('there is a page to read, which loads nothing from elsewhere', async () => {
    const page = await get('/docs');
    assert.equal(page.headers.get('content-type'), 'text/html;charset=utf-8');
    for (const message of messages) assert.match(page.text, new RegExp(`id="${message.name}"`));
    assert.doesNotMatch(
      page.text,
      /<script|https?:\/\/(?!…)[\w.-]+\.\w+\/[\w.]+\.(js|css)|<link|@import|src=/,
    );
    const anchors = Array.from(page.text.matchAll(/href="#(\w+)"/g), (match) => match[1]);
    for (const anchor of anchors) assert.match(page.text, new RegExp(`id="${anchor}"`));
  });

  it('it says that it is alive, and ready', async () => {
    assert.deepEqual((await get('/healthz')).json, { status: 'ok' });
    const ready = await get('/readyz');
    assert.equal(ready.status, 200);
    assert.deepEqual(ready.json, { status: 'ready' });
  });

  it('it counts what it does', async () => {
    await service.client.query('Zone');
    const { text, headers } = await get('/metrics');
    assert.match(headers.get('content-type') ?? '', /^text\/plain/);
    assert.match(text, /^ingot_jobs\{state="Running"\} 0$/m);
    assert.match(
      text,
      /^ingot_http_request_seconds_count\{method="GET",route="\/zstack\/v1\/zones",status="200"\} [1-9]/m,
    );
    for (const name of ['ingot_jobs_ended_total', 'ingot_image_bytes_total']) {
      assert.match(text, new RegExp(`^# HELP ${name} `, 'm'));
    }
  });

  it('its log names the request that a client was told of, and never a password', async () => {
    const password = 'correct horse battery staple';
    await assert.rejects(service.client.logIn('admin', password), { code: 'ID.1000' });
    const answer = await service.client.http('GET', '/zstack/v1/zones?q=name=hidden');
    const id = answer.headers.get('x-request-id');
    const line = await until('the log line', () =>
      service
        .log()
        .split('\n')
        .find((each) => each.includes(`"reqId":"${id}"`)),
    );
    const entry = JSON.parse(line);
    assert.deepEqual([entry.method, entry.url, entry.status], ['GET', '/zstack/v1/zones', 200]);
    const digest = createHash('sha512').update(password).digest('hex');
    assert.match(service.log(), /a log-in failed/);
    for (const secret of [password, digest, service.client.session ?? '-', 'hidden']) {
      assert.equal(service.log().includes(secret), false, secret);
    }
  });
});
