import { IngotError } from '../kernel/errors.ts';
import { shorten } from '../kernel/format.ts';
import type { Egress } from './egress.ts';
import { maskUrl, parseHttpUrl } from './http-address.ts';
import { get, type HttpAnswer, type HttpRequestOptions } from './http-connection.ts';
import { statusError } from './http-status.ts';
import {
  DEFAULT_RETRY,
  type OpenedSource,
  type RetryPolicy,
  type Source,
  type SourceFacts,
} from './source.ts';

export interface HttpSourceOptions {
  /** Milliseconds without a byte after which the connection counts as broken; 30,000. */
  stallTimeout?: number;
  /** Milliseconds for a connection, TLS included; 10,000. */
  connectTimeout?: number;
  /** How many redirects are followed; 5. */
  maxRedirects?: number;
  retry?: Partial<RetryPolicy>;
  /** Sent with each request, but not to another host that a redirect leads to. */
  headers?: Record<string, string>;
  userAgent?: string;
  /** What may be connected to, redirects included; everything where absent. */
  egress?: Egress;
  /** Certificates in PEM to trust besides the usual authorities. */
  ca?: string | string[];
}

/** A file behind an http or https URL; the URL may hold a user name and a password. */
export function httpSource(address: string, options: HttpSourceOptions = {}): Source {
  const url = parseHttpUrl(address);
  const retry = { ...DEFAULT_RETRY, ...options.retry };
  return {
    label: maskUrl(url),
    retry,
    open: (request) => openAt(url, options, retry, request),
  };
}

interface OpenRequest {
  offset: number;
  facts?: SourceFacts;
  signal: AbortSignal;
}

async function openAt(
  url: URL,
  options: HttpSourceOptions,
  retry: RetryPolicy,
  { offset, facts, signal }: OpenRequest,
): Promise<OpenedSource> {
  // Without a validator nothing would tell the rest of this file from the rest of another one.
  const validator = offset > 0 && facts ? validatorOf(facts) : undefined;
  if (facts && validator) {
    const range = { Range: `bytes=${offset}-`, 'If-Range': validator };
    const answer = await follow(url, range, options, signal);
    if (answer.status === 206 && continues(answer, facts, offset)) {
      return { offset, facts: { ...factsOf(answer, url), ...facts }, body: answer.body() };
    }
    if (answer.status === 200) return opened(answer, url);
    answer.discard();
    // The file changed (412, 416, another part) or the server means something else by a range.
    if (![206, 412, 416].includes(answer.status)) throw statusError(answer, retry);
  }
  const answer = await follow(url, {}, options, signal);
  if (answer.status !== 200) {
    answer.discard();
    throw statusError(answer, retry);
  }
  return opened(answer, url);
}

function opened(answer: HttpAnswer, url: URL): OpenedSource {
  const encoding = answer.headers['content-encoding'];
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    answer.discard();
    throw new IngotError(
      'SYS.1015',
      `The server sends ${maskUrl(answer.url)} with Content-Encoding "${encoding}" although it was asked for the bytes ` +
        'as they are. Give a URL whose bytes are the image itself.',
    );
  }
  return { offset: 0, facts: factsOf(answer, url), body: answer.body() };
}

function factsOf(answer: HttpAnswer, url: URL): SourceFacts {
  const { etag, 'last-modified': lastModified } = answer.headers;
  const totalSize = totalOf(answer);
  return {
    ...(answer.url.href !== url.href && { finalUrl: maskUrl(answer.url) }),
    ...(etag !== undefined && { etag }),
    ...(lastModified !== undefined && { lastModified }),
    ...(totalSize !== undefined && { totalSize }),
  };
}

function totalOf(answer: HttpAnswer): number | undefined {
  if (answer.status === 206) return contentRangeOf(answer)?.total;
  const { 'content-length': length, 'transfer-encoding': coding } = answer.headers;
  return length === undefined || coding !== undefined ? undefined : Number(length);
}

/** First and last byte and the size of the whole (RFC 9110, 14.4). */
function contentRangeOf(answer: HttpAnswer) {
  const range = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(answer.headers['content-range'] ?? '');
  if (!range) return undefined;
  const total = range[3] === '*' ? undefined : Number(range[3]);
  return { start: Number(range[1]), last: Number(range[2]), total };
}

/** What If-Range may hold: a strong ETag, else a date (RFC 9110, 13.1.5). */
function validatorOf(facts: SourceFacts): string | undefined {
  if (facts.etag !== undefined && !facts.etag.startsWith('W/')) return facts.etag;
  return facts.lastModified;
}

/** Whether a 206 carries exactly the rest of the file that was begun. */
function continues(answer: HttpAnswer, facts: SourceFacts, offset: number): boolean {
  const { headers } = answer;
  const range = contentRangeOf(answer);
  if (!range) return false;
  const { start, last, total: size = facts.totalSize } = range;
  return (
    start === offset &&
    (size === undefined || last === size - 1) &&
    (facts.totalSize === undefined || size === facts.totalSize) &&
    (headers['content-length'] === undefined || Number(headers['content-length']) === last - start + 1) &&
    (headers.etag === undefined || headers.etag === facts.etag) &&
    (headers['last-modified'] === undefined || headers['last-modified'] === facts.lastModified) &&
    (headers['content-encoding'] ?? 'identity') === 'identity'
  );
}

/** The first answer that is not a redirect. */
async function follow(
  url: URL,
  headers: Record<string, string>,
  options: HttpSourceOptions,
  signal: AbortSignal,
): Promise<HttpAnswer> {
  const maxRedirects = options.maxRedirects ?? 5;
  const visited: URL[] = [];
  let current = url;
  for (;;) {
    visited.push(current);
    const answer = await get(
      current,
      requestOptions(options, headers, current.origin === url.origin),
      signal,
    );
    if (![301, 302, 303, 307, 308].includes(answer.status)) return answer;
    answer.discard();
    const next = redirectTarget(answer);
    const fault = options.egress?.schemeFault(next.protocol.slice(0, -1));
    if (fault)
      throw new IngotError('ID.1002', `${maskUrl(answer.url)} redirects to ${maskUrl(next)} by ${fault}`);
    if (visited.some((seen) => sameAddress(seen, next))) {
      throw new IngotError(
        'SYS.1015',
        `The redirects of ${maskUrl(url)} go round in a loop: ${[...visited, next].map(maskUrl).join(' -> ')}.`,
      );
    }
    if (visited.length > maxRedirects) {
      throw new IngotError(
        'SYS.1015',
        `${maskUrl(url)} redirects more than ${maxRedirects} times: ${[...visited, next].map(maskUrl).join(' -> ')}. ` +
          'Give the address where the file really is.',
      );
    }
    // The password belongs to the host it was given for.
    if (next.origin === url.origin && !next.username) {
      next.username = url.username;
      next.password = url.password;
    }
    current = next;
  }
}

function sameAddress(one: URL, other: URL): boolean {
  return one.origin === other.origin && one.pathname === other.pathname && one.search === other.search;
}

function redirectTarget(answer: HttpAnswer): URL {
  const shown = maskUrl(answer.url);
  const { location } = answer.headers;
  const next = location === undefined ? null : URL.parse(location, answer.url);
  if (!next) {
    throw new IngotError(
      'SYS.1015',
      `${shown} answers ${answer.status} but does not say where to (Location: ${shorten(location ?? 'none')}).`,
    );
  }
  if (next.protocol !== 'http:' && next.protocol !== 'https:') {
    throw new IngotError(
      'SYS.1015',
      `${shown} redirects to ${maskUrl(next)}; only http and https are followed.`,
    );
  }
  if (answer.url.protocol === 'https:' && next.protocol === 'http:') {
    throw new IngotError(
      'SYS.1015',
      `${shown} redirects from https to ${maskUrl(next)}, where anybody on the way could change the bytes. ` +
        'Give the http address itself if that is meant.',
    );
  }
  return next;
}

function requestOptions(
  options: HttpSourceOptions,
  headers: Record<string, string>,
  sameOrigin: boolean,
): HttpRequestOptions {
  return {
    connectTimeout: options.connectTimeout ?? 10_000,
    stallTimeout: options.stallTimeout ?? 30_000,
    headers: {
      'User-Agent': options.userAgent ?? 'ingot',
      ...(sameOrigin && options.headers),
      ...headers,
    },
    ...(options.egress && { egress: options.egress }),
    ...(options.ca !== undefined && { ca: options.ca }),
  };
}
