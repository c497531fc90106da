/** HTTP to the service, as the client wants it done, and what a failed connection means in words. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { request as requestTls } from 'node:https';
import { getCACertificates } from 'node:tls';
import { isSystemError } from '../kernel/errors.ts';
import { Ending, EXIT } from './exit-codes.ts';

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

/** Certificates of services on data directories of ours: known by these, and not by the names in them. */
const known = new Map<string, string>();

/** The service at the address is the one that shows this certificate. */
export function knowBy(address: string, certificate: string): void {
  known.set(address, certificate);
}

/** How a service is known: by its own certificate, or by the authorities in the file that INGOT_CA_FILE names. */
function trustOf(address: string): { ca?: string[]; checkServerIdentity?: () => undefined } {
  const certificate = known.get(address);
  if (certificate !== undefined) return { ca: [certificate], checkServerIdentity: () => undefined };
  const file = process.env.INGOT_CA_FILE;
  return file ? { ca: [...getCACertificates('default'), readFileSync(file, 'utf8')] } : {};
}

/**
 * In the place of fetch, which refuses a number of ports on which a service may well listen. Rejects with NotReached,
 * or with Ending(interrupted) once the signal is aborted.
 */
export async function fetchOverHttp(
  input: string | URL | Request,
  init: RequestInit = {},
): Promise<Response> {
  const url = new URL(String(input));
  const { method = 'GET', signal } = init;
  const body = init.body === undefined || init.body === null ? undefined : String(init.body);
  const headers = Object.fromEntries(new Headers(init.headers));
  if (body !== undefined) headers['content-length'] = String(Buffer.byteLength(body));
  try {
    const send = url.protocol === 'https:' ? requestTls : request;
    const trust = send === requestTls ? trustOf(url.origin) : {};
    const sent = send(url, { ...trust, method, headers, ...(signal && { signal }) });
    sent.end(body);
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    let received = '';
    response.setEncoding('utf8');
    for await (const piece of response) received += String(piece);
    return new Response(received || null, { status: response.statusCode ?? 500 });
  } catch (error) {
    if (signal?.aborted) throw new Ending(EXIT.interrupted, 'interrupted');
    const reason = reasonOf(error);
    if (reason === undefined) throw error;
    throw new NotReached(url.origin, reason);
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
