/**
 * Recorded exchanges: requests as real clients send them, and the answers that they need, byte for byte.
 *
 *     === what it shows
 *     @poll                               repeat until the answer is final
 *     @signed {{id}} {{secret}} UTC       sign it, with such a zone in its Date
 *     > PUT /zstack/v1/accounts/login     the request: first line, headers, an empty line, the body
 *     < 200                               the answer: status, headers that must be so, an empty line, the body
 *
 * `{{name}}` in a request is a value known by then. In an answer `<kind>` stands for any value of the kind, and
 * `<name:kind>` keeps it under the name; `< !name` is a header that must not be there.
 */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { gunzipSync } from 'node:zlib';

export interface Recorded {
  title: string;
  /** Where the recording says it. */
  line: number;
  poll: boolean;
  signed?: { id: string; secret: string; zone: string };
  method: string;
  path: string;
  headers: [string, string][];
  body: string;
  status: number;
  expectedHeaders: [string, string][];
  absentHeaders: string[];
  expectedBody: string | undefined;
}

export type Values = Map<string, string>;

const KINDS: Record<string, string> = {
  uuid: '[0-9a-f]{32}',
  date: '[A-Z][a-z]{2} \\d{1,2}, \\d{4} \\d{1,2}:\\d\\d:\\d\\d [AP]M',
  number: '\\d+',
  text: '(?:[^"\\\\]|\\\\.)*',
  any: '[^]*',
};

export function readRecording(text: string): Recorded[] {
  const exchanges: Recorded[] = [];
  let current: Recorded | undefined;
  let part: 'request' | 'request-body' | 'answer' | 'answer-body' = 'request';
  text.split('\n').forEach((line, i) => {
    if (line.startsWith('=== ')) {
      current = blank(line.slice(4), i + 1);
      exchanges.push(current);
      return;
    }
    if (line.trim() === '' || line.startsWith('#')) return;
    assert.ok(current, `line ${i + 1} belongs to no exchange`);
    if (line === '@poll') current.poll = true;
    else if (line.startsWith('@signed ')) {
      const [, id = '', secret = '', zone = 'GMT'] = line.split(' ');
      current.signed = { id, secret, zone };
    } else if (line.startsWith('>')) {
      const rest = line.slice(2);
      if (current.method === '') {
        const [method = '', path = ''] = rest.split(' ');
        current.method = method;
        current.path = path;
        part = 'request';
      } else if (part === 'request' && rest === '') part = 'request-body';
      else if (part === 'request') current.headers.push(header(rest));
      else current.body += rest;
    } else if (line.startsWith('<')) {
      const rest = line.slice(2);
      if (current.status === 0) {
        current.status = Number(rest);
        part = 'answer';
      } else if (part === 'answer' && rest === '') part = 'answer-body';
      else if (part === 'answer' && rest.startsWith('!')) current.absentHeaders.push(rest.slice(1));
      else if (part === 'answer') current.expectedHeaders.push(header(rest));
      else current.expectedBody = (current.expectedBody ?? '') + rest;
    } else assert.fail(`line ${i + 1} can't be read: ${line}`);
  });
  return exchanges;
}

function blank(title: string, line: number): Recorded {
  return {
    title,
    line,
    poll: false,
    method: '',
    path: '',
    headers: [],
    body: '',
    status: 0,
    expectedHeaders: [],
    absentHeaders: [],
    expectedBody: undefined,
  };
}

function header(text: string): [string, string] {
  const colon = text.indexOf(':');
  return [text.slice(0, colon), text.slice(colon + 1).trim()];
}

interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}

/** Sends the request and compares the answer; what it names is known afterwards. */
export async function replay(exchange: Recorded, address: string, values: Values): Promise<void> {
  const path = fill(exchange.path, values);
  const headers: Record<string, string> = {};
  for (const [name, value] of exchange.headers) headers[name] = fill(value, values);
  if (exchange.signed) Object.assign(headers, sign(exchange, path, values));
  const body = fill(exchange.body, values);
  let answer = await send(address, exchange.method, path, headers, body);
  for (let i = 0; exchange.poll && isUnderWay(answer) && i < 600; i++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    answer = await send(address, exchange.method, path, headers, body);
  }
  const where = `${exchange.title} (line ${exchange.line}): ${answer.status} ${answer.body}`;
  assert.equal(answer.status, exchange.status, where);
  for (const [name, value] of exchange.expectedHeaders) {
    match(String(answer.headers[name.toLowerCase()]), value, values, `${name} of ${where}`);
  }
  for (const name of exchange.absentHeaders) {
    assert.equal(answer.headers[name.toLowerCase()], undefined, `${name} of ${where}`);
  }
  if (exchange.expectedBody !== undefined) match(answer.body, exchange.expectedBody, values, where);
}

function isUnderWay({ status, body }: Answer): boolean {
  return status === 202 || body.includes('"state":"Processing"');
}

function fill(text: string, values: Values): string {
  return text.replace(/\{\{(\w+)\}\}/g, (_, name: string) => {
    const value = values.get(name);
    assert.ok(value !== undefined, `${name} is not known yet`);
    return value;
  });
}

function match(actual: string, expected: string, values: Values, where: string): void {
  const names: string[] = [];
  const pattern = fill(expected, values)
    .split(/<(?:(\w+):)?(uuid|date|number|text|any)>/)
    .map((piece, i) => {
      if (i % 3 === 0) return piece.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
      if (i % 3 === 1) {
        names.push(piece ?? '');
        return '';
      }
      return `(${KINDS[piece ?? '']})`;
    })
    .join('');
  const found = new RegExp(`^${pattern}$`).exec(actual);
  assert.ok(found, `${where}\nwas expected to be\n${expected}`);
  names.forEach((name, i) => {
    if (name) values.set(name, found[i + 1] ?? '');
  });
}

function sign({ method, signed }: Recorded, path: string, values: Values): Record<string, string> {
  const { id = '', secret = '', zone = 'GMT' } = signed ?? {};
  const date = dateIn(zone);
  const signedPath = decodeURIComponent(path.split('?')[0] ?? '').replace(/^\/zstack/, '');
  const signature = createHmac('sha1', fill(secret, values))
    .update(`${method}\n${date}\n${signedPath}`)
    .digest('base64');
  return { Date: date, Authorization: `ZStack ${fill(id, values)}:${signature}` };
}

/** Now, as a client writes it whose clock is in the zone. */
function dateIn(zone: string): string {
  const hours = /^[+-]\d\d00$/.test(zone) ? Number(zone.slice(0, 3)) : zone === 'Asia/Shanghai' ? 8 : 0;
  const shifted = new Date(Date.now() + hours * 3_600_000).toUTCString();
  return shifted.replace('GMT', zone);
}

/** As it stands, without a client that would add or change anything. */
function send(
  address: string,
  method: string,
  path: string,
  headers: Record<string, string>,
  body: string,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      `${address}${path}`,
      { method, headers: { ...headers, 'content-length': String(Buffer.byteLength(body)) } },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const bytes = Buffer.concat(chunks);
          const text = response.headers['content-encoding'] === 'gzip' ? gunzipSync(bytes) : bytes;
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: text.toString('utf8'),
          });
        });
      },
    );
    request.on('error', reject);
    request.end(body);
  });
}
