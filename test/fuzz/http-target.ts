/** HTTP: every message over each wire with parameters of any shape, and bodies that are nearly right. */
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import { ADMIN_UUID } from '../../src/account/account.ts';
import { messages } from '../../src/catalogue.ts';
import type { AnyField } from '../../src/kernel/field.ts';
import { type Message, pathVariables } from '../../src/kernel/message.ts';
import { nativeRoute } from '../../src/kernel/native-route.ts';
import { Workbench } from '../disk/workbench.ts';
import { type HttpAnswer, startTestService, type TestService } from '../support/service.ts';
import { queryText } from './query-target.ts';
import { target } from './target.ts';

interface Input {
  wire: 'rest' | 'json' | 'native';
  message: string;
  parameters: Record<string, unknown>;
  /** Characters of the body that are replaced. */
  spoilt?: { at: number; length: number; text: string };
  session: boolean;
}

/** What would end the session that all others need, or the account. */
const LEFT_OUT = ['LogOut', 'UpdateAccount', 'DeleteAccount'];
const ASKED = messages.filter(({ name }) => !LEFT_OUT.includes(name));

/** Without a slash: what a storage could take for a path, and make a directory of. */
const harmless = (text: string) => text.replaceAll('/', '');
const junk = fc.oneof(
  fc.string({ maxLength: 20, unit: 'binary' }).map(harmless),
  queryText.map(harmless),
  fc.constantFrom('', 'x'.repeat(70_000), '\u0000', '\ud800', '__proto__', '-1', '1e400', 'null', 'true'),
  fc.constantFrom(null, true, -1, 0, 1.5, 1e308, 2 ** 53, [], {}),
  fc.jsonValue({ maxDepth: 2, noUnicodeString: false }).map(withoutSlashes),
);
const uuids = fc.constantFrom(ADMIN_UUID, '0'.repeat(32), 'f'.repeat(32), 'F'.repeat(32), 'no uuid');

function withoutSlashes(value: unknown): unknown {
  if (typeof value === 'string') return harmless(value);
  if (Array.isArray(value)) return value.map(withoutSlashes);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [harmless(name), withoutSlashes(member)]),
  );
}

function anyValueOf(field: AnyField): fc.Arbitrary<unknown> {
  return fc.oneof({ weight: 3, arbitrary: fitting(field) }, { weight: 1, arbitrary: junk });
}

function fitting(field: AnyField): fc.Arbitrary<unknown> {
  if (field.kind === 'uuid') return uuids;
  if (field.kind === 'boolean') return fc.oneof(fc.boolean(), fc.constantFrom('true', 'false'));
  if (field.kind === 'choice')
    return fc.constantFrom(...Object.keys(field.choices), ...Object.keys(field.aliases));
  if (field.kind === 'integer') {
    return fc.oneof(
      fc.integer({ min: 0, max: 100 }),
      fc.constantFrom(field.min, field.max, field.min - 1, field.max + 1, '10G', '-0', '0x10', 0.5),
    );
  }
  if (field.kind === 'list') return fc.array(anyValueOf(field.element), { maxLength: 4 });
  if (field.kind === 'json') return fc.jsonValue({ maxDepth: 3 }).map(withoutSlashes);
  if (field.url)
    return fc.constantFrom('http://127.0.0.1:1', 'http://[::1', 'file:x', 'ftp:', 'http://a:b@127.0.0.1:1');
  return fc.oneof(fc.string({ maxLength: 20 }).map(harmless), queryText.map(harmless));
}

function parametersOf(message: Message): fc.Arbitrary<Record<string, unknown>> {
  const known = Object.fromEntries(
    Object.entries(message.parameters).map(([name, field]) => [name, anyValueOf(field)]),
  );
  const needed = Object.keys(known).filter((name) => message.parameters[name]?.presence === 'required');
  return fc.oneof(
    { weight: 4, arbitrary: fc.record(known, { requiredKeys: needed }) },
    { weight: 1, arbitrary: fc.record(known, { requiredKeys: [] }) },
    {
      weight: 1,
      arbitrary: fc
        .tuple(
          fc.record(known, { requiredKeys: needed }),
          fc.dictionary(fc.string({ maxLength: 8 }).map(harmless), junk, { maxKeys: 3 }),
        )
        .map(([fit, more]) => ({ ...fit, ...more })),
    },
  );
}

const inputs: fc.Arbitrary<Input> = fc.constantFrom(...ASKED).chain((message) =>
  fc
    .record({
      wire: fc.constantFrom('rest' as const, 'json' as const, 'native' as const),
      message: fc.constant(message.name),
      parameters: parametersOf(message),
      spoilt: fc.option(
        fc.record({
          at: fc.nat(200),
          length: fc.nat(10),
          text: fc.oneof(
            fc.constantFrom('', '"', '{', '}', '[', ']', '\\', ':', ',', '\u0000', '{"', '\\ud800'),
            fc.string({ maxLength: 5 }).map(harmless),
          ),
        }),
        { freq: 5, nil: undefined },
      ),
      session: fc.boolean().map((first) => first || message.caller === 'anyone'),
    })
    .map(({ spoilt, ...rest }) => ({ ...rest, ...(spoilt && { spoilt }) })),
);

/** The service is one for many inputs: what one has done must not make another fail. */
let service: TestService | undefined;
let bench: Workbench | undefined;

export const httpTarget = {
  ...target<Input>({ name: 'http', inputs, run }),
  async begin() {
    bench = new Workbench();
    service = await startTestService({ data: bench.path('data'), settings: { logLevel: 'warn' } });
  },
  async end() {
    await service?.stop();
    service = undefined;
    bench?.remove();
  },
};

async function run(input: Input): Promise<void> {
  assert.ok(service, 'the service was not begun');
  const message = ASKED.find(({ name }) => name === input.message);
  // A message of another version of ours, in the corpus.
  if (!message) return;
  const { method, path, body } = exchangeOf(message, input, service.client.session ?? '');
  const text = body === undefined ? undefined : spoil(JSON.stringify(body), input.spoilt);
  const answer = await service.client.http(method, path, {
    ...(text !== undefined && { body: text }),
    ...(!input.session && { headers: { authorization: '' } }),
  });
  check(answer, input.wire);
  const location = answer.json.location ?? (answer.json.uuid && `/zstack/api/result/${answer.json.uuid}`);
  if (answer.status === 202 || answer.json.state === 'Processing')
    await follow(service, String(location), input.wire);
  assert.doesNotMatch(service.log(), /failed unexpectedly|"level":[56]0/);
}

interface Exchange {
  method: string;
  path: string;
  body?: unknown;
}

function exchangeOf(message: Message, { wire, parameters }: Input, session: string): Exchange {
  if (wire === 'json') {
    const name = `${message.zstackPackage}.API${message.name}Msg`;
    return {
      method: 'POST',
      path: '/zstack/api',
      body: { [name]: { ...parameters, session: { uuid: session } } },
    };
  }
  if (wire === 'rest') return restExchange(message, parameters);
  const { method, path } = nativeRoute(message);
  const rest = { ...parameters };
  const filled = pathVariables(path).reduce((text, name) => {
    const value = rest[name];
    delete rest[name];
    return text.replace(`{${name}}`, encodeURIComponent(textOf(value)));
  }, path);
  if (method !== 'GET' && method !== 'DELETE') return { method, path: `/v1${filled}`, body: rest };
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(rest)) query.append(name, textOf(value));
  return { method, path: `/v1${filled}?${query}`.slice(0, 60_000) };
}

/** As ZStack's clients send it, from the declaration of its route. */
function restExchange(message: Message, parameters: Readonly<Record<string, unknown>>): Exchange {
  const { method, path, body } = message.route;
  const rest = { ...parameters };
  let target = `/zstack/v1${path}`;
  for (const name of pathVariables(path)) {
    target = target.replace(`{${name}}`, encodeURIComponent(textOf(rest[name])));
    delete rest[name];
  }
  if (body !== 'query') {
    return { method, path: target, body: { [body === 'params' ? 'params' : message.action]: rest } };
  }
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(rest)) {
    for (const each of [value].flat()) query.append(name, textOf(each));
  }
  return { method, path: `${target}?${query}`.slice(0, 60_000) };
}

/** What a client makes of a value that is to stand in an address; not every object has a text of its own. */
function textOf(value: unknown): string {
  const text = typeof value === 'object' ? JSON.stringify(value) : String(value);
  return text.toWellFormed();
}

function spoil(text: string, spoilt: Input['spoilt']): string {
  if (!spoilt) return text;
  const at = spoilt.at % (text.length + 1);
  return text.slice(0, at) + spoilt.text + text.slice(at + spoilt.length);
}

/** Asks for the end of what was begun, for a while: a download from nowhere is tried for longer. */
async function follow(
  { client, address }: TestService,
  location: string,
  wire: Input['wire'],
): Promise<void> {
  const { pathname } = new URL(location, address);
  for (let tries = 0; tries < 10; tries++) {
    const answer = await client.http('GET', pathname);
    check(answer, wire);
    if (answer.status !== 202 && answer.json.state !== 'Processing' && answer.json.state !== 'Running')
      return;
    await delay(tries);
  }
}

/** Every answer is one that the documentation knows; an internal error never is. */
function check(answer: HttpAnswer, wire: Input['wire']): void {
  assert.notEqual(answer.status, 500, answer.text);
  assert.ok(answer.status < 504, `${answer.status}: ${answer.text}`);
  const error = wire === 'json' && answer.status === 200 ? errorInside(answer) : answer.json.error;
  if (answer.status >= 400) assert.ok(error, `an error without a body: ${answer.status} ${answer.text}`);
  if (!error) return;
  assert.match(error.code, /^[A-Z_]+\.1\d{3}$/, answer.text);
  assert.notEqual(error.code, 'SYS.1000', answer.text);
  assert.ok(error.description && error.details, answer.text);
}

function errorInside(answer: HttpAnswer): { code: string; description: string; details: string } | undefined {
  if (answer.json.state !== 'Done') return undefined;
  const [inside] = Object.values(JSON.parse(answer.json.result) as Record<string, { error?: never }>);
  return inside?.error;
}
