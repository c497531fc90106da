/**
 * Messages: what can be asked of the service. One declaration gives the REST route, the JSON message, the
 * check of parameters, OpenAPI, the command line with its completion, and the types of the function that
 * carries it out.
 */
import {
  type Access,
  boolean,
  choice,
  type Field,
  type Fields,
  integer,
  json,
  list,
  text,
  uuid,
  type ValueOf,
} from './field.ts';
import type { InventoryOf, Resource } from './resource.ts';

/** Who may call: `anyone` needs no session, `account` any session, `admin` the administrator's. */
export type CallerRule = 'anyone' | 'account' | 'admin';

/**
 * How a message is carried out.
 * - `sync`: answered at once (queries, log in).
 * - `change`: one short database transaction; asynchronous on the REST wire, but done before the first poll.
 * - `job`: a durable job, which outlives the process (everything that touches a storage).
 */
export type MessageKind = 'sync' | 'change' | 'job';

export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

export interface Route {
  readonly method: Method;
  /** Below `/zstack/v1`, with `{variable}` parts that are parameters. */
  readonly path: string;
  /** Further paths that mean the same, e.g. `/images/{uuid}` of a query. */
  readonly also: readonly string[];
  /** How the parameters travel: in the query string, under `params`, or under the action's own name. */
  readonly body: 'query' | 'params' | 'action';
}

/** What the answer holds under which member. */
export type Answer =
  | { readonly kind: 'inventory'; readonly of: Resource }
  | { readonly kind: 'inventories'; readonly of: Resource }
  | { readonly kind: 'fields'; readonly fields: Fields }
  | { readonly kind: 'file' }
  | { readonly kind: 'nothing' };

/** Bytes that a call answers with in place of JSON. */
export interface AnsweredFile {
  /** What whoever keeps it may call it; not yet safe for a header or a file system. */
  readonly name: string;
  readonly size: number;
  /** SHA-256 of the bytes in hex. */
  readonly sha256: string;
  /** Begins to read the bytes from `start` on. */
  open(start: number, signal: AbortSignal): Promise<AnsweredBytes>;
}

/** Puts a file's bytes, one piece after the other, into the caller's memory. */
export interface AnsweredBytes {
  /** Fulfilled with how many bytes were put into `target`: fewer than its length only at the file's end. */
  read(target: Uint8Array): Promise<number>;
  close(): Promise<void>;
}

export interface Message<
  P extends Fields = Fields,
  A extends Answer = Answer,
  K extends MessageKind = MessageKind,
> {
  readonly name: string;
  /** `addImage`: the key of a PUT body, and the name of the function that carries it out. */
  readonly action: string;
  readonly doc: string;
  readonly source: string;
  readonly caller: CallerRule;
  readonly kind: K;
  readonly route: Route;
  readonly parameters: P;
  readonly answer: A;
  /** The resource it is about: what tags and documentation group it under. */
  readonly resource: Resource | undefined;
  /** Set for queries, which the query engine answers from the resource's declaration. */
  readonly query: boolean;
  /** Conditions that a query has besides the caller's: of what kind the resources are that it is about. */
  readonly only: readonly string[];
  /** Changes something, and so is told of in the audit log. */
  readonly mutates: boolean;
  /** Deleting what is not there succeeds (zstack-api.md 1.10). */
  readonly successIfMissing: boolean;
  /** True for what takes CREATION_PARAMETERS: it makes a new `resource`, which belongs to the caller. */
  readonly creates: boolean;
  /** ZStack's package of the message class, for the JSON message API. */
  readonly zstackPackage: string;
  /** ZStack's name of the answer's class there. */
  readonly zstackAnswer: string;
}

/** The values of a set of fields; those that may be left out and have no default are optional. */
export type Values<F extends Fields> = {
  [K in keyof F as F[K] extends Field<unknown, 'optional'> ? never : K]: ValueOf<F[K]>;
} & {
  [K in keyof F as F[K] extends Field<unknown, 'optional'> ? K : never]?: ValueOf<F[K]>;
};

/** Parameters as a handler sees them. */
export type ParametersOf<M extends { parameters: Fields }> = Values<M['parameters']>;

/** The answer as a handler gives it. Further members may stand beside an inventory (`failures`, …). */
export type AnswerOf<M extends { answer: Answer }> = M['answer'] extends {
  kind: 'inventory';
  of: infer R extends Resource;
}
  ? { inventory: InventoryOf<R> } & Record<string, unknown>
  : M['answer'] extends { kind: 'inventories'; of: infer R extends Resource }
    ? { inventories: InventoryOf<R>[]; total?: number }
    : M['answer'] extends { kind: 'fields'; fields: infer F extends Fields }
      ? Values<F>
      : M['answer'] extends { kind: 'file' }
        ? AnsweredFile
        : Record<string, never>;

export const inventoryOf = <const R extends Resource>(of: R) => ({ kind: 'inventory', of }) as const;
export const inventoriesOf = <const R extends Resource>(of: R) => ({ kind: 'inventories', of }) as const;
export const answerOf = <const F extends Fields>(fields: F) => ({ kind: 'fields', fields }) as const;
export const file = { kind: 'file' } as const;
export const nothing = { kind: 'nothing' } as const;

interface MessageDefinition<P extends Fields, A extends Answer, K extends MessageKind> {
  name: string;
  doc: string;
  source: string;
  caller: CallerRule;
  kind: K;
  /** `'PUT /images/{uuid}/actions'`. */
  route: `${Method} /${string}`;
  /** Where a PUT carries its parameters other than under the action's name. */
  body?: Route['body'];
  parameters: P;
  answer: A;
  resource?: Resource;
  successIfMissing?: boolean;
  zstackPackage?: string;
  /** `APIAddImageEvent`, or for what answers at once `APIQueryImageReply`, unless it says otherwise. */
  zstackAnswer?: string;
}

export function defineMessage<const P extends Fields, const A extends Answer, const K extends MessageKind>(
  definition: MessageDefinition<P, A, K>,
): Message<P, A, K> {
  const [method, path] = definition.route.split(' ') as [Method, string];
  const body = definition.body ?? (method === 'POST' ? 'params' : method === 'PUT' ? 'action' : 'query');
  const action = definition.name.charAt(0).toLowerCase() + definition.name.slice(1);
  const resource = definition.resource;
  return Object.freeze({
    successIfMissing: false,
    mutates: definition.kind !== 'sync' || (method !== 'GET' && !definition.name.startsWith('Get')),
    creates: definition.parameters.resourceUuid === CREATION_PARAMETERS.resourceUuid,
    zstackAnswer: `API${definition.name}${definition.kind === 'sync' ? 'Reply' : 'Event'}`,
    zstackPackage: `org.zstack.header.${(resource?.name ?? 'core').toLowerCase()}`,
    ...definition,
    resource,
    action,
    query: false,
    only: [],
    route: { method, path, also: [], body },
  });
}

/** What every creating call takes besides its own parameters (related-chapters.md, Resources in general). */
export const CREATION_PARAMETERS = {
  resourceUuid: uuid('The uuid that the new resource shall have.', { optional: true }),
  userTags: list('User tags that it shall have from the start.', text('', { max: 2048 }), {
    optional: true,
    min: 0,
    max: 100,
  }),
  systemTags: list(
    'System tags that it shall have from the start, of the patterns that are declared for its type.',
    text('', { max: 2048 }),
    { optional: true, min: 0, max: 100 },
  ),
} as const;

/** What every deleting call takes besides its own parameters. */
export const DELETION_PARAMETERS = {
  deleteMode: choice(
    'What to do about errors and refusals of what hangs on the resource.',
    { Permissive: 'stop at the first one and say why', Enforcing: 'go on; the delete succeeds' },
    { default: 'Permissive' },
  ),
} as const;

/** What every query takes (zstack-api.md 1.11). Conditions come as text and are parsed by the query engine. */
export const QUERY_PARAMETERS = {
  conditions: list('Conditions such as `name=centos` or `size>10G`; all must hold.', json<unknown>(''), {
    optional: true,
    min: 0,
    max: 10_000,
  }),
  where: text(
    'Conditions joined by AND, OR, NOT and parentheses: `(name~=centos% OR name~=rocky%) AND size<10G`.',
    { optional: true, max: 1_048_576, since: 'ingot' },
  ),
  limit: integer('Most rows to return.', { default: 1000, max: 100_000 }),
  start: integer('Rows to pass over first.', { default: 0 }),
  count: boolean('Return only how many match.', { default: false }),
  replyWithCount: boolean('Return the rows and how many match in all.', { default: false }),
  sortBy: text('The fields to sort by, with commas between; + or - before one says which way.', {
    optional: true,
    max: 1024,
  }),
  sortDirection: choice('', { asc: 'smallest first', desc: 'largest first' }, { default: 'asc' }),
  fields: list('The fields to return; all by default.', text('', { max: 255 }), { optional: true, min: 0 }),
} as const;

export type QueryMessage<R extends Resource = Resource> = Message<
  typeof QUERY_PARAMETERS,
  { readonly kind: 'inventories'; readonly of: R },
  'sync'
>;

/** A query over a resource: nothing but its route; the query engine does the rest. */
export function defineQuery<R extends Resource>(
  resource: R,
  definition: {
    /** By default `Query` and the resource's. */
    name?: string;
    route: `GET /${string}`;
    /** Conditions that hold besides the caller's. */
    only?: readonly string[];
    caller?: CallerRule;
    source: string;
    zstackPackage?: string;
    /** False where zstack-api.md gives no `/{uuid}` form. */
    byUuid?: boolean;
  },
): QueryMessage<R> {
  const message = defineMessage({
    name: definition.name ?? `Query${resource.name}`,
    doc: `Finds ${resource.name} inventories by conditions over their own fields and those of what is related to them.`,
    source: definition.source,
    caller: definition.caller ?? 'account',
    kind: 'sync',
    route: definition.route,
    parameters: QUERY_PARAMETERS,
    answer: inventoriesOf(resource),
    resource,
    ...(definition.zstackPackage !== undefined && { zstackPackage: definition.zstackPackage }),
  });
  const also = definition.byUuid === false ? [] : [`${message.route.path}/{uuid}`];
  return Object.freeze({
    ...message,
    query: true,
    only: definition.only ?? [],
    route: { ...message.route, also },
  });
}

/** By path: the declared ones are asked for with every call. */
const knownVariables = new Map<string, readonly string[]>();

/** Names of the `{variables}` in a route's path, which must be a declared one. */
export function pathVariables(path: string): readonly string[] {
  let names = knownVariables.get(path);
  if (!names) {
    names = Array.from(path.matchAll(/\{(\w+)\}/g), (match) => match[1] ?? '');
    knownVariables.set(path, names);
  }
  return names;
}

/**
 * What the caller must be allowed to do with the resource that a parameter names. Where the field does not say:
 * what stands in the path of a call that is no GET is changed by it, the rest is used.
 */
export function accessOf(message: Message, name: string, field: Field): Access {
  if (field.access) return field.access;
  const acted = message.route.method !== 'GET' && pathVariables(message.route.path).includes(name);
  return acted ? 'change' : 'use';
}

/** Something messages are exported from, such as a `messages.ts`: picks the messages out of it. */
export function messagesIn(module: Record<string, unknown>): Message[] {
  return Object.values(module).filter(
    (value): value is Message =>
      typeof value === 'object' && value !== null && 'action' in value && 'route' in value,
  );
}
