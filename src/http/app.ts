/** The HTTP side: routes, request ids, errors, metrics. */
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyRequest,
  LogController,
} from 'fastify';
import { Histogram } from 'prom-client';
import type { Uploads } from '../image/upload/uploads.ts';
import { IngotError, toIngotError } from '../kernel/errors.ts';
import { shorten } from '../kernel/format.ts';
import { jsonFault } from '../kernel/json-fault.ts';
import type { Log } from '../kernel/log.ts';
import { type AnsweredFile, type Message, pathVariables } from '../kernel/message.ts';
import { metrics } from '../kernel/metrics.ts';
import type { JobProgress } from '../long-job/progress.ts';
import { HttpProblem, sendError, sendJson } from './answers.ts';
import type { Authenticators } from './authentication.ts';
import { addCompression } from './compression.ts';
import { Connections } from './connections.ts';
import type { Dispatcher } from './dispatcher.ts';
import { addDocumentation } from './documentation.ts';
import { addExports } from './exports.ts';
import { addJsonMessages } from './json-messages.ts';
import { addNativeRoutes, NATIVE_PREFIX, sendNativeError } from './native.ts';
import { addRestRoutes } from './rest.ts';
import { alwaysSaid } from './security-headers.ts';
import { guardBodies, limitBody } from './slow-bodies.ts';
import { addUploads } from './uploads.ts';
import type { WebHooks } from './web-hooks.ts';

/** Certificate with its chain and private key, in PEM. */
export interface TlsIdentity {
  cert: string;
  key: string;
}

interface Parts {
  dispatcher: Dispatcher;
  authenticators: Authenticators;
  webHooks: WebHooks;
  progressOf: (jobUuid: string) => Promise<JobProgress | undefined>;
  messages: readonly Message[];
  log: Log;
  version: string;
  uploads: Uploads;
  /** What was exported under the key; undefined where nothing is. */
  exportedFile: (key: string) => Promise<AnsweredFile | undefined>;
  /** With it, https is spoken and no http. */
  tls?: TlsIdentity | undefined;
  /** Whose X-Forwarded-* headers are believed: addresses and networks. */
  trustedProxies: string[];
  /** How long a caller may take to send a whole call, in milliseconds. */
  requestTimeout: number;
  /** How long a caller may take no byte of an answer, in milliseconds. */
  answerTimeout: number;
  /** Rejects, saying why, while the service can't do its work. */
  ready: () => Promise<void>;
}

const latency = new Histogram({
  name: 'ingot_http_request_seconds',
  help: 'How long calls took to be answered, in seconds, by route and status.',
  labelNames: ['method', 'route', 'status'],
  buckets: [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10],
  registers: [metrics],
});

/** How long a caller may take to send the head of a call, in milliseconds, where not even less for all of it. */
const HEAD_TIMEOUT = 20_000;

export function createApp(parts: Parts): FastifyInstance {
  const { tls, requestTimeout, answerTimeout, trustedProxies } = parts;
  const headTimeout = Math.min(HEAD_TIMEOUT, requestTimeout);
  const connections = new Connections({ patience: answerTimeout, proxies: trustedProxies });
  const server = {
    // A query may name thousands of uuids, and they travel in its first line.
    maxHeaderSize: 131_072,
    headersTimeout: headTimeout,
    // An upload takes as long as it takes; see guardBodies for all else.
    requestTimeout: 0,
    keepAliveTimeout: 72_000,
    // It is looked at the heads so often: their time is kept to by half of itself.
    connectionsCheckingInterval: Math.min(5000, requestTimeout / 2),
  };
  const app = Fastify({
    serverFactory: (answer) => {
      const handler = connections.handler(answer);
      return tls
        ? createTlsServer({ ...server, ...tls, handshakeTimeout: headTimeout }, handler)
        : createServer(server, handler);
    },
    trustProxy: trustedProxies.length > 0 && trustedProxies,
    // Fastify's own news (where it listens) are told by `serve` in words of its own.
    loggerInstance: parts.log.child({}, { level: quieter(parts.log.level) }) as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: () => randomUUID(),
    // A logger for each call costs more than many a call; what is logged of one names it.
    childLoggerFactory: (logger) => logger,
    bodyLimit: 1_048_576,
    // Calls under way are answered; whoever stops the service bounds the wait.
    forceCloseConnections: 'idle',
    routerOptions: { ignoreTrailingSlash: true },
    // What fails before there is a route, and before any hook: a path that can't be read.
    frameworkErrors: (error, request, reply) => {
      limitBody(request.raw, requestTimeout);
      reply.headers(alwaysSaid(request));
      const details =
        error.code === 'FST_ERR_MAX_PARAM_LENGTH'
          ? `a part of the path ${shorten(pathOf(request))} is too long`
          : `the path ${shorten(pathOf(request))} is not a valid URL`;
      return sendError(reply, error.statusCode ?? 400, new IngotError('SYS.1007', details).toBody());
    },
  });

  connections.guard(app.server, tls !== undefined);
  app.addHook('preClose', async () => connections.closeHandshakes());

  // ZStack's clients send a JSON content type with an empty body too; and what is not JSON gets a 400 of ours.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => {
    if (body === '') return done(null, undefined);
    try {
      done(null, JSON.parse(body as string));
    } catch (error) {
      done(new HttpProblem(400, 'SYS.1007', `the body is not JSON: ${jsonFault(error)}`));
    }
  });

  const secretVariables = new Set(parts.messages.flatMap(secretVariablesOf));
  addCompression(app);
  guardBodies(app, requestTimeout);
  app.addHook('onSend', (request, reply, payload, done) => {
    const own = reply.getHeader('content-security-policy');
    reply.headers(alwaysSaid(request));
    if (own !== undefined) reply.header('content-security-policy', own);
    done(null, payload);
  });
  app.addHook('onResponse', (request, reply, done) => {
    const route = request.routeOptions.url ?? 'unknown';
    latency.observe({ method: request.method, route, status: reply.statusCode }, reply.elapsedTime / 1000);
    parts.log.debug(
      {
        reqId: request.id,
        method: request.method,
        url: shownPath(request, secretVariables),
        status: reply.statusCode,
        ms: Math.round(reply.elapsedTime),
      },
      'call',
    );
    done();
  });
  app.setErrorHandler((thrown, request, reply) => {
    const error = toIngotError(thrown);
    if (thrown instanceof HttpProblem && thrown.plain) {
      return reply.code(thrown.status).type('text/plain;charset=utf-8').send(thrown.details);
    }
    const native = request.url.startsWith(`${NATIVE_PREFIX}/`);
    if (native && thrown instanceof IngotError) return sendNativeError(reply, error);
    if (thrown instanceof HttpProblem) return sendError(reply, thrown.status, error.toBody());
    const status = (thrown as { statusCode?: number }).statusCode;
    if (!(thrown instanceof IngotError) && status !== undefined && status < 500) {
      return sendError(reply, status, new IngotError('SYS.1007', error.details).toBody());
    }
    if (error.code === 'SYS.1000')
      parts.log.error({ reqId: request.id, err: thrown }, 'a call failed unexpectedly');
    if (native) return sendNativeError(reply, error);
    return sendError(reply, 503, error.toBody());
  });
  app.setNotFoundHandler((request, reply) => {
    const path = pathOf(request);
    const hint = path.startsWith('/zstack')
      ? 'GET /openapi.json lists what there is'
      : 'the API is below /v1, and as ZStack has it below /zstack/v1';
    return sendError(
      reply,
      404,
      new IngotError('SYS.1008', `there is nothing at ${shorten(path)}; ${hint}`).toBody(),
    );
  });

  app.get('/healthz', (_request, reply) => sendJson(reply, 200, { status: 'ok' }));
  app.get('/readyz', async (_request, reply) => {
    try {
      await parts.ready();
      return sendJson(reply, 200, { status: 'ready' });
    } catch (error) {
      return sendJson(reply, 503, { status: 'not ready', reason: toIngotError(error).details });
    }
  });
  app.get('/metrics', async (_request, reply) =>
    reply.header('content-type', metrics.contentType).send(await metrics.metrics()),
  );
  addRestRoutes(app, parts);
  addNativeRoutes(app, parts);
  addJsonMessages(app, parts);
  addDocumentation(app, parts);
  addExports(app, parts);
  addUploads(app, parts);
  return app;
}

/** The variables of a message's path that are secrets, as a session's uuid is. */
function secretVariablesOf({ route, parameters }: Message): string[] {
  return pathVariables(route.path).filter((name) => parameters[name]?.secret);
}

/** The path as it may be logged: without its variables where one of them is a secret. */
function shownPath({ url, params, routeOptions }: FastifyRequest, secret: ReadonlySet<string>): string {
  // The keys of exports and uploads are for those alone who were given them.
  if (/^\/(exports|uploads)\//.test(url)) return routeOptions.url ?? '';
  const names = Object.keys((params ?? {}) as Record<string, string>);
  return (names.some((name) => secret.has(name)) ? routeOptions.url : pathOf({ url })) ?? '';
}

function pathOf({ url }: { url: string }): string {
  return url.split('?', 1)[0] ?? '';
}

function quieter(level: string): string {
  return level === 'info' || level === 'debug' || level === 'trace' ? 'warn' : level;
}
