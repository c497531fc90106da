import { asFileError } from '../../backup-storage/local/file-error.ts';
import { IngotError } from '../../kernel/errors.ts';

/** An error of the file system, or of a file of ours, as a primary storage's. */
export function asPrimaryError(thrown: unknown, file: string): unknown {
  // An abort has its own reason, which whoever aborted wants back.
  if (thrown instanceof Error && !(thrown instanceof IngotError) && !('errno' in thrown)) return thrown;
  const error = asFileError(thrown, file);
  const full =
    error.code === 'BS.1006' || (error.code === 'SYS.1016' && error.details.includes('No space left'));
  return full ? new IngotError('PS.1006', error.details, { cause: error, retryable: true }) : error;
}

export async function ofPrimary<T>(file: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (thrown) {
    throw asPrimaryError(thrown, file);
  }
}
