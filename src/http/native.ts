/**
 * `/v1`: the same messages for new clients, derived from the same declarations. A body is the parameters and nothing
 * around them, actions have paths of their own, dates are ISO 8601, and the status is HTTP's own.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { fromErrorBody, IngotError } from '../kernel/errors.ts';
import type { AnsweredFile, Message } from '../kernel/message.ts';
import { nativeRoute } from '../kernel/native-route.ts';
import type { JobProgress } from '../long-job/progress.ts';
import { sendError, sendJson, statusOf } from './answers.ts';
import { type Authenticators, authentication } from './authentication.ts';
import { callHeaders } from './call-headers.ts';
import type { CallState, Dispatcher, Request } from './dispatcher.ts';
import { isoDate, presentAnswer } from './present.ts';
import { nativeParametersOf } from './request-parameters.ts';
import { addMessage, addRoutes, pathValues, type RouteTable } from './routes.ts';
import { sendFile } from './send-file.ts';

export const NATIVE_PREFIX = '/v1';

interface Parts {
  dispatcher: Dispatcher;
  authenticators: Authenticators;
  messages: readonly Message[];
  progressOf: (jobUuid: string) => Promise<JobProgress | undefined>;
}

export function addNativeRoutes(app: FastifyInstance, parts: Parts): void {
  const table: RouteTable<Message> = new Map();
  for (const message of parts.messages) {
    const { method, path } = nativeRoute(message);
    addMessage(table, path, method, message);
    for (const also of message.route.also) addMessage(table, also, method, message);
  }
  addRoutes(app, NATIVE_PREFIX, table, ([message, second]) => {
    if (!message || second)
      throw new Error(`${message?.name} and ${second?.name} have the same place in /v1`);
    return (request, reply) => serve(parts, message, request, reply);
  });
  app.get(`${NATIVE_PREFIX}/jobs/:uuid`, { exposeHeadRoute: false }, async (request, reply) => {
    const { uuid } = request.params as { uuid: string };
    return sendJson(reply, 200, await jobStatus(parts, uuid, await parts.dispatcher.stateOf(uuid)));
  });
}

async function serve(
  parts: Parts,
  message: Message,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { method, path } = nativeRoute(message);
  const inPath = pathValues([path, ...message.route.also], request);
  const call: Request = {
    message,
    parameters: nativeParametersOf(message, method !== 'GET' && method !== 'DELETE', {
      path: inPath,
      query: request.query as Record<string, unknown>,
      body: request.body,
    }),
    authenticate:
      message.caller === 'anyone'
        ? () => Promise.reject(new IngotError('ID.1001', 'no session is needed'))
        : authentication(parts.authenticators, request, 401),
    ...callHeaders(request),
  };
  const well =
    method === 'POST' && message.answer.kind === 'inventory' && message.route.body === 'params' ? 201 : 200;
  if (message.kind === 'sync') {
    const given = await parts.dispatcher.answer(call);
    if (message.answer.kind === 'file') return sendFile(given as unknown as AnsweredFile, request, reply);
    const answer = presentAnswer(message.answer, given, isoDate);
    if (message.query && inPath.uuid !== undefined)
      return sendOne(message, answer, String(inPath.uuid), reply);
    return sendJson(reply, well, answer);
  }
  const id = await parts.dispatcher.submit(call);
  const state = await parts.dispatcher.stateOf(id);
  // What is over already, for good or bad, needs no second question.
  if (state.state === 'done' && 'error' in state) throw fromErrorBody(state.error);
  if (state.state === 'done') return sendJson(reply, well, present(state));
  const location = `${NATIVE_PREFIX}/jobs/${id}`;
  reply.header('location', location).header('retry-after', '1');
  return sendJson(reply, 202, await jobStatus(parts, id, state));
}

function sendOne(
  message: Message,
  { inventories }: Record<string, unknown>,
  uuid: string,
  reply: FastifyReply,
): FastifyReply {
  const [inventory] = inventories as unknown[];
  if (inventory) return sendJson(reply, 200, { inventory });
  throw new IngotError('SYS.1003', `there is no ${message.resource?.name} with the uuid ${uuid}`);
}

/** What `GET /v1/jobs/{uuid}` tells, with `answer` or `error` where it is over. */
async function jobStatus(parts: Parts, uuid: string, state: CallState): Promise<Record<string, unknown>> {
  if (state.state === 'unknown') {
    throw new IngotError('SYS.1003', `there is no job ${uuid}, or its result has expired`);
  }
  const progress = await parts.progressOf(uuid);
  const outcome =
    state.state === 'processing'
      ? {}
      : 'error' in state
        ? { error: state.error }
        : { answer: present(state) };
  return {
    uuid,
    state: progress?.state ?? ('error' in outcome ? 'Failed' : 'Succeeded'),
    ...progress,
    createDate: isoDate(state.begun),
    ...(state.state === 'done' && { endDate: isoDate(state.ended) }),
    ...outcome,
  };
}

function present(state: Extract<CallState, { answer: unknown }>): Record<string, unknown> {
  return presentAnswer(state.message.answer, structuredClone(state.answer), isoDate);
}

/** An error as `/v1` tells it. */
export function sendNativeError(reply: FastifyReply, error: IngotError): FastifyReply {
  const status = statusOf(error);
  if (status === 401) reply.header('www-authenticate', 'OAuth');
  return sendError(reply, status, error.toBody());
}
