/** From an HTTP request to a message's parameters, in the shapes ZStack's clients send (zstack-api.md 1.7, 1.11). */
import { IngotError } from '../kernel/errors.ts';
import { shorten } from '../kernel/format.ts';
import type { Message } from '../kernel/message.ts';
import { didYouMean } from '../kernel/nearest.ts';
import { HttpProblem } from './answers.ts';

type Members = Record<string, unknown>;

export interface Wire {
  path: Members;
  query: Members;
  body: unknown;
}

export function parametersOf(message: Message, wire: Wire): Members {
  if (message.query) return queryParameters(message, wire);
  const own =
    message.route.body === 'query' ? fromQueryString(message, wire.query) : fromBody(message, wire.body);
  // What stands in the path is meant, whatever the body says.
  return { ...own, ...wire.path };
}

/** The same for `/v1`: a body is the parameters and nothing around them. */
export function nativeParametersOf(message: Message, inBody: boolean, wire: Wire): Members {
  if (message.query) return queryParameters(message, wire);
  if (!inBody) return { ...fromQueryString(message, wire.query), ...wire.path };
  const { body } = wire;
  if (body === undefined || body === null) return { ...wire.path };
  if (typeof body !== 'object' || Array.isArray(body)) {
    throw new IngotError('SYS.1007', `the body of ${message.name} is not a JSON object`);
  }
  return { ...body, ...wire.path };
}

/** The same for a JSON message: its members are the parameters, but for some that mean nothing here. */
export function messageParametersOf(message: Message, members: Members): Members {
  if (!message.query) return members;
  return Object.fromEntries(Object.entries(members).filter(([name]) => !WITHOUT_EFFECT.has(name)));
}

function fromBody(message: Message, body: unknown): Members {
  if (body === undefined || body === null) return {};
  if (typeof body !== 'object' || Array.isArray(body)) throw malformed(message, 'is not a JSON object');
  const members = body as Members;
  const key = message.route.body === 'params' ? 'params' : message.action;
  const { systemTags, userTags, ...rest } = members;
  const inner = members[key];
  if (inner === undefined || inner === null) {
    const others = Object.keys(rest);
    if (others.length === 0) return tagsFor(message, members);
    throw malformed(
      message,
      `has no member '${key}', but ${shorten(others.map((name) => `'${name}'`).join(', '))}`,
    );
  }
  if (typeof inner !== 'object' || Array.isArray(inner))
    throw malformed(message, `has '${key}' that is not an object`);
  const { systemTags: innerSystem, userTags: innerUser, ...parameters } = inner as Members;
  // Clients write them beside the parameters or among them; what stands beside wins (zstack-api.md 1.7).
  return {
    ...parameters,
    ...tagsFor(message, { systemTags: systemTags ?? innerSystem, userTags: userTags ?? innerUser }),
  };
}

/** The tags where the message takes any; clients send them, mostly empty, with every call. */
function tagsFor(message: Message, { systemTags, userTags }: Members): Members {
  return {
    ...(message.parameters.systemTags && systemTags !== undefined && { systemTags }),
    ...(message.parameters.userTags && userTags !== undefined && { userTags }),
  };
}

function malformed(message: Message, problem: string): HttpProblem {
  const example = message.route.body === 'params' ? '{"params":{…}}' : `{"${message.action}":{…}}`;
  return new HttpProblem(400, 'SYS.1007', `the body of ${message.name} ${problem}; it should be ${example}`);
}

/** Lists come as repeated keys, or as `name.0`, `name.1`. */
function fromQueryString(message: Message, query: Members): Members {
  const parameters: Members = {};
  for (const [key, value] of Object.entries(query)) {
    if (key === 'systemTags' || key === 'userTags') continue;
    const indexed = /^(\w+)\.\d+$/.exec(key)?.[1];
    const name = indexed ?? key;
    if (message.parameters[name]?.kind === 'list') {
      parameters[name] = [
        ...((parameters[name] as unknown[] | undefined) ?? []),
        ...[value].flat().flatMap(splitPlain),
      ];
    } else {
      parameters[name] = Array.isArray(value) ? value.at(-1) : value;
    }
  }
  return parameters;
}

/** A comma can't be part of the list items that travel in query strings (uuids). */
function splitPlain(value: unknown): unknown[] {
  return typeof value === 'string' ? value.split(',').filter((item) => item !== '') : [value];
}

/** Query parameters that ZStack's clients send and that have no effect, there or here. */
const WITHOUT_EFFECT = new Set(['groupBy', 'filterName', 'systemTags', 'userTags', 'timeout', 'requestIp']);

function queryParameters(message: Message, { path, query }: Wire): Members {
  // By uuid all other parameters are ignored, and what does not exist is an empty list (zstack-api.md 1.11).
  if (path.uuid !== undefined) return { conditions: [{ name: 'uuid', op: '=', value: String(path.uuid) }] };
  const parameters: Members = {};
  for (const [key, value] of Object.entries(query)) {
    if (key === 'q') parameters.conditions = [value].flat();
    else if (key === 'sort') parameters.sortBy = [value].flat().join(',');
    else if (key === 'fields')
      parameters.fields = String([value].flat())
        .split(',')
        .map((name) => name.trim())
        .filter(Boolean);
    else if (!WITHOUT_EFFECT.has(key)) {
      if (!Object.hasOwn(message.parameters, key)) {
        const known = [
          'q',
          'sort',
          'fields',
          ...Object.keys(message.parameters).filter((name) => name !== 'conditions'),
        ];
        throw new IngotError(
          'SYS.1007',
          `${message.name} has no parameter '${shorten(key)}'${didYouMean(key, known)} (conditions are given as q=${shorten(key)}=…)`,
          { opaque: { parameter: shorten(key) } },
        );
      }
      parameters[key] = Array.isArray(value) ? value.at(-1) : value;
    }
  }
  return parameters;
}
