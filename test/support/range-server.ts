/**
 * A real HTTP or HTTPS server for files with ranges and validators, that can be told to misbehave.
 */
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseRange } from './range-header.ts';
import { selfSignedCertificate } from './self-signed-certificate.ts';
import { loadFile, type ServedFile } from './served-file.ts';

/** How one answer shall differ from a right one. Byte counts are of the answer's body. */
export interface Fault {
  /** Answer with this status and `body` instead of the file. */
  status?: number;
  /** More headers, or others: e.g. `{ 'retry-after': '1' }`. */
  headers?: Record<string, string>;
  body?: string;
  /** Answer 302 with this Location. */
  redirectTo?: string;
  /** Drop the connection after so many bytes. */
  breakAfter?: number;
  /** Send nothing more after so many bytes, but keep the connection. */
  stallAfter?: number;
  /** End the body regularly after so many bytes. Without `chunked`, the client finds less than Content-Length. */
  truncateAt?: number;
  /** Say this Content-Length. */
  contentLength?: number;
  /** No Content-Length: chunked transfer coding. */
  chunked?: boolean;
  /** Answer 200 with the whole file whatever range was asked for. */
  ignoreRange?: boolean;
  bytesPerSecond?: number;
  /** Wait so many milliseconds before answering. */
  delay?: number;
  /** Wait for it before answering. */
  until?: Promise<unknown>;
}

export interface RangeRequest {
  readonly method: string;
  /** Path and query as sent. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** 1 for the first request of this path, 2 for the second, … */
  readonly number: number;
  /** The status that was answered; 0 before. */
  status: number;
  /** Bytes of the body that were given to the system for sending. */
  bytesSent: number;
}

export interface RangeServerOptions {
  /** Path from `/` on → file. */
  files?: Record<string, ServedFile | Uint8Array>;
  /** Called before each answer; undefined for a right one. */
  fault?: (request: RangeRequest) => Fault | undefined;
  /** HTTPS with a self-signed certificate for localhost and 127.0.0.1. */
  tls?: boolean;
}

export interface RangeServer {
  /** Every request, oldest first. */
  readonly requests: RangeRequest[];
  /** The certificate (PEM) that a client has to trust; undefined without `tls`. */
  readonly certificate: string | undefined;
  /** Bytes of all bodies. */
  bytesSent(): number;
  url(path: string): string;
  /** Serves the path from now on, or something else in its place. */
  serve(path: string, file: ServedFile | Uint8Array): void;
  close(): Promise<void>;
}

/** Starts it on a free port of 127.0.0.1. */
export async function startRangeServer(options: RangeServerOptions = {}): Promise<RangeServer> {
  const files = new Map(Object.entries(options.files ?? {}));
  const requests: RangeRequest[] = [];
  const closing = new AbortController();

  const listener = (incoming: IncomingMessage, response: ServerResponse) => {
    const path = incoming.url ?? '/';
    const { method = 'GET', headers } = incoming;
    const number = requests.filter((one) => one.path === path).length + 1;
    const request: RangeRequest = { method, path, headers, number, status: 0, bytesSent: 0 };
    requests.push(request);
    const fault = options.fault?.(request) ?? {};
    const file = files.get(new URL(path, 'http://localhost').pathname);
    // A client that went away is no fault of the server's.
    answer(request, response, file, fault, closing.signal).catch(() => response.destroy());
  };
  const identity = options.tls ? await selfSignedCertificate() : undefined;
  const server = identity ? createTlsServer(identity, listener) : createServer(listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : undefined;

  return {
    requests,
    certificate: identity?.cert,
    bytesSent: () => requests.reduce((sum, request) => sum + request.bytesSent, 0),
    url: (path) => new URL(path, `${identity ? 'https' : 'http'}://127.0.0.1:${port}/`).href,
    serve: (path, file) => files.set(path, file),
    async close() {
      closing.abort();
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

async function answer(
  request: RangeRequest,
  response: ServerResponse,
  served: ServedFile | Uint8Array | undefined,
  fault: Fault,
  closing: AbortSignal,
): Promise<void> {
  await fault.until;
  if (fault.delay) await sleep(fault.delay, undefined, { signal: closing });
  const begin = (status: number, headers: Record<string, string>) => {
    request.status = status;
    response.writeHead(status, { ...headers, ...fault.headers });
  };
  if (fault.redirectTo !== undefined) {
    begin(302, { location: fault.redirectTo, 'content-length': '0' });
    response.end();
    return;
  }
  if (fault.status !== undefined || !served) {
    const body = fault.body ?? (served ? '' : `nothing is served under ${request.path}\n`);
    begin(fault.status ?? 404, {
      'content-length': String(Buffer.byteLength(body)),
      'content-type': 'text/plain',
    });
    response.end(body);
    return;
  }

  const file = await loadFile(fault.body === undefined ? served : Buffer.from(fault.body));
  const validators: Record<string, string> = {
    ...(file.etag !== undefined && { etag: file.etag }),
    ...(file.lastModified !== undefined && { 'last-modified': file.lastModified }),
  };
  const mayRange = file.acceptRanges && !fault.ignoreRange;
  const asked = mayRange ? parseRange(request.headers, file) : undefined;
  if (asked === 'unsatisfiable') {
    begin(416, { 'content-range': `bytes */${file.size}`, 'content-length': '0' });
    response.end();
    return;
  }
  const range = asked ?? { start: 0, end: file.size };
  const length = range.end - range.start;
  const isWrong = [fault.contentLength, fault.truncateAt].some((value) => value !== undefined);
  begin(asked ? 206 : 200, {
    'content-type': file.contentType,
    ...(mayRange && { 'accept-ranges': 'bytes' }),
    ...validators,
    ...(asked && { 'content-range': `bytes ${range.start}-${range.end - 1}/${file.size}` }),
    ...(!fault.chunked && { 'content-length': String(fault.contentLength ?? length) }),
    // Where the length is a lie, only the end of the connection can end the body.
    ...(isWrong && { connection: 'close' }),
  });
  if (request.method === 'HEAD') {
    response.end();
    return;
  }
  await sendBody(request, response, file.read(range), length, fault, closing);
}

async function sendBody(
  request: RangeRequest,
  response: ServerResponse,
  source: AsyncIterable<Uint8Array>,
  length: number,
  fault: Fault,
  closing: AbortSignal,
): Promise<void> {
  const limit = Math.min(
    length,
    fault.breakAfter ?? Infinity,
    fault.stallAfter ?? Infinity,
    fault.truncateAt ?? Infinity,
  );
  const left = new AbortController();
  response.on('close', () => left.abort());
  const gone = AbortSignal.any([closing, left.signal]);
  response.flushHeaders();
  const began = performance.now();
  for await (const chunk of source) {
    // Small pieces where a rate is asked for, so that the bytes trickle.
    const step = fault.bytesPerSecond
      ? Math.max(1, Math.min(chunk.length, fault.bytesPerSecond >> 4))
      : chunk.length;
    for (let at = 0; at < chunk.length && request.bytesSent < limit; at += step) {
      const piece = chunk.subarray(at, Math.min(at + step, at + limit - request.bytesSent));
      if (fault.bytesPerSecond) {
        const due = began + ((request.bytesSent + piece.length) / fault.bytesPerSecond) * 1000;
        await sleep(Math.max(0, due - performance.now()), undefined, { signal: gone });
      }
      await write(response, piece);
      request.bytesSent += piece.length;
    }
    if (request.bytesSent >= limit) break;
  }
  if (fault.breakAfter !== undefined && fault.breakAfter <= limit) response.destroy();
  else if (fault.stallAfter !== undefined && fault.stallAfter <= limit) await once(response, 'close');
  else response.end();
}

/** Waits until the system has taken the bytes, so that dropping the connection afterwards can't lose them here. */
function write(response: ServerResponse, piece: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    response.write(piece, (error) => (error ? reject(error) : resolve()));
  });
}
