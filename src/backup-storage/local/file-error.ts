import { IngotError, isSystemError } from '../../kernel/errors.ts';

/** An error of the file system as one that names the file and says whether trying again can help. */
export function asFileError(thrown: unknown, file: string): IngotError {
  if (thrown instanceof IngotError) return thrown;
  const code = isSystemError(thrown) ? thrown.code : '';
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new IngotError('BS.1006', `No space is left for ${file}. Free some, or use another storage.`, {
        cause: thrown,
        retryable: true,
      });
    case 'ENOENT':
      return new IngotError('SYS.1003', `${file} does not exist.`, { cause: thrown });
    case 'EFBIG':
      return new IngotError('SYS.1016', `${file} is larger than its file system allows.`, { cause: thrown });
    case 'EACCES':
    case 'EPERM':
      return new IngotError('SYS.1016', `This process may not use ${file} (${code}). Check owner and mode.`, {
        cause: thrown,
      });
    case 'EROFS':
      return new IngotError('SYS.1016', `${file} lies on a file system that is mounted read-only.`, {
        cause: thrown,
        retryable: true,
      });
    default: {
      const text = thrown instanceof Error ? thrown.message : String(thrown);
      return new IngotError('SYS.1016', `${file} could not be read or written: ${text}`, {
        cause: thrown,
        retryable: true,
      });
    }
  }
}
