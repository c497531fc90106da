import { Writable } from 'node:stream';
import { Client, FTPError } from 'basic-ftp';
import { IngotError } from '../kernel/errors.ts';
import type { Egress, EgressTarget } from './egress.ts';
import { decoded, hostAndPort, maskUrl, portOf } from './http-address.ts';
import { asSourceError, broken, stalled } from './http-failure.ts';
import { PushBody } from './push-body.ts';
import {
  DEFAULT_RETRY,
  type OpenedSource,
  type RemoteOptions,
  type Source,
  SourceBreak,
  type SourceFacts,
} from './source.ts';

/** A file behind an ftp URL, which may hold a user name and a password; `anonymous` without. */
export function ftpSource(url: URL, options: RemoteOptions): Source {
  return {
    label: maskUrl(url),
    retry: { ...DEFAULT_RETRY, ...options.retry },
    open: (request) => openAt(url, options, request),
  };
}

interface OpenRequest {
  offset: number;
  facts?: SourceFacts;
  signal: AbortSignal;
}

async function openAt(url: URL, options: RemoteOptions, request: OpenRequest): Promise<OpenedSource> {
  const { signal } = request;
  signal.throwIfAborted();
  const client = new Client(options.stallTimeout, { allowSeparateTransferHost: false });
  const close = () => client.close();
  signal.addEventListener('abort', close, { once: true });
  const finish = () => {
    signal.removeEventListener('abort', close);
    close();
  };
  try {
    await connect(client, url, options);
    return await begin(client, url, request, finish);
  } catch (error) {
    finish();
    signal.throwIfAborted();
    throw asFtpError(error, url, options.stallTimeout);
  }
}

/** The one place where an FTP connection is made; its data connections go to the same address, and send nothing. */
async function connect(client: Client, url: URL, { egress }: RemoteOptions): Promise<void> {
  const target = { scheme: 'ftp', host: url.hostname.replace(/^\[|\]$/g, ''), port: portOf(url) } as const;
  const connecting = client.connect(egress ? await judgedAddress(egress, target) : target.host, target.port);
  egress?.guard(client.ftp.socket, target);
  await connecting;
  await client.login(decoded(url.username) || 'anonymous', decoded(url.password) || 'ingot@');
  await client.useDefaultSettings();
}

/** An address of the host that may be connected to. */
function judgedAddress(egress: Egress, target: EgressTarget): Promise<string> {
  const lookup = egress.lookupFor(target);
  return new Promise((resolve, reject) => {
    lookup(target.host, {}, (error, address) => {
      if (error) reject(error);
      else resolve(String(address));
    });
  });
}

async function begin(
  client: Client,
  url: URL,
  { offset, facts }: OpenRequest,
  finish: () => void,
): Promise<OpenedSource> {
  // Relative to where the log-in leads; one that begins with %2F is absolute (RFC 1738, 3.2.2).
  const path = decoded(url.pathname.replace(/^\//, ''));
  const { missing, ...found } = await factsOf(client, path);
  const start = offset > 0 && facts && isSame(facts, found) ? offset : 0;
  const body = new PushBody(finish);
  await new Promise<void>((resolve, reject) => {
    const sink = new Writable({
      highWaterMark: 1,
      write: (chunk: Buffer, _encoding, done) => {
        // The first byte, or the end, shows that the server gives the file; before that it may refuse it.
        resolve();
        body.push(chunk).then(() => done(), done);
      },
    });
    client.downloadTo(sink, path, start).then(
      () => {
        body.end();
        finish();
        resolve();
      },
      (error) => {
        body.fail(asFtpError(error, url, client.ftp.timeout));
        // A server that has no such file may cut the data connection before it says so.
        reject(missing ?? error);
      },
    );
  });
  return { offset: start, facts: found, body };
}

/** What the server tells of the file before it gives it: it need not know either command. */
async function factsOf(client: Client, path: string): Promise<SourceFacts & { missing?: FTPError }> {
  let missing: FTPError | undefined;
  const optional = (error: unknown) => {
    if (!(error instanceof FTPError)) throw error;
    if (error.code === 550) missing = error;
  };
  const totalSize = await client.size(path).catch(optional);
  const modified = await client.lastMod(path).catch(optional);
  return {
    ...(typeof totalSize === 'number' && { totalSize }),
    ...(modified instanceof Date && { lastModified: modified.toISOString() }),
    ...(missing && { missing }),
  };
}

/** Without both, nothing would tell the rest of this file from the rest of another one. */
function isSame(known: SourceFacts, found: SourceFacts): boolean {
  return (
    found.lastModified !== undefined &&
    found.totalSize !== undefined &&
    found.lastModified === known.lastModified &&
    found.totalSize === known.totalSize
  );
}

function asFtpError(thrown: unknown, url: URL, stallTimeout: number): unknown {
  if (thrown instanceof IngotError || thrown instanceof SourceBreak || !(thrown instanceof Error)) {
    return thrown;
  }
  const shown = maskUrl(url);
  if (thrown instanceof FTPError) {
    const { code } = thrown;
    const said = thrown.message.replace(/\s+/g, ' ').slice(0, 200);
    const fatal = (details: string) => new IngotError('SYS.1015', `${details} (${said}).`);
    if (code === 530 || code === 331 || code === 332) {
      return fatal(
        `${hostAndPort(url)} does not let ${url.username ? `"${decoded(url.username)}"` : 'anonymous users'} in for ${shown}`,
      );
    }
    if (code === 550) return fatal(`${hostAndPort(url)} has no file for ${shown}, or does not give it`);
    if (code >= 500) return fatal(`${hostAndPort(url)} refused ${shown}`);
    return broken(`${hostAndPort(url)} broke off ${shown} (${said})`);
  }
  if (/^Timeout/.test(thrown.message)) return stalled(url, stallTimeout, 'bytes');
  return asSourceError(thrown, url);
}
