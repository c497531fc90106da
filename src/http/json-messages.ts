/**
 * `/zstack/api`: messages as JSON, as ZStack's command line sends them (zstack-api.md 7.1). The answer is always
 * 200; whether it went well stands in `result`, which is JSON as text.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type ErrorBody, IngotError, toIngotError } from '../kernel/errors.ts';
import { shorten } from '../kernel/format.ts';
import type { Log } from '../kernel/log.ts';
import type { Message } from '../kernel/message.ts';
import { didYouMean } from '../kernel/nearest.ts';
import { HttpProblem, sendJson } from './answers.ts';
import type { Authenticators } from './authentication.ts';
import type { CallState, Dispatcher, Request } from './dispatcher.ts';
import { presentAnswer, zstackDate } from './present.ts';
import { messageParametersOf } from './request-parameters.ts';

export const MESSAGE_PATH = '/zstack/api';

interface Parts {
  dispatcher: Dispatcher;
  authenticators: Authenticators;
  messages: readonly Message[];
  log: Log;
}

type Members = Record<string, unknown>;

/** Whose name the answer has where the message can't be known. */
const SOME_REPLY = 'org.zstack.header.message.APIReply';

export function addJsonMessages(app: FastifyInstance, parts: Parts): void {
  const byClass = new Map(parts.messages.map((message) => [classOf(message), message]));
  app.route({
    method: ['POST', 'PUT'],
    url: MESSAGE_PATH,
    handler: (request, reply) => receive(parts, byClass, request, reply),
    errorHandler: (error, _request, reply) => sendJson(reply, 200, failure(SOME_REPLY, toIngotError(error))),
  });
  app.get(`${MESSAGE_PATH}/result/:uuid`, { exposeHeadRoute: false }, async (request, reply) => {
    const { uuid } = request.params as { uuid: string };
    const state = await parts.dispatcher.stateOf(uuid);
    if (state.state === 'unknown') {
      throw new HttpProblem(404, 'SYS.1003', `there is no result ${uuid}, or it has expired`);
    }
    return sendJson(reply, 200, resultOf(uuid, state));
  });
}

const classOf = (message: Message) => `${message.zstackPackage}.API${message.name}Msg`;
const answerClassOf = (message: Message) => `${message.zstackPackage}.${message.zstackAnswer}`;

async function receive(
  parts: Parts,
  byClass: ReadonlyMap<string, Message>,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  let answerClass = SOME_REPLY;
  try {
    const { name, members } = readBody(request.body);
    const message = find(byClass, name);
    if (message.answer.kind === 'file')
      throw new IngotError('SYS.1013', `${message.name} answers with bytes: GET /v1${message.route.path}`);
    answerClass = answerClassOf(message);
    const call: Request = {
      message,
      parameters: messageParametersOf(message, withoutSession(message, members)),
      authenticate: () => parts.authenticators.sessions.callerOf(sessionIn(members)),
      from: request.ip,
      ...timeoutIn(members),
    };
    const now = zstackDate(parts.authenticators.clock.now());
    if (message.kind === 'sync') {
      const answer = presentAnswer(message.answer, await parts.dispatcher.answer(call));
      return sendJson(reply, 200, done(answerClass, { ...answer, success: true }, now, now));
    }
    const uuid = await parts.dispatcher.submit(call);
    return sendJson(reply, 200, { uuid, state: 'Processing', createdDate: now });
  } catch (thrown) {
    const error = toIngotError(thrown);
    if (error.code === 'SYS.1000') parts.log.error({ err: thrown }, 'a call failed unexpectedly');
    return sendJson(reply, 200, failure(answerClass, error));
  }
}

function readBody(body: unknown): { name: string; members: Members } {
  const entries = typeof body === 'object' && body !== null ? Object.entries(body) : [];
  const [name, members] = entries[0] ?? [];
  if (entries.length === 1 && name !== undefined && typeof members === 'object' && members !== null) {
    return { name, members: members as Members };
  }
  throw new IngotError(
    'SYS.1007',
    'the body must be a JSON object of one member, such as {"org.zstack.header.image.APIQueryImageMsg": {…}}',
  );
}

/** By its full name, or by the last part alone: clients of other versions have other packages. */
function find(byClass: ReadonlyMap<string, Message>, name: string): Message {
  const known = byClass.get(name);
  if (known) return known;
  const last = name.slice(name.lastIndexOf('.') + 1);
  for (const [fullName, message] of byClass) if (fullName.endsWith(`.${last}`)) return message;
  throw new IngotError(
    'SYS.1008',
    `there is no message '${shorten(name)}'${didYouMean(
      last,
      [...byClass.values()].map((message) => `API${message.name}Msg`),
    )}`,
  );
}

function sessionIn(members: Members): string {
  const uuid = (members.session as { uuid?: unknown } | undefined)?.uuid;
  if (typeof uuid === 'string') return uuid;
  throw new IngotError('ID.1001', "the message has no 'session' with a 'uuid'; log in first");
}

/** Null members are absent; `session` and `timeout` are not the message's own. */
function withoutSession(message: Message, members: Members): Members {
  return Object.fromEntries(
    Object.entries(members).filter(
      ([name, value]) =>
        value !== null &&
        (Object.hasOwn(message.parameters, name) || (name !== 'session' && name !== 'timeout')),
    ),
  );
}

/** `timeout` in milliseconds, where it is a number at all. */
function timeoutIn(members: Members): { timeout?: number } {
  const timeout = Number(members.timeout);
  return Number.isInteger(timeout) && timeout > 0 ? { timeout } : {};
}

function resultOf(uuid: string, state: Exclude<CallState, { state: 'unknown' }>): Members {
  const createdDate = zstackDate(state.begun);
  if (state.state === 'processing') return { uuid, state: 'Processing', createdDate };
  const name = answerClassOf(state.message);
  const answer =
    'error' in state
      ? { apiId: uuid, success: false, error: state.error }
      : { apiId: uuid, success: true, ...presentAnswer(state.message.answer, structuredClone(state.answer)) };
  return { uuid, ...done(name, answer, createdDate, zstackDate(state.ended)) };
}

/** The answer to a message is JSON inside of JSON, however long. */
function done(name: string, answer: Members, createdDate: string, finishedDate: string): Members {
  return { createdDate, finishedDate, state: 'Done', result: JSON.stringify({ [name]: answer }) };
}

function failure(name: string, error: { toBody(): ErrorBody }): Members {
  const now = zstackDate(Date.now());
  return done(name, { success: false, error: error.toBody() }, now, now);
}
