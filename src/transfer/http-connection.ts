import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import tls from 'node:tls';
import type { Egress } from './egress.ts';
import { basicAuthorization, portOf } from './http-address.ts';
import { HttpBody } from './http-body.ts';
import { asSourceError, headsWithoutEnd, stalled, switchedProtocols } from './http-failure.ts';
import { framingOf } from './http-framing.ts';
import { Landing } from './landing.ts';
import type { Body } from './source.ts';

/** Most bytes of response headers that are read before the answer is refused. */
const MAX_HEADER_BYTES = 16 * 1024;
/** Most informational answers (1xx) before the final one. Servers send one or two. */
const MAX_INFORMATIONAL = 8;

export interface HttpTimeouts {
  /** Milliseconds for a connection, TLS included. */
  connectTimeout: number;
  /** Milliseconds without a byte after which the connection counts as broken. */
  stallTimeout: number;
}

export interface HttpRequestOptions extends HttpTimeouts {
  headers: Record<string, string>;
  /** What may be connected to; everything where absent. */
  egress?: Egress;
  /** Certificates in PEM to trust besides the usual authorities. */
  ca?: string | string[];
}

/** What a server answered, before its body is read. One of `body` and `discard` must be called. */
export interface HttpAnswer {
  readonly url: URL;
  readonly status: number;
  readonly reason: string;
  readonly headers: http.IncomingHttpHeaders;
  body(): Body;
  discard(): void;
}

/** One GET, no redirect followed. Rejects with an error of ours that names what was wrong with the connection. */
export async function get(url: URL, options: HttpRequestOptions, signal: AbortSignal): Promise<HttpAnswer> {
  signal.throwIfAborted();
  const { egress } = options;
  const secure = url.protocol === 'https:';
  const to = { scheme: secure ? 'https' : 'http', host: url.hostname, port: portOf(url) } as const;
  const lookup = egress?.lookupFor(to);
  const landing = new Landing(() => headsWithoutEnd(url));
  const request = (secure ? https : http).request(url, {
    headers: requestHeaders(url, options.headers),
    maxHeaderSize: MAX_HEADER_BYTES,
    ...(lookup && { lookup }),
    ...(options.ca !== undefined && { ca: [...tls.getCACertificates('default'), options.ca].flat() }),
    // A socket of our own, since only one that is made with `onread` reads into memory that we choose.
    createConnection: (connect) => {
      const target = { ...connect, onread: landing.onread } as net.NetConnectOpts & tls.ConnectionOptions;
      const socket = secure ? tls.connect(target) : net.connect(target);
      egress?.guard(socket, to);
      landing.attach(socket);
      return socket;
    },
  });
  const response = await answerOf(request, landing, url, options, signal);
  // The body hears of the connection's end by its own means, and one that is thrown away need not.
  request.on('error', () => {});
  response.on('error', () => {});
  const finish = () => {
    signal.removeEventListener('abort', finish);
    request.destroy();
  };
  signal.addEventListener('abort', finish, { once: true });
  return {
    url,
    status: response.statusCode ?? 0,
    reason: response.statusMessage ?? '',
    headers: response.headers,
    body: () => {
      try {
        const framing = framingOf(response.headers);
        return new HttpBody(landing, framing, { url, signal, stallTimeout: options.stallTimeout, finish });
      } catch (error) {
        finish();
        throw error;
      }
    },
    discard: finish,
  };
}

function answerOf(
  request: http.ClientRequest,
  landing: Landing,
  url: URL,
  timeouts: HttpTimeouts,
  signal: AbortSignal,
): Promise<http.IncomingMessage> {
  return new Promise((resolve, reject) => {
    const fail = (error: unknown) => {
      settle();
      request.on('error', () => {});
      request.destroy();
      reject(error);
    };
    const onError = (error: Error) => fail(signal.aborted ? signal.reason : asSourceError(error, url));
    const onAbort = () => fail(signal.reason);
    let timer = setTimeout(
      () => fail(stalled(url, timeouts.connectTimeout, 'connect')),
      timeouts.connectTimeout,
    );
    const onConnected = () => {
      clearTimeout(timer);
      timer = setTimeout(() => fail(stalled(url, timeouts.stallTimeout, 'answer')), timeouts.stallTimeout);
    };
    let informational = 0;
    const onInformation = () => {
      informational++;
      if (informational > MAX_INFORMATIONAL) fail(headsWithoutEnd(url));
    };
    const settle = () => {
      clearTimeout(timer);
      request.off('error', onError);
      request.off('information', onInformation);
      signal.removeEventListener('abort', onAbort);
    };
    request.on('error', onError);
    request.once('socket', (socket) => {
      socket.once(url.protocol === 'https:' ? 'secureConnect' : 'connect', onConnected);
    });
    request.on('information', onInformation);
    // Without a listener, Node would end the connection and say nothing.
    request.once('upgrade', (response, socket) => {
      socket.destroy();
      fail(switchedProtocols(url, response.headers.upgrade));
    });
    request.once('response', (response) => {
      landing.endHead();
      settle();
      resolve(response);
    });
    signal.addEventListener('abort', onAbort, { once: true });
    request.end();
  });
}

function requestHeaders(url: URL, headers: Record<string, string>): Record<string, string> {
  const authorization = basicAuthorization(url);
  return {
    Accept: '*/*',
    'Accept-Encoding': 'identity',
    ...(authorization && { Authorization: authorization }),
    ...headers,
  };
}
