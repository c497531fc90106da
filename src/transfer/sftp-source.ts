import { once } from 'node:events';
import { connect as connectSocket, type Socket } from 'node:net';
import { promisify } from 'node:util';
import { Client, type SFTPWrapper, type Stats } from 'ssh2';
import { IngotError, isSystemError } from '../kernel/errors.ts';
import { decoded, hostAndPort, maskUrl, portOf } from './http-address.ts';
import { asSourceError, broken, stalled } from './http-failure.ts';
import { fingerprintOf, type KnownHosts } from './known-hosts.ts';
import { SftpBody } from './sftp-body.ts';
import {
  DEFAULT_RETRY,
  type OpenedSource,
  type RemoteOptions,
  type Source,
  SourceBreak,
  type SourceFacts,
} from './source.ts';

export interface SftpOptions extends RemoteOptions {
  /** The only servers to be trusted; without it, any is, and must stay the same for one transfer. */
  knownHosts?: KnownHosts;
}

const CONNECT_TIMEOUT = 10_000;
/** SSH_FX_* of the protocol. */
const NO_SUCH_FILE = 2;
const PERMISSION_DENIED = 3;

/** A file behind `sftp://user:password@host/absolute/path`. */
export function sftpSource(url: URL, options: SftpOptions): Source {
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

async function openAt(url: URL, options: SftpOptions, request: OpenRequest): Promise<OpenedSource> {
  const { signal } = request;
  signal.throwIfAborted();
  const client = new Client();
  const close = () => client.destroy();
  signal.addEventListener('abort', close, { once: true });
  const finish = () => {
    signal.removeEventListener('abort', close);
    close();
  };
  try {
    const hostKey = await connect(client, url, options, request.facts?.hostKey);
    const sftp = await inTime(promisify(client.sftp.bind(client))(), url, options.stallTimeout);
    return await begin(sftp, hostKey, url, options, request, finish);
  } catch (error) {
    finish();
    signal.throwIfAborted();
    throw asSftpError(error, url);
  }
}

/** The one place where an SSH connection is made. Fulfilled with the fingerprint of the key that the server showed. */
async function connect(
  client: Client,
  url: URL,
  options: SftpOptions,
  expected: string | undefined,
): Promise<string> {
  const target = { scheme: 'sftp', host: url.hostname.replace(/^\[|\]$/g, ''), port: portOf(url) } as const;
  const { host, port } = target;
  const socket = await connected(options.egress?.connect(target) ?? connectSocket(target), url);
  // Without it, small packets wait for each other, and a read runs at a hundredth of its speed.
  socket.setNoDelay(true);
  let hostKey = '';
  let refusal: IngotError | undefined;
  const verify = (key: Buffer) => {
    hostKey = fingerprintOf(key);
    if (options.knownHosts && !options.knownHosts.has(host, port, key)) refusal = unknownHost(url, hostKey);
    else if (expected !== undefined && expected !== hostKey) refusal = changedHost(url, expected, hostKey);
    return refusal === undefined;
  };
  try {
    const ready = once(client, 'ready');
    // What comes after that is heard of by whatever is under way.
    client.on('error', () => {});
    client.connect({
      sock: socket,
      username: decoded(url.username),
      password: decoded(url.password),
      hostVerifier: verify,
      readyTimeout: options.stallTimeout,
    });
    await ready;
  } catch (error) {
    socket.destroy();
    throw refusal ?? error;
  }
  return hostKey;
}

async function connected(socket: Socket, url: URL): Promise<Socket> {
  const timer = setTimeout(() => socket.destroy(new Late()), CONNECT_TIMEOUT);
  // Whoever is waiting hears of it; after that it is nobody's concern.
  socket.on('error', () => {});
  try {
    await once(socket, 'connect');
    // It may turn out only now that this must not be connected to.
    if (socket.errored) throw socket.errored;
    return socket;
  } catch (error) {
    throw error instanceof Late ? stalled(url, CONNECT_TIMEOUT, 'connect') : error;
  } finally {
    clearTimeout(timer);
  }
}

class Late extends Error {}

async function begin(
  sftp: SFTPWrapper,
  hostKey: string,
  url: URL,
  { stallTimeout }: SftpOptions,
  { offset, facts }: OpenRequest,
  finish: () => void,
): Promise<OpenedSource> {
  const path = decoded(url.pathname);
  const handle = await inTime(
    new Promise<Buffer>((resolve, reject) => {
      sftp.open(path, 'r', (error, opened) => (error ? reject(error) : resolve(opened)));
    }),
    url,
    stallTimeout,
  );
  const stats: Stats = await inTime(promisify(sftp.fstat.bind(sftp))(handle), url, stallTimeout);
  if (!stats.isFile()) {
    throw new IngotError('SYS.1015', `${maskUrl(url)} is no file. Give the path of an image.`);
  }
  const found = { hostKey, totalSize: stats.size, lastModified: new Date(stats.mtime * 1000).toISOString() };
  const same = facts?.totalSize === found.totalSize && facts.lastModified === found.lastModified;
  const start = same ? offset : 0;
  const body = new SftpBody({
    read: (target, position) => readAt(sftp, handle, target, position),
    start,
    size: stats.size,
    inTime: (work) => inTime(work, url, stallTimeout),
    asError: (error) => asSftpError(error, url),
    finish,
  });
  return { offset: start, facts: found, body };
}

/** Fulfilled with how many bytes came, 0 at the end. */
function readAt(sftp: SFTPWrapper, handle: Buffer, target: Buffer, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    sftp.read(handle, target, 0, target.length, position, (error, length) =>
      error ? reject(error) : resolve(length),
    );
  });
}

async function inTime<T>(work: Promise<T>, url: URL, milliseconds: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(stalled(url, milliseconds, 'bytes')), milliseconds);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

function unknownHost(url: URL, fingerprint: string): IngotError {
  return new IngotError(
    'SYS.1015',
    `The host key of ${hostAndPort(url)} (${fingerprint}) is not in the file of known hosts; ${maskUrl(url)} was not downloaded.`,
    { elaboration: 'Check the fingerprint with whoever runs the server, and add its key with ssh-keyscan.' },
  );
}

function changedHost(url: URL, before: string, now: string): IngotError {
  return new IngotError(
    'SYS.1015',
    `The host key of ${hostAndPort(url)} has changed since the download began, from ${before} to ${now}; it does not go on.`,
  );
}

function asSftpError(thrown: unknown, url: URL): unknown {
  if (thrown instanceof IngotError || thrown instanceof SourceBreak || !(thrown instanceof Error)) {
    return thrown;
  }
  const shown = maskUrl(url);
  const { level, code } = thrown as { level?: string; code?: unknown };
  if (level === 'client-authentication') {
    return new IngotError(
      'SYS.1015',
      `${hostAndPort(url)} does not let "${decoded(url.username)}" in for ${shown}: check user name and password.`,
    );
  }
  if (level === 'client-timeout') {
    return broken(`${hostAndPort(url)} took a connection for ${shown}, but did not speak SSH in time`);
  }
  if (code === NO_SUCH_FILE) return new IngotError('SYS.1015', `${shown} does not exist. Check the path.`);
  if (code === PERMISSION_DENIED) {
    return new IngotError('SYS.1015', `${shown} may not be read by "${decoded(url.username)}".`);
  }
  if (isSystemError(thrown) && level !== 'protocol') return asSourceError(thrown, url);
  return broken(`The connection to ${hostAndPort(url)} broke while ${shown} was read`, thrown);
}
