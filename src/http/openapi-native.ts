/** The OpenAPI document of `/v1`, derived from the messages' declarations. */
import { type Message, pathVariables } from '../kernel/message.ts';
import { nativeRoute } from '../kernel/native-route.ts';
import {
  addressParameters,
  answerSchema,
  bodyFields,
  componentSchemas,
  ERROR_RESPONSE,
  fileResponses,
  ISO_DATE,
  type Json,
  jsonResponse,
  objectSchema,
  parameter,
} from './openapi-schemas.ts';

export function nativeOpenApiDocument(messages: readonly Message[], version: string): Json {
  const paths: Record<string, Record<string, Json>> = {};
  for (const message of messages) {
    const { method, path } = nativeRoute(message);
    for (const each of [path, ...message.route.also]) {
      paths[each] = { ...paths[each], [method.toLowerCase()]: operation(message, method, each) };
    }
  }
  paths['/jobs/{uuid}'] = { get: JOB };
  return {
    openapi: '3.1.0',
    info: {
      title: 'Ingot',
      version,
      description:
        'A VM image service. What works for long answers 202 with a job, and `Location` says where to ask for it; everything else answers with its result. Dates are ISO 8601, sizes bytes.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/v1' }],
    security: [{ session: [] }],
    paths,
    components: {
      schemas: { ...componentSchemas(messages, ISO_DATE), Job: JOB_SCHEMA },
      securitySchemes: {
        session: {
          type: 'http',
          scheme: 'bearer',
          description: "The session's uuid, from LogInByAccount.",
        },
      },
    },
  };
}

function operation(message: Message, method: string, path: string): Json {
  const variables = pathVariables(path);
  const byUuid = message.query && variables.length > 0;
  const inAddress = method === 'GET' || method === 'DELETE';
  return {
    operationId: byUuid ? message.action.replace(/^query/, 'get') : message.action,
    summary: byUuid ? `One ${message.resource?.name}` : message.name,
    description: `${message.doc}\n\nSource: ${message.source}. Caller: ${message.caller}.`,
    tags: [message.resource?.name ?? 'Service'],
    ...(message.caller === 'anyone' && { security: [] }),
    parameters: [
      ...variables.map((name) => parameter(name, 'path', message.parameters[name], ISO_DATE)),
      ...(inAddress && !byUuid ? addressParameters(message, variables, ISO_DATE) : []),
    ],
    ...(!inAddress && {
      requestBody: {
        content: { 'application/json': { schema: objectSchema(bodyFields(message, variables), ISO_DATE) } },
      },
    }),
    responses: responses(message, method, byUuid),
  };
}

function responses(message: Message, method: string, byUuid: boolean): Json {
  const { answer: declared } = message;
  const one = byUuid && declared.kind === 'inventories';
  const answer = answerSchema(one ? { kind: 'inventory', of: declared.of } : declared, ISO_DATE);
  const errors = Object.fromEntries(
    [400, 401, 403, 404, 409, 422, 500].map((status) => [status, ERROR_RESPONSE]),
  );
  if (declared.kind === 'file') return { ...fileResponses(message.doc), ...errors };
  if (message.kind === 'job') {
    const reference = { $ref: '#/components/schemas/Job' };
    return {
      200: jsonResponse('Nothing was to be done.', { type: 'object' }),
      202: {
        ...jsonResponse(
          'Under way. The job ends with `answer`, as `x-ingot-answer` describes it, or `error`.',
          reference,
        ),
        headers: { location: { description: 'Where to ask for the job.', schema: { type: 'string' } } },
        'x-ingot-answer': answer,
      },
      ...errors,
    };
  }
  const made = method === 'POST' && message.answer.kind === 'inventory' && message.route.body === 'params';
  return { [made ? 201 : 200]: jsonResponse(message.doc, answer), ...errors };
}

const JOB_SCHEMA: Json = {
  type: 'object',
  required: ['uuid', 'state'],
  properties: {
    uuid: { type: 'string' },
    message: { type: 'string', description: 'What was called.' },
    state: { type: 'string', enum: ['Waiting', 'Running', 'Canceling', 'Succeeded', 'Canceled', 'Failed'] },
    percent: { type: 'integer' },
    bytesDone: { type: 'integer' },
    bytesTotal: { type: 'integer' },
    bytesResumed: {
      type: 'integer',
      description: 'Bytes found good after an interruption and not moved again.',
    },
    bytesPerSecond: { type: 'integer' },
    secondsLeft: { type: 'integer' },
    placeInLine: {
      type: 'integer',
      description: 'Of a job that waits for a free place: 1 is the next to begin.',
    },
    createDate: ISO_DATE,
    endDate: ISO_DATE,
    answer: { type: 'object', description: 'Of a job that succeeded.' },
    error: { $ref: '#/components/schemas/Error' },
  },
};

const JOB: Json = {
  operationId: 'getJob',
  summary: 'How a call that works for long is getting on',
  description: 'No session is asked for: the uuid can not be guessed.',
  tags: ['LongJob'],
  security: [],
  parameters: [{ name: 'uuid', in: 'path', required: true, schema: { type: 'string' } }],
  responses: {
    200: jsonResponse('The job.', { $ref: '#/components/schemas/Job' }),
    404: ERROR_RESPONSE,
  },
};
