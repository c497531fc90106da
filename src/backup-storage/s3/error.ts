/** What an S3 server, or the way to it, says when something fails, in words that tell what to do about it. */
import { S3ServiceException } from '@aws-sdk/client-s3';
import { type ErrorCode, IngotError, isSystemError } from '../../kernel/errors.ts';

interface Verdict {
  code: ErrorCode;
  says: string;
  retryable: boolean;
}

/** Names that servers give to "no more room", each its own. */
const FULL = [
  'QuotaExceeded',
  'EntityTooLarge',
  'InsufficientStorage',
  'XMinioStorageFull',
  'XMinioAdminBucketQuotaExceeded',
];
const DAMAGED = ['BadDigest', 'XAmzContentSHA256Mismatch', 'XAmzContentChecksumMismatch'];
const WRONG_KEYS = ['InvalidAccessKeyId', 'SignatureDoesNotMatch', 'InvalidSecurity', 'InvalidToken'];
const WRONG_REGION = ['AuthorizationHeaderMalformed', 'PermanentRedirect', 'TemporaryRedirect', 'Redirect'];
const OVER_QUOTA = [413, 507];

/** `where`: what was being read or written, e.g. `s3://bucket/key at http://server:9000`. */
export function asS3Error(thrown: unknown, where: string): IngotError {
  if (thrown instanceof IngotError) return thrown;
  const status = statusOf(thrown);
  const { code, says, retryable } =
    status === undefined ? judgeConnection(thrown) : judgeAnswer(nameOf(thrown), status, thrown);
  // The SDK's own error holds the request, with the headers that sign it: it is no cause to hand on.
  return new IngotError(code, `${where}: ${says}`, { retryable });
}

/** True where the server says that the thing itself isn't there; a missing bucket is another matter. */
export function isAbsent(thrown: unknown): boolean {
  return statusOf(thrown) === 404 && nameOf(thrown) !== 'NoSuchBucket';
}

/** True where the server got other bytes than those whose digest it was told. */
export function isDamaged(thrown: unknown): boolean {
  return statusOf(thrown) !== undefined && DAMAGED.includes(nameOf(thrown));
}

export function isNotOffered(thrown: unknown): boolean {
  const status = statusOf(thrown);
  return status === 501 || status === 405 || (status === 400 && nameOf(thrown) === 'InvalidArgument');
}

/** True where a condition that the request made doesn't hold (`If-Match`, `If-None-Match`). */
export function isConditionFailed(thrown: unknown): boolean {
  return statusOf(thrown) === 412 || statusOf(thrown) === 409;
}

export function statusOf(thrown: unknown): number | undefined {
  return thrown instanceof S3ServiceException ? thrown.$metadata.httpStatusCode : undefined;
}

function nameOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.name : '';
}

function judgeAnswer(name: string, status: number, thrown: unknown): Verdict {
  const words = thrown instanceof Error && thrown.message !== 'UnknownError' ? `: ${thrown.message}` : '';
  const told = `${status}${/^(Unknown|UnknownError|NotFound)$/.test(name) ? '' : ` ${name}`}${words}`;
  const verdict = (code: ErrorCode, says: string, retryable = false) => ({ code, says, retryable });

  if (FULL.includes(name) || OVER_QUOTA.includes(status))
    return verdict(
      'BS.1006',
      `the server has no more room (${told}). Free some, raise the quota there, or use another storage.`,
      true,
    );
  if (name === 'NoSuchBucket')
    return verdict('BS.1005', 'there is no such bucket. Create it, or correct the name.');
  if (WRONG_REGION.includes(name) || (status >= 300 && status < 400)) {
    return verdict(
      'BS.1005',
      `the server serves this bucket in another region or at another address (${told}). Correct 'region' or 'endpoint'.`,
    );
  }
  if (DAMAGED.includes(name)) {
    const says = `the bytes were damaged on the way, again and again (${told}). Check the network.`;
    return verdict('SYS.1016', says, true);
  }
  if (name === 'RequestTimeTooSkewed')
    return verdict(
      'BS.1005',
      `the clocks of this machine and of the server differ too much (${told}). Set them right.`,
    );
  // Servers name wrong keys in many ways, and a HEAD has no body to name anything in: the status counts.
  if (WRONG_KEYS.includes(name) || status === 401 || status === 403) {
    return verdict(
      'BS.1005',
      `the server refuses the access key or what was asked with it (${told}). Check access key, secret key, and the rights that they have on the bucket.`,
    );
  }
  if (status === 404) return verdict('SYS.1003', 'does not exist.');
  if (status === 429 || status >= 500)
    return verdict('SYS.1016', `the server could not do it just now (${told}). Try again later.`, true);
  if (status < 300)
    return verdict(
      'SYS.1016',
      `the answer is not one of an S3 server (${told}). Check that 'endpoint' is that of its S3 service.`,
    );
  return verdict('SYS.1016', `the server refused it (${told}).`);
}

function judgeConnection(thrown: unknown): Verdict {
  const name = nameOf(thrown);
  if (name === 'TimeoutError' || name === 'AbortError')
    return {
      code: 'BS.1005',
      says: 'the server takes the connection and then says nothing. Check that it is well.',
      retryable: true,
    };
  const text = thrown instanceof Error ? thrown.message || nameOfSystemError(thrown) : String(thrown);
  const retryable = isSystemError(thrown) || name === 'AggregateError';
  return {
    code: 'BS.1005',
    says: retryable
      ? `the server can't be reached (${text}). Check 'endpoint' and that the server runs.`
      : `the answer could not be understood (${firstLine(text)}). Check that 'endpoint' is that of an S3 service.`,
    retryable,
  };
}

/** Node gives one error for each of several addresses, and no message for all of them. */
function nameOfSystemError(thrown: Error): string {
  return isSystemError(thrown) ? thrown.code : thrown.name;
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0]?.slice(0, 200) ?? '';
}
