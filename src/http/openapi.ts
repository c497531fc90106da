/** The OpenAPI document of `/zstack/v1`, derived from the messages' declarations. */
import { type Message, pathVariables } from '../kernel/message.ts';
import {
  addressParameters,
  answerSchema,
  bodyFields,
  componentSchemas,
  ERROR_RESPONSE,
  fileResponses,
  type Json,
  jsonResponse,
  objectSchema,
  parameter,
  ZSTACK_DATE,
} from './openapi-schemas.ts';

export function openApiDocument(messages: readonly Message[], version: string): Json {
  const paths: Record<string, Record<string, Json>> = {};
  for (const message of messages) {
    for (const path of [message.route.path, ...message.route.also]) addOperation(paths, path, message);
  }
  paths['/api-jobs/{uuid}'] = { get: POLL };
  return {
    openapi: '3.1.0',
    info: {
      title: 'Ingot, as ZStack has it',
      version,
      description:
        'A VM image service with the API of the ZStack manual. Asynchronous calls answer 202 with a `location` to poll: 202 while under way, then 200 with the answer or 503 with the error. New clients better use `/v1` (`/v1/openapi.json`).',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/zstack/v1' }],
    security: [{ session: [] }],
    paths,
    components: {
      schemas: componentSchemas(messages, ZSTACK_DATE),
      securitySchemes: {
        session: {
          type: 'apiKey',
          in: 'header',
          name: 'Authorization',
          description:
            '`OAuth <session uuid>`, from LogInByAccount; or `ZStack <access key id>:<signature>` with a Date.',
        },
      },
    },
  };
}

function addOperation(paths: Record<string, Record<string, Json>>, path: string, message: Message): void {
  const method = message.route.method.toLowerCase();
  // Two messages may name the same variable differently; to OpenAPI they are one path.
  const shape = path.replace(/\{\w+\}/g, '{}');
  const known = Object.keys(paths).find((each) => each.replace(/\{\w+\}/g, '{}') === shape) ?? path;
  const item = paths[known] ?? {};
  paths[known] = item;
  const existing = item[method];
  if (existing) {
    mergeAction(existing, message);
    return;
  }
  const variables = pathVariables(path);
  const byUuid = message.query && variables.length > 0;
  item[method] = {
    operationId: byUuid ? `${message.action}ByUuid` : message.action,
    summary: message.name,
    description: `${message.doc}\n\nSource: ${message.source}. Caller: ${message.caller}.`,
    tags: [message.resource?.name ?? 'Service'],
    ...(message.caller === 'anyone' && { security: [] }),
    parameters: [
      ...pathVariables(known).map((name, i) =>
        parameter(name, 'path', message.parameters[variables[i] ?? name], ZSTACK_DATE),
      ),
      ...(message.route.body === 'query' && !byUuid
        ? addressParameters(message, variables, ZSTACK_DATE)
        : []),
    ],
    ...(message.route.body !== 'query' && { requestBody: requestBody([message]) }),
    responses: responses(message),
    'x-ingot-messages': [message.name],
  };
}

/** PUT actions share their path: the body's one member says which is meant. */
function mergeAction(operation: Json, message: Message): void {
  const body = operation.requestBody as { content: { 'application/json': { schema: { oneOf: Json[] } } } };
  body.content['application/json'].schema.oneOf.push(actionSchema(message));
  operation.operationId = `${operation.operationId}Or${message.name}`;
  operation.summary = `${operation.summary}, ${message.name}`;
  operation.description = `${operation.description}\n\n**${message.name}**: ${message.doc} Source: ${message.source}. Caller: ${message.caller}.`;
  operation.responses = { ...responses(message), ...(operation.responses as Json) };
  (operation['x-ingot-messages'] as string[]).push(message.name);
}

function requestBody(messages: Message[]): Json {
  return { content: { 'application/json': { schema: { oneOf: messages.map(actionSchema) } } } };
}

function actionSchema(message: Message): Json {
  const key = message.route.body === 'params' ? 'params' : message.action;
  const own = bodyFields(message, pathVariables(message.route.path));
  return {
    type: 'object',
    title: message.name,
    required: [key],
    properties: { [key]: objectSchema(own, ZSTACK_DATE) },
  };
}

function responses(message: Message): Json {
  const answer = answerSchema(message.answer, ZSTACK_DATE);
  if (message.answer.kind === 'file')
    return { ...fileResponses(message.doc), 400: ERROR_RESPONSE, 503: ERROR_RESPONSE };
  if (message.kind === 'sync')
    return { 200: jsonResponse(message.doc, answer), 400: ERROR_RESPONSE, 503: ERROR_RESPONSE };
  return {
    202: jsonResponse('Accepted; poll `location`, which ends in what `x-ingot-answer` describes.', {
      type: 'object',
      required: ['location'],
      properties: {
        location: { type: 'string', description: 'Where to poll.' },
        apiTimeout: { type: 'integer', description: 'How long it may take, in milliseconds.' },
      },
      'x-ingot-answer': answer,
    }),
    400: ERROR_RESPONSE,
  };
}

const POLL: Json = {
  operationId: 'pollJob',
  summary: 'What has become of an asynchronous call',
  description: 'No session is asked for: the uuid can not be guessed.',
  tags: ['LongJob'],
  security: [],
  parameters: [{ name: 'uuid', in: 'path', required: true, schema: { type: 'string' } }],
  responses: {
    200: jsonResponse("The call's answer.", { type: 'object' }),
    202: jsonResponse('Still under way.', { type: 'object' }),
    404: ERROR_RESPONSE,
    503: ERROR_RESPONSE,
  },
};
