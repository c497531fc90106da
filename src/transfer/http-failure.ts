import { IngotError, isSystemError } from '../kernel/errors.ts';
import { formatDuration, shorten } from '../kernel/format.ts';
import { hostAndPort, maskUrl } from './http-address.ts';
import { SourceBreak } from './source.ts';

/** A connection that can't be made is tried again only this often, and only in case the server is restarting. */
const CONNECT_TRIES = 2;

/** OpenSSL's and Node's words for a certificate that can't be trusted, in ours. */
const CERTIFICATE_FAULTS: Record<string, string> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: 'it is self-signed',
  SELF_SIGNED_CERT_IN_CHAIN: 'its chain ends in an authority that is not trusted',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its authority is not known',
  UNABLE_TO_GET_ISSUER_CERT: 'its authority is not known',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its authority is not known',
  CERT_HAS_EXPIRED: 'it has expired',
  CERT_NOT_YET_VALID: 'it is not valid yet',
  CERT_REVOKED: 'it was revoked',
  ERR_TLS_CERT_ALTNAME_INVALID: 'it was made for another host name',
};

/** Any error of a connection as an error that names the address and says whether trying again can help. */
export function asSourceError(error: Error, url: URL): IngotError | SourceBreak {
  if (error instanceof IngotError || error instanceof SourceBreak) return error;
  const code = isSystemError(error) ? error.code : '';
  const shown = maskUrl(url);
  const fatal = (details: string) => new IngotError('SYS.1015', details, { cause: error });
  const seldom = (details: string) =>
    new SourceBreak(new IngotError('SYS.1015', details, { cause: error, retryable: true }), {
      tries: CONNECT_TRIES,
    });

  const fault = CERTIFICATE_FAULTS[code];
  if (fault) {
    return fatal(
      `The certificate of ${hostAndPort(url)} can not be trusted: ${fault}. ${shown} was not downloaded; ` +
        'install the right certificate there, or make its authority known to this machine.',
    );
  }
  if (code.startsWith('ERR_SSL') || code.startsWith('ERR_TLS') || code === 'EPROTO') {
    // Without a cause: OpenSSL's own line would say it a second time.
    return new IngotError(
      'SYS.1015',
      `No TLS connection could be made with ${hostAndPort(url)} for ${shown} (${reasonOf(error)}). ` +
        'Check that the port speaks https.',
    );
  }
  if (code.startsWith('HPE_')) {
    return fatal(
      `${hostAndPort(url)} did not answer ${shown} in valid HTTP (${code}). Check host and port of the URL.`,
    );
  }
  switch (code) {
    case 'ENOTFOUND':
      return fatal(
        `The host name "${url.hostname}" of ${shown} is unknown. Check its spelling and this machine's DNS.`,
      );
    case 'EAI_AGAIN':
      return seldom(
        `The host name "${url.hostname}" of ${shown} could not be looked up: the DNS does not answer.`,
      );
    case 'ECONNREFUSED':
      return seldom(
        `${hostAndPort(url)} refused the connection for ${shown}. Check the port and that the server is running.`,
      );
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return seldom(`${hostAndPort(url)} can not be reached from this machine for ${shown} (${code}).`);
    default:
      return broken(`The connection to ${hostAndPort(url)} broke while ${shown} was read`, error);
  }
}

/** OpenSSL's reason, such as `wrong version number`, without the places in its source that its message names. */
function reasonOf(error: Error): string {
  const { reason, code } = error as Error & { reason?: unknown; code?: string };
  return typeof reason === 'string' ? reason : (code ?? error.message);
}

/** A connection that ended before its time; worth as many tries as the policy gives. */
export function broken(details: string, cause?: unknown): SourceBreak {
  const because = cause instanceof Error && cause.message ? ` (${cause.message})` : '';
  return new SourceBreak(new IngotError('SYS.1015', `${details}${because}.`, { cause, retryable: true }));
}

/** A server that sends one head after another, or one that never ends; it would do so again. */
export function headsWithoutEnd(url: URL): IngotError {
  return new IngotError(
    'SYS.1015',
    `${hostAndPort(url)} answered the request for ${maskUrl(url)} with informational answers (1xx) or header lines ` +
      'that come to no end, and was not listened to any longer. Check host and port of the URL.',
  );
}

/** A server that from now on speaks something else, though nobody has asked for it. */
export function switchedProtocols(url: URL, protocol = 'none'): IngotError {
  return new IngotError(
    'SYS.1015',
    `${hostAndPort(url)} answered the request for ${maskUrl(url)} with 101 Switching Protocols ` +
      `(Upgrade: ${shorten(protocol)}) instead of a file. Check host and port of the URL.`,
  );
}

/** A server that let `milliseconds` pass without a word. */
export function stalled(
  url: URL,
  milliseconds: number,
  waitedFor: 'connect' | 'answer' | 'bytes',
): SourceBreak {
  const time = formatDuration(milliseconds);
  const shown = maskUrl(url);
  const details = {
    connect: `${hostAndPort(url)} did not accept a connection for ${shown} within ${time}.`,
    answer: `${hostAndPort(url)} did not answer the request for ${shown} within ${time}.`,
    bytes: `No byte of ${shown} came for ${time}.`,
  }[waitedFor];
  const error = new IngotError('SYS.1015', details, { retryable: true });
  return new SourceBreak(error, waitedFor === 'connect' ? { tries: CONNECT_TRIES } : {});
}
