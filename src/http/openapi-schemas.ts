/** JSON schemas of fields, inventories and answers, derived from the declarations. */
import type { AnyField, Field, Fields } from '../kernel/field.ts';
import type { Answer, Message } from '../kernel/message.ts';
import { inventoryRelations, type Resource } from '../kernel/resource.ts';

export type Json = Record<string, unknown>;

/** How dates stand on a wire. */
export type DateSchema = Json;
export const ZSTACK_DATE: DateSchema = { type: 'string', examples: ['Jun 1, 2015 6:17:48 PM'] };
export const ISO_DATE: DateSchema = {
  type: 'string',
  format: 'date-time',
  examples: ['2015-06-01T18:17:48.000Z'],
};

/** Resources' inventories and the error, as `components.schemas`. */
export function componentSchemas(messages: readonly Message[], date: DateSchema): Record<string, Json> {
  const schemas: Record<string, Json> = { ...ERROR_SCHEMAS };
  for (const { resource, answer } of messages) {
    if (resource) addResourceSchema(schemas, resource, date);
    if (answer.kind === 'inventory' || answer.kind === 'inventories') {
      addResourceSchema(schemas, answer.of, date);
    }
  }
  return schemas;
}

function addResourceSchema(schemas: Record<string, Json>, resource: Resource, date: DateSchema): void {
  if (schemas[resource.name]) return;
  const schema = objectSchema(resource.fields, date);
  schemas[resource.name] = { ...schema, description: `${resource.doc} Source: ${resource.source}.` };
  const properties = schema.properties as Json;
  for (const [name, relation] of inventoryRelations(resource)) {
    const pluck = relation.inventory?.pluck;
    const field = pluck === undefined ? undefined : relation.to.fields[pluck];
    if (pluck === undefined) addResourceSchema(schemas, relation.to, date);
    properties[name] = {
      type: 'array',
      description: relation.doc,
      items: field ? fieldSchema(field, date) : schemaReference(relation.to),
    };
  }
}

export function schemaReference(resource: Resource): Json {
  return { $ref: `#/components/schemas/${resource.name}` };
}

export function answerSchema(answer: Answer, date: DateSchema): Json {
  switch (answer.kind) {
    case 'inventory':
      return {
        type: 'object',
        required: ['inventory'],
        properties: { inventory: schemaReference(answer.of) },
      };
    case 'inventories':
      return {
        type: 'object',
        properties: {
          inventories: { type: 'array', items: schemaReference(answer.of) },
          total: { type: 'integer', description: 'How many match in all.' },
        },
      };
    case 'fields':
      return objectSchema(answer.fields, date);
    case 'file':
      return { type: 'string', format: 'binary' };
    case 'nothing':
      return { type: 'object' };
  }
}

export function objectSchema(fields: Fields, date: DateSchema): Json {
  const required = Object.keys(fields).filter((name) => fields[name]?.presence === 'required');
  return {
    type: 'object',
    ...(required.length > 0 && { required }),
    properties: Object.fromEntries(
      Object.entries(fields).map(([name, field]) => [name, fieldSchema(field, date)]),
    ),
  };
}

/** JSON schema of a field's values, as they stand in requests and answers. */
export function fieldSchema(field: AnyField & { default?: unknown }, date: DateSchema): Json {
  const about = {
    ...(field.doc && { description: field.rule ? `${field.doc} Must be ${field.rule.says}.` : field.doc }),
    ...(field.default !== undefined && { default: field.default }),
    'x-since': field.since,
    ...(field.references && { 'x-references': field.references }),
  };
  switch (field.kind) {
    case 'text':
      return {
        type: 'string',
        minLength: field.min,
        maxLength: field.max,
        ...(field.secret && { format: 'password' }),
        ...about,
      };
    case 'uuid':
      return { type: 'string', pattern: '^[0-9a-f]{32}$', ...about };
    case 'integer':
      return {
        type: 'integer',
        format: 'int64',
        minimum: field.min,
        maximum: field.max,
        ...(field.unit && { 'x-unit': field.unit }),
        ...about,
      };
    case 'boolean':
      return { type: 'boolean', ...about };
    case 'date':
      return { ...date, ...about };
    case 'choice':
      return {
        type: 'string',
        enum: [...Object.keys(field.choices), ...Object.keys(field.aliases)],
        'x-choices': { ...field.choices, ...field.aliases },
        ...about,
      };
    case 'json':
      return { ...about };
    case 'list':
      return {
        type: 'array',
        items: fieldSchema(field.element, date),
        minItems: field.minItems,
        maxItems: field.maxItems,
        ...about,
      };
  }
}

export function jsonResponse(description: string, schema: Json): Json {
  return { description, content: { 'application/json': { schema } } };
}

/** What a call answers that gives a file. */
export function fileResponses(description: string): Json {
  const content = { 'application/octet-stream': { schema: { type: 'string', format: 'binary' } } };
  const headers = {
    etag: { description: 'SHA-256 of all bytes, in hex and quotes.', schema: { type: 'string' } },
  };
  return {
    200: { description, headers, content },
    206: { description: 'The one range that was asked for.', headers, content },
    304: { description: 'The caller has it already (If-None-Match).' },
    412: ERROR_RESPONSE,
    416: ERROR_RESPONSE,
  };
}

export const ERROR_RESPONSE = jsonResponse('The call failed; the error says why.', {
  $ref: '#/components/schemas/ErrorAnswer',
});

const ERROR_SCHEMAS: Record<string, Json> = {
  Error: {
    type: 'object',
    required: ['code', 'description', 'details'],
    properties: {
      code: { type: 'string', description: 'For programs, such as SYS.1007.' },
      description: { type: 'string', description: "The code's fixed text." },
      details: { type: 'string', description: 'What was wrong, and with which value.' },
      elaboration: { type: 'string', description: 'What can be done about it.' },
      cause: { $ref: '#/components/schemas/Error' },
      causes: { type: 'array', items: { $ref: '#/components/schemas/Error' } },
      opaque: { type: 'object', description: 'Facts for programs.' },
    },
  },
  ErrorAnswer: {
    type: 'object',
    required: ['error'],
    properties: { error: { $ref: '#/components/schemas/Error' } },
  },
};

/** A query's parameters as they stand in an address, and what else is in it. */
export function addressParameters(message: Message, inPath: readonly string[], date: DateSchema): Json[] {
  if (!message.query) {
    return Object.entries(message.parameters)
      .filter(([name]) => !inPath.includes(name))
      .map(([name, field]) => parameter(name, 'query', field, date));
  }
  const { conditions, sortBy, sortDirection: _, fields, ...plain } = message.parameters;
  return [
    {
      name: 'q',
      in: 'query',
      description:
        'A condition: `name=centos`, `size>10G`, `name~=web%`, `uuid?=a,b`, `description is null`. Repeat it; all must hold.',
      schema: {
        type: 'array',
        items: { type: 'string' },
        ...(conditions?.kind === 'list' && { maxItems: conditions.maxItems }),
        'x-since': conditions?.since,
      },
      style: 'form',
      explode: true,
    },
    ...Object.entries(plain).map(([name, field]) => parameter(name, 'query', field, date)),
    {
      name: 'sort',
      in: 'query',
      description: 'The fields to sort by, with commas between; + or - before one says which way.',
      schema: {
        type: 'string',
        ...(sortBy?.kind === 'text' && { maxLength: sortBy.max }),
        'x-since': sortBy?.since,
      },
    },
    {
      name: 'fields',
      in: 'query',
      description: 'The fields to return, with commas between; all by default.',
      schema: { type: 'string', 'x-since': fields?.since },
    },
  ];
}

export function parameter(
  name: string,
  place: 'path' | 'query',
  field: Field | undefined,
  date: DateSchema,
): Json {
  return {
    name,
    in: place,
    required: place === 'path' || field?.presence === 'required',
    description: field?.doc ?? '',
    schema: field ? fieldSchema(field, date) : { type: 'string' },
  };
}

/** Those of the message's parameters that do not stand in its path. */
export function bodyFields(message: Message, inPath: readonly string[]): Fields {
  return Object.fromEntries(Object.entries(message.parameters).filter(([name]) => !inPath.includes(name)));
}
