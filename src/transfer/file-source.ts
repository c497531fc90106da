import { constants } from 'node:fs';
import { type FileHandle, open, readlink, realpath } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { IngotError, isSystemError } from '../kernel/errors.ts';
import { type Body, type OpenedSource, type Source, SourceBreak, type SourceFacts } from './source.ts';

/** The path in a `file:///…` URL; SYS.1007 where it names another machine or can't be a path. */
export function pathOfFileUrl(url: URL): string {
  try {
    return fileURLToPath(url);
  } catch (cause) {
    throw new IngotError('SYS.1007', `${url.href} names no file of this machine. Write file:///path/of/it.`, {
      cause,
    });
  }
}

/**
 * A file of the service's own machine, below one of the allowed directories. Links are followed, but never out of
 * these: what counts is where the file that was opened really lies.
 */
export function fileSource(url: URL, allowed: readonly string[]): Source {
  const file = pathOfFileUrl(url);
  return {
    label: url.href,
    retry: { tries: 2, baseDelay: 200, maxDelay: 1000 },
    async open({ offset, facts, signal }) {
      signal.throwIfAborted();
      const handle = await openAllowed(file, allowed);
      try {
        return await begin(handle, file, offset, facts);
      } catch (error) {
        await handle.close();
        throw error;
      }
    },
  };
}

/** SYS.1007 for a file that lies nowhere where files may be taken from, whether it exists or not. */
async function openAllowed(file: string, allowed: readonly string[]): Promise<FileHandle> {
  // Looked at before, so that nothing outside is even opened; and after, as a link may have changed in between.
  const before = await realpath(file).catch(() => file);
  await requireAllowed(file, before, allowed);
  // O_NONBLOCK: a pipe would wait for its writer.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const handle = await open(before, flags).catch((thrown) => {
    throw asFileError(thrown, file);
  });
  try {
    await requireAllowed(file, await readlink(`/proc/self/fd/${handle.fd}`), allowed);
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function requireAllowed(file: string, real: string, allowed: readonly string[]): Promise<void> {
  for (const directory of allowed) {
    const root = await realpath(directory).catch(() => undefined);
    if (root !== undefined && real.startsWith(root.endsWith(path.sep) ? root : root + path.sep)) return;
  }
  const where = allowed.length === 0 ? 'none is' : `only what lies below ${allowed.join(', ')} is`;
  throw new IngotError('SYS.1007', `${file} may not be taken in: of this machine's files, ${where} allowed`, {
    elaboration: 'Directories are allowed with --import-directories or INGOT_IMPORT_DIRECTORIES.',
  });
}

async function begin(
  handle: FileHandle,
  file: string,
  offset: number,
  facts: SourceFacts | undefined,
): Promise<OpenedSource> {
  const stats = await handle.stat({ bigint: true });
  if (!stats.isFile()) {
    throw new IngotError('SYS.1007', `${file} is no file. Give the path of an image.`);
  }
  const found = { etag: `${stats.dev}-${stats.ino}-${stats.mtimeNs}`, totalSize: Number(stats.size) };
  const same = facts?.etag === found.etag && facts.totalSize === found.totalSize;
  const start = same ? offset : 0;
  return { offset: start, facts: found, body: new FileBody(handle, file, start) };
}

class FileBody implements Body {
  readonly #handle: FileHandle;
  readonly #file: string;
  #position: number;
  #reading: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(handle: FileHandle, file: string, position: number) {
    this.#handle = handle;
    this.#file = file;
    this.#position = position;
  }

  async fill(target: Uint8Array, arrived: (bytes: number) => boolean): Promise<'more' | 'end'> {
    for (let filled = 0; filled < target.length; ) {
      const reading = this.#handle.read(target, filled, target.length - filled, this.#position);
      this.#reading = reading.catch(() => {});
      const { bytesRead } = await reading.catch((thrown) => {
        throw asFileError(thrown, this.#file);
      });
      if (bytesRead === 0) return 'end';
      filled += bytesRead;
      this.#position += bytesRead;
      if (!arrived(bytesRead)) break;
    }
    return 'more';
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    void this.#reading.then(() => this.#handle.close()).catch(() => {});
  }
}

function asFileError(thrown: unknown, file: string): Error {
  const code = isSystemError(thrown) ? thrown.code : '';
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return new IngotError('SYS.1007', `${file} does not exist on the service's machine`);
  }
  if (code === 'EACCES' || code === 'EPERM') {
    return new IngotError('SYS.1007', `${file} may not be read by the service`);
  }
  const reason = thrown instanceof Error ? thrown.message : String(thrown);
  const details = `${file} could not be read: ${reason}`;
  return new SourceBreak(new IngotError('SYS.1016', details, { cause: thrown, retryable: true }));
}
