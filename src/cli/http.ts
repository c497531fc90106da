/** HTTP to the service, as the client wants it done, and what a failed connection means in words. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { request as requestTls } from 'node:https';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
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
 * or with Ending(interrupted) once the signal is aborted, as does reading the body.
 */
export async function fetchOverHttp(
  input: string | URL | Request,
  init: RequestInit = {},
): Promise<Response> {
  const url = new URL(String(input));
  const failure = (error: unknown) => {
    if (init.signal?.aborted) return new Ending(EXIT.interrupted, 'interrupted');
    const reason = reasonOf(error);
    return reason === undefined ? error : new NotReached(url.origin, reason);
  };
  try {
    const response = await send(url, init);
    const { statusCode: status = 500, headersDistinct } = response;
    const headers = Object.entries(headersDistinct).flatMap(([name, values = []]) =>
      values.map((value): [string, string] => [name, value]),
    );
    return new Response(await bodyOf(response, failure), { status, headers });
  } catch (error) {
    throw failure(error);
  }
}

async function send(url: URL, { method = 'GET', signal, ...init }: RequestInit): Promise<IncomingMessage> {
  const stream = init.body instanceof ReadableStream ? Readable.from(init.body) : undefined;
  const body = stream || init.body === undefined || init.body === null ? undefined : String(init.body);
  const headers = Object.fromEntries(new Headers(init.headers));
  if (body !== undefined) headers['content-length'] = String(Buffer.byteLength(body));
  const begin = url.protocol === 'https:' ? requestTls : request;
  const trust = begin === requestTls ? trustOf(url.origin) : {};
  const sent = begin(url, { ...trust, method, headers, ...(signal && { signal }) });
  const answered = once(sent, 'response') as Promise<[IncomingMessage]>;
  if (!stream) {
    sent.end(body);
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

/** Bytes of a file are still to be read; anything else is read at once, so that nobody has to for the connection's sake. */
async function bodyOf(response: IncomingMessage, failure: (error: unknown) => unknown) {
  const pieces: AsyncIterator<Uint8Array> = response[Symbol.asyncIterator]();
  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await pieces.next();
          if (done) controller.close();
          else controller.enqueue(value);
        } catch (error) {
          controller.error(failure(error));
        }
      },
      cancel: () => void response.destroy(),
    },
    { highWaterMark: 0 },
  );
  if (response.headers['content-type'] === 'application/octet-stream') return stream;
  const whole = Buffer.concat(await Array.fromAsync(stream));
  return whole.length === 0 ? null : whole;
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
