import { IngotError, isSystemError } from '../../kernel/errors.ts';

/** The connection is over, and with it whatever was asked over it; whether that was done is not known. */
export class ConnectionLost extends Error {}

/** The same for callers outside: trying again over another connection may help. */
export class ConnectionError extends IngotError {}

export const isConnectionMatter = (thrown: unknown) =>
  thrown instanceof ConnectionLost || (thrown instanceof ConnectionError && thrown.retryable);

/** The server doesn't know what was asked of it. */
export class NotOffered extends Error {}

/** Codes of SSH_FXP_STATUS (draft-ietf-secsh-filexfer-02, 7). OpenSSH says FAILURE of all that has no code of its own. */
const STATUS = { noSuchFile: 2, permissionDenied: 3, failure: 4, unsupported: 8 } as const;

export const isMissing = (thrown: unknown) => codeOf(thrown) === STATUS.noSuchFile;
export const isFailure = (thrown: unknown) => codeOf(thrown) === STATUS.failure;
export const isNotOffered = (thrown: unknown) =>
  thrown instanceof NotOffered || codeOf(thrown) === STATUS.unsupported;

function codeOf(thrown: unknown): unknown {
  return thrown instanceof Error && 'code' in thrown ? thrown.code : undefined;
}

/** An error as one that names what it is about and says whether trying again can help. `at`: `sftp://host/path`. */
export function asSftpError(thrown: unknown, at: string): IngotError {
  if (thrown instanceof IngotError) return thrown;
  if (thrown instanceof ConnectionLost) {
    return new ConnectionError('BS.1005', `${at} could not be read or written: ${thrown.message}`, {
      cause: thrown,
      retryable: true,
    });
  }
  switch (codeOf(thrown)) {
    case STATUS.noSuchFile:
      return new IngotError('SYS.1003', `${at} does not exist.`, { cause: thrown });
    case STATUS.permissionDenied:
      return new IngotError(
        'SYS.1016',
        `The user that logs in there may not use ${at} (permission denied). Check owner and mode.`,
        { cause: thrown },
      );
    default: {
      const text = thrown instanceof Error ? thrown.message : String(thrown);
      return new IngotError('SYS.1016', `${at} could not be read or written: the server says '${text}'`, {
        cause: thrown,
        retryable: !isNotOffered(thrown),
      });
    }
  }
}

/** The error for a server that no room is left on. */
export function fullError(at: string): IngotError {
  return new IngotError('BS.1006', `No space is left for ${at}. Free some, or use another storage.`, {
    retryable: true,
  });
}

/** Why a connection could not be had, in a sentence; `server`: `user@host:22`. */
export function connectError(thrown: unknown, server: string): IngotError {
  if (thrown instanceof IngotError) return thrown;
  const level = thrown instanceof Error && 'level' in thrown ? thrown.level : undefined;
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  if (level === 'client-authentication') {
    return new IngotError(
      'BS.1005',
      `${server} refuses the log in: the user, the password or the key is wrong`,
      {
        cause: thrown,
        elaboration: "Correct them with 'UpdateSftpBackupStorage'.",
      },
    );
  }
  const unknown = isSystemError(thrown) && thrown.code === 'ENOTFOUND';
  return new ConnectionError(
    'BS.1005',
    unknown
      ? `${server} can't be connected: there is no host of that name`
      : `${server} can't be connected: ${text}`,
    { cause: thrown, retryable: true },
  );
}
