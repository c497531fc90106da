/** One exchange with `/v1`, and what came of it. */
import { type ErrorBody, fromErrorBody, IngotError } from '../kernel/errors.ts';
import { type Message, pathVariables } from '../kernel/message.ts';
import { nativeRoute } from '../kernel/native-route.ts';
import { parseCondition } from '../query/condition.ts';

export interface Exchange {
  status: number;
  body: Record<string, unknown>;
}

export interface Request {
  method: string;
  /** Below the address, with its query. */
  path: string;
  headers: Record<string, string>;
  body?: string;
  signal?: AbortSignal | undefined;
}

/** Where and how a message is sent. */
export function requestFor(message: Message, parameters: Readonly<Record<string, unknown>>): Request {
  const { method, path } = nativeRoute(message);
  const inPath = pathVariables(path);
  const rest = Object.entries(parameters).filter(
    ([name, value]) => value !== undefined && value !== null && !inPath.includes(name),
  );
  const filled = inPath.reduce((text, name) => {
    return text.replace(`{${name}}`, encodeURIComponent(String(parameters[name] ?? '').toWellFormed()));
  }, path);
  if (method === 'GET' || method === 'DELETE') {
    const query = message.query ? queryOf(Object.fromEntries(rest)) : addressOf(rest);
    const text = query.toString();
    return { method, path: `/v1${filled}${text === '' ? '' : `?${text}`}`, headers: {} };
  }
  return {
    method,
    path: `/v1${filled}`,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(Object.fromEntries(rest)),
  };
}

function addressOf(parameters: [string, unknown][]): URLSearchParams {
  const query = new URLSearchParams();
  for (const [name, value] of parameters) {
    for (const item of [value].flat()) query.append(name, String(item));
  }
  return query;
}

function queryOf({ conditions, sortBy, sortDirection, fields, ...rest }: Record<string, unknown>) {
  const query = addressOf(Object.entries(rest));
  for (const condition of [conditions ?? []].flat()) query.append('q', conditionText(condition));
  if (sortBy !== undefined)
    query.append('sort', sortText(String(sortBy), sortDirection === 'desc' ? '-' : '+'));
  else if (sortDirection !== undefined) query.append('sortDirection', String(sortDirection));
  if (Array.isArray(fields) && fields.length > 0) query.append('fields', fields.join(','));
  return query;
}

/** Each of the fields with its direction before it; the general one where it has none of its own. */
function sortText(sortBy: string, sign: '+' | '-'): string {
  const fields = sortBy.split(',').map((field) => field.trim());
  return fields.map((field) => (/^[+-]/.test(field) ? field : sign + field)).join(',');
}

/** Operators whose sign in an address is another than their name. */
const SIGNS: Record<string, string> = { in: '?=', 'not in': '!?=', like: '~=', 'not like': '!~=' };

/** SYS.1007 for one in parts that has not what it needs. */
function conditionText(condition: unknown): string {
  if (typeof condition === 'string') return condition;
  const { name, op, value } = parseCondition(condition);
  return value === undefined ? `${name} ${op}` : `${name}${SIGNS[op] ?? op}${value}`;
}

/** Sends it. Rejects with what the service says is wrong, or with SYS.1015 where it can't be reached or understood. */
export async function exchange(address: string, request: Request, using: typeof fetch): Promise<Exchange> {
  const response = await send(address, request, using);
  return { status: response.status, body: await membersOf(address, response) };
}

/** The same for what answers with bytes: they are still to be read. */
export async function open(address: string, request: Request, using: typeof fetch): Promise<Response> {
  const response = await send(address, request, using);
  if (!response.ok && response.status !== 304) await membersOf(address, response);
  return response;
}

async function send(address: string, request: Request, using: typeof fetch): Promise<Response> {
  try {
    return await using(address + request.path, {
      method: request.method,
      headers: request.headers,
      ...(request.body !== undefined && { body: request.body }),
      ...(request.signal && { signal: request.signal }),
    });
  } catch (cause) {
    if (request.signal?.aborted) throw cause;
    throw new IngotError('SYS.1015', `${address} can't be reached: ${reasonOf(cause)}`, {
      cause,
      retryable: true,
    });
  }
}

/** The members of the answer; rejects with the error that is one of them. */
async function membersOf(address: string, response: Response): Promise<Record<string, unknown>> {
  const text = await response.text();
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    throw notIngot(address, response.status, text);
  }
  if (typeof body !== 'object' || body === null) throw notIngot(address, response.status, text);
  const { error } = body as { error?: ErrorBody };
  if (!response.ok) throw error ? fromErrorBody(error) : notIngot(address, response.status, text);
  return body as Record<string, unknown>;
}

function notIngot(address: string, status: number, text: string): IngotError {
  // A proxy whose service is gone says so.
  const code = status >= 502 ? 'SYS.1010' : 'SYS.1015';
  return new IngotError(
    code,
    `${address} answered ${status} with what is no answer: ${text.slice(0, 200).trim() || 'nothing'}`,
    { elaboration: 'This is no Ingot; is the address right?' },
  );
}

/** fetch says 'fetch failed', and its cause says why. */
function reasonOf(thrown: unknown): string {
  const cause = thrown instanceof Error ? (thrown.cause ?? thrown) : thrown;
  return cause instanceof Error ? cause.message || cause.name : String(cause);
}
