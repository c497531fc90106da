/**
 * Errors are values of one class: a code that programs read, a sentence that people read, and a cause.
 *
 * The codes are those ZStack's clients know (zstack-api.md 1.9); `details` says what was wrong and with
 * which value, in words that tell the user what to do about it.
 */

/** Code → the fixed text that ZStack's error body calls `description`. */
const DESCRIPTIONS = {
  'SYS.1000': 'Internal error',
  'SYS.1001': 'The operation timed out',
  'SYS.1002': 'The resource could not be created',
  'SYS.1003': 'The resource does not exist',
  'SYS.1004': 'The resource could not be deleted',
  'SYS.1005': 'The state could not be changed',
  'SYS.1006': 'The operation is not possible now',
  'SYS.1007': 'An argument is not valid',
  'SYS.1008': 'Unknown message',
  'SYS.1010': 'The service is not ready yet',
  'SYS.1013': 'Not supported',
  'SYS.1015': 'The other side of an HTTP exchange failed',
  'SYS.1016': 'Reading or writing failed',
  'SYS.1017': 'The operation was cancelled',
  'ID.1000': 'Authentication failed',
  'ID.1001': 'The session is not valid',
  'ID.1002': 'Permission denied',
  'ID.1003': 'A quota is exceeded',
  'ID.1006': 'Too many sessions',
  'IMG.1000': 'The image could not be created',
  'IMG.1001': 'The upload was interrupted',
  'IMG.1002': 'The bytes are not the image they were said to be',
  'BS.1000': 'The download to the backup storage failed',
  'BS.1003': 'No backup storage can take the image',
  'BS.1005': 'The backup storage could not be connected',
  'BS.1006': 'The backup storage is full',
  'PS.1000': 'No primary storage can take the volume',
  'PS.1003': 'The primary storage could not be connected',
  'PS.1006': 'The primary storage is full',
  'VOLUME.1000': 'The volume is not in a state for this',
  'VOLUME_SNAPSHOT.1000': 'The volume snapshot is not in a state for this',
  'LONG_JOB.1001': 'The job can not be cancelled',
  'LONG_JOB.1002': 'The job was interrupted',
  'LONG_JOB.1003': 'Not a long job',
} as const;

export type ErrorCode = keyof typeof DESCRIPTIONS;

/** The JSON form of an error, as zstack-api.md 1.9 gives it. */
export interface ErrorBody {
  code: string;
  description: string;
  details: string;
  /** What the user can do about it. */
  elaboration?: string;
  cause?: ErrorBody;
  /** One error for each of several things tried, e.g. each backup storage. */
  causes?: ErrorBody[];
  /** Machine-readable facts, e.g. which parameter it was. */
  opaque?: Record<string, unknown>;
}

interface ErrorOptions {
  cause?: unknown;
  causes?: readonly unknown[];
  elaboration?: string;
  opaque?: Record<string, unknown>;
  /** True where trying again later can help (network, a full disk); false where it can't. */
  retryable?: boolean;
}

export class IngotError extends Error {
  override readonly name = 'IngotError';
  readonly code: ErrorCode;
  readonly elaboration: string | undefined;
  readonly causes: readonly unknown[];
  readonly opaque: Record<string, unknown> | undefined;
  readonly retryable: boolean;

  constructor(code: ErrorCode, details: string, options: ErrorOptions = {}) {
    super(details, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.elaboration = options.elaboration;
    this.causes = options.causes ?? [];
    this.opaque = options.opaque;
    this.retryable = options.retryable ?? false;
  }

  /** The sentence that says what was wrong and with which value. */
  get details(): string {
    return this.message;
  }

  toBody(): ErrorBody {
    return {
      code: this.code,
      description: DESCRIPTIONS[this.code],
      details: this.details,
      ...(this.elaboration !== undefined && { elaboration: this.elaboration }),
      ...(this.cause !== undefined && { cause: toErrorBody(this.cause) }),
      ...(this.causes.length > 0 && { causes: this.causes.map(toErrorBody) }),
      ...(this.opaque !== undefined && { opaque: this.opaque }),
    };
  }
}

/**
 * Any thrown value as an IngotError. Errors of the operating system keep their errno in the sentence;
 * anything else is an internal error, whose stack belongs in the log and not in an answer.
 */
export function toIngotError(thrown: unknown): IngotError {
  if (thrown instanceof IngotError) return thrown;
  if (isSystemError(thrown)) {
    return new IngotError('SYS.1016', thrown.message, { retryable: thrown.code !== 'ENOENT' });
  }
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  return new IngotError('SYS.1000', text || 'unknown error');
}

export function toErrorBody(thrown: unknown): ErrorBody {
  return toIngotError(thrown).toBody();
}

/** An IngotError again from its JSON form, e.g. one that was kept in a job's row. */
export function fromErrorBody(body: ErrorBody): IngotError {
  const code = (Object.hasOwn(DESCRIPTIONS, body.code) ? body.code : 'SYS.1000') as ErrorCode;
  return new IngotError(code, body.details, {
    ...(body.elaboration !== undefined && { elaboration: body.elaboration }),
    ...(body.cause && { cause: fromErrorBody(body.cause) }),
    ...(body.causes && { causes: body.causes.map(fromErrorBody) }),
    ...(body.opaque && { opaque: body.opaque }),
  });
}

/** True for errors of the operating system (`ENOSPC`, `ECONNREFUSED`, …), whose `code` is the errno's name. */
export function isSystemError(thrown: unknown): thrown is NodeJS.ErrnoException & { code: string } {
  return thrown instanceof Error && typeof (thrown as NodeJS.ErrnoException).code === 'string';
}
