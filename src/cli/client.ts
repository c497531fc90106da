/** HTTP to the service: one exchange at a time, and what a failed connection means in words. */
import { once } from 'node:events';
import { type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http';
import { request as requestTls } from 'node:https';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { isSystemError } from '../kernel/errors.ts';
import { Ending, EXIT } from './exit-codes.ts';

export interface Exchange {
  method: string;
  /** Below the service's address, with its query string. */
  path: string;
  body?: unknown;
  session?: string;
  headers?: Record<string, string>;
  /** Bytes that are sent in place of a `body`. */
  stream?: Readable;
}

export interface HttpAnswer {
  status: number;
  /** Members of the JSON object; empty where the body is none. */
  members: Record<string, unknown>;
  text: string;
}

/** The service could not be reached, or went away in the middle. */
export class NotReached extends Ending {
  constructor(address: string, reason: string) {
    super(
      EXIT.unreachable,
      `the service at ${address} can't be reached: ${reason}`,
      "Start one with 'npm start' or 'ingot serve', or name another one with --server or INGOT_SERVER.",
    );
  }
}

/** Rejects with NotReached, or with Ending(interrupted) once `signal` is aborted. */
export async function exchange(
  address: string,
  request: Exchange,
  signal: AbortSignal,
): Promise<HttpAnswer & { headers: IncomingHttpHeaders }> {
  return reaching(address, signal, async () => {
    const response = await send(address, request, signal);
    let received = '';
    response.setEncoding('utf8');
    for await (const piece of response) received += String(piece);
    const { statusCode = 0, headers } = response;
    return { status: statusCode, members: membersOf(received), text: received, headers };
  });
}

/** The same for what answers with bytes, which are still to be read. */
export function openExchange(
  address: string,
  request: Exchange,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  return reaching(address, signal, () => send(address, request, signal));
}

async function reaching<T>(address: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (signal.aborted) throw new Ending(EXIT.interrupted, 'interrupted');
    const reason = reasonOf(error);
    if (reason === undefined) throw error;
    throw new NotReached(address, reason);
  }
}

async function send(
  address: string,
  { method, path, body, session, headers, stream }: Exchange,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const text = body === undefined ? undefined : JSON.stringify(body);
  const how = address.startsWith('https:') ? requestTls : request;
  // Not fetch: it refuses a number of ports on which a service may well listen.
  const sent = how(address + path, {
    method,
    signal,
    headers: {
      accept: 'application/json',
      ...(session !== undefined && { authorization: `OAuth ${session}` }),
      ...(text !== undefined && {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(text),
      }),
      ...headers,
    },
  });
  const answered = once(sent, 'response') as Promise<[IncomingMessage]>;
  if (!stream) {
    sent.end(text);
    return (await answered)[0];
  }
  // An answer may come before all is sent; the rest is not wanted then.
  const all = pipeline(stream, sent);
  all.catch(() => {});
  try {
    const [response] = await Promise.race([answered, all.then(() => answered)]);
    return response;
  } finally {
    stream.destroy();
  }
}

function membersOf(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : {};
  } catch {
    return {};
  }
}

const REASONS: Record<string, string> = {
  ECONNREFUSED: 'the connection was refused; nothing listens there',
  ECONNRESET: 'the connection was broken off',
  EPIPE: 'the connection was broken off',
  ENOTFOUND: 'there is no host of this name',
  EAI_AGAIN: 'the name could not be looked up',
  EHOSTUNREACH: 'there is no way to the host',
  ENETUNREACH: 'there is no way to the network',
  ETIMEDOUT: 'it did not answer in time',
};

/** Undefined for what is no failure of a connection. */
function reasonOf(error: unknown): string | undefined {
  // Where a name has several addresses, each has its own error.
  const cause: unknown = error instanceof AggregateError ? error.errors[0] : error;
  if (!isSystemError(cause)) return undefined;
  return Object.hasOwn(REASONS, cause.code) ? `${REASONS[cause.code]} (${cause.code})` : cause.message;
}
