/** `/zstack/v1`: every message's route, from its declaration (zstack-api.md 1). */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { IngotError, toIngotError } from '../kernel/errors.ts';
import type { AnsweredFile, Message } from '../kernel/message.ts';
import { nearest } from '../kernel/nearest.ts';
import { parseValue } from '../kernel/parse.ts';
import { parseCondition } from '../query/condition.ts';
import { HttpProblem, sendError, sendJson } from './answers.ts';
import { type Authenticators, authentication } from './authentication.ts';
import { callHeaders } from './call-headers.ts';
import type { Dispatcher, Request } from './dispatcher.ts';
import { presentAnswer } from './present.ts';
import { parametersOf } from './request-parameters.ts';
import { addMessage, addRoutes, pathValues, type RouteTable } from './routes.ts';
import { schemaOf } from './schema-map.ts';
import { sendFile } from './send-file.ts';
import type { WebHooks } from './web-hooks.ts';

const PREFIX = '/zstack/v1';

/** What a 202 says of how long the call may take, in milliseconds; jobs have no limit of their own. */
const API_TIMEOUT = 72 * 3_600_000;

interface Parts {
  dispatcher: Dispatcher;
  authenticators: Authenticators;
  webHooks: WebHooks;
  messages: readonly Message[];
}

export function addRestRoutes(app: FastifyInstance, parts: Parts): void {
  const table: RouteTable<Message> = new Map();
  for (const message of parts.messages) {
    for (const path of [message.route.path, ...message.route.also]) {
      addMessage(table, path, message.route.method, message);
    }
  }
  addRoutes(app, PREFIX, table, (messages) => (request, reply) => {
    return serve(parts, pick(messages, request), request, reply);
  });
  app.get(`${PREFIX}/api-jobs/:uuid`, { exposeHeadRoute: false }, (request, reply) =>
    poll(parts, request, reply),
  );
  app.route({
    method: ['POST', 'PUT', 'PATCH', 'DELETE'],
    url: `${PREFIX}/api-jobs/:uuid`,
    handler: (_request, reply) => {
      reply.header('allow', 'GET');
      throw new HttpProblem(405, 'SYS.1008', 'a job is asked for with GET');
    },
  });
}

/** Which of the messages of one path is meant: for actions, the key in the body says so. */
function pick(messages: Message[], request: FastifyRequest): Message {
  const [only] = messages;
  if (only && messages.length === 1 && only.route.body !== 'action') return only;
  const body = request.body;
  const keys = typeof body === 'object' && body !== null ? Object.keys(body) : [];
  const found = messages.find((message) => keys.includes(message.action));
  if (found) return found;
  const known = messages.map((message) => message.action);
  const near = keys.map((key) => nearest(key, known)).find((name) => name !== undefined);
  throw new HttpProblem(
    400,
    'SYS.1007',
    `the body names no action of this path; known are ${known.join(', ')}${near ? `. Did you mean '${near}'?` : ''}`,
  );
}

async function serve(
  parts: Parts,
  message: Message,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const parameters = parametersOf(message, {
    path: pathValues([message.route.path, ...message.route.also], request),
    query: request.query as Record<string, unknown>,
    body: request.body,
  });
  if (message.query) requireReadable(message, parameters);
  const call: Request = {
    message,
    parameters,
    authenticate: authenticate(parts, message, request),
    ...callHeaders(request),
  };
  if (message.kind === 'sync') {
    const answer = await parts.dispatcher.answer(call);
    if (message.answer.kind === 'file') return sendFile(answer as unknown as AnsweredFile, request, reply);
    return sendJson(reply, 200, withSchema(message, presentAnswer(message.answer, answer), request));
  }
  const webHook = parts.webHooks.urlIn(request.headers);
  const id = await parts.dispatcher.submit(call);
  if (webHook !== undefined) await parts.webHooks.expect(id, webHook);
  return sendJson(reply, 202, {
    location: `${request.protocol}://${request.host}${PREFIX}/api-jobs/${id}`,
    apiTimeout: call.timeout ?? API_TIMEOUT,
  });
}

/** ZStack looks at these before the call becomes a message, so that they are 400 (zstack-api.md 1.8). */
function requireReadable(message: Message, { limit, start, conditions }: Record<string, unknown>): void {
  try {
    for (const condition of Array.isArray(conditions) ? conditions : []) parseCondition(condition);
    for (const [name, value] of Object.entries({ limit, start })) {
      const field = message.parameters[name];
      if (field && value !== undefined && value !== '') parseValue(name, field, value);
    }
  } catch (thrown) {
    const { code, details } = toIngotError(thrown);
    throw new HttpProblem(400, code, details);
  }
}

function authenticate(parts: Parts, message: Message, request: FastifyRequest): Request['authenticate'] {
  if (message.caller === 'anyone')
    return () => Promise.reject(new IngotError('ID.1001', 'no session is needed'));
  return authentication(parts.authenticators, request, 400);
}

/** A query's answer always has `schema`, an empty one unless `X-JSON-Schema` asks; others have it when asked. */
function withSchema(
  message: Message,
  answer: Record<string, unknown>,
  request: FastifyRequest,
): Record<string, unknown> {
  if (request.headers['x-json-schema'] !== undefined) {
    return { ...answer, schema: schemaOf(message.answer, answer) };
  }
  return message.query ? { ...answer, schema: {} } : answer;
}

/** Nobody is asked who polls: the uuid can't be guessed, and ZStack's clients rely on it (zstack-api.md 1.6). */
async function poll(parts: Parts, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const { uuid } = request.params as { uuid: string };
  const state = await parts.dispatcher.stateOf(uuid);
  if (state.state === 'processing') return sendJson(reply, 202, {});
  if (state.state === 'unknown') {
    throw new HttpProblem(404, 'SYS.1003', `there is no job ${uuid}, or its result has expired`);
  }
  if ('error' in state) return sendError(reply, 503, state.error);
  const answer = presentAnswer(state.message.answer, structuredClone(state.answer));
  return sendJson(reply, 200, withSchema(state.message, answer, request));
}
