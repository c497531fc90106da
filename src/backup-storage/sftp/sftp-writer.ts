import { posix } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { IngotError } from '../../kernel/errors.ts';
import type { CommitOptions, CreateOptions, StoreWriter } from '../driver.ts';
import { dataRuns, HOLE_BYTES } from '../local/holes.ts';
import { partOf } from '../local/object-path.ts';
import type { SftpConnection } from './connection.ts';
import type { DigestCheck } from './digest.ts';
import { REQUEST_BYTES } from './reading.ts';
import { type RemoteFiles, syncHandle } from './remote-files.ts';
import {
  asSftpError,
  ConnectionLost,
  fullError,
  isConnectionMatter,
  isFailure,
  isMissing,
} from './sftp-error.ts';

/**
 * Requests of one writer under way: what the network may hold of it. OpenSSH's server takes 2 MiB before it has answered
 * anyway; more only waits in memory (measured: 16 took a sixth longer).
 */
const UNDER_WAY = 8;
/** How often a lost connection is replaced without a byte having been taken in between. */
const RECONNECTS = 5;
/** Before the first time, in milliseconds; doubles with each. */
const RECONNECT_DELAY = 200;
const FILE_MODE = 0o640;

interface Place {
  files: RemoteFiles;
  root: string;
  /** Absolute path of the object's file. */
  file: string;
  digests: DigestCheck;
  /** Rejects when the directory is that of the storage no longer. */
  requireStorage: () => Promise<void>;
}

/** The part's file, open over one connection. */
interface Session {
  connection: SftpConnection;
  handle: Buffer;
  release(): void;
}

/** Opens the part beside the object's file: empty, or cut to what is to be continued. */
export async function openSftpWriter(place: Place, { resumeAt = 0 }: CreateOptions): Promise<StoreWriter> {
  const { files, root, file } = place;
  const part = partOf(file);
  try {
    if (resumeAt > 0) return new SftpWriter(place, await openToContinue(files, part, resumeAt), resumeAt);
    for (let attempt = 1; ; attempt++) {
      await files.makeDirectories(posix.dirname(file), root);
      try {
        return new SftpWriter(place, await openPart(files, part, 'w'), 0);
      } catch (thrown) {
        // Another removal may have taken the directory away in between, because it was empty.
        if (attempt === 5 || !isMissing(thrown)) throw thrown;
      }
    }
  } catch (thrown) {
    throw asSftpError(thrown, files.at(part));
  }
}

async function openPart(files: RemoteFiles, part: string, flags: 'w' | 'r+'): Promise<Session> {
  const { connection, release } = await files.connections.lease();
  try {
    const handle = await connection.request<Buffer>((sftp, done) =>
      sftp.open(part, flags, { mode: FILE_MODE }, done),
    );
    return { connection, handle, release };
  } catch (thrown) {
    release();
    throw thrown;
  }
}

async function openToContinue(files: RemoteFiles, part: string, resumeAt: number): Promise<Session> {
  const session = await openPart(files, part, 'r+');
  try {
    const size = await sizeOf(session);
    if (size < resumeAt) {
      const details = `${files.at(part)} has ${size} bytes, so it can not be continued at ${resumeAt}.`;
      throw new IngotError('SYS.1016', details);
    }
    await resize(session, resumeAt);
    return session;
  } catch (thrown) {
    await closeSession(session);
    throw thrown;
  }
}

class SftpWriter implements StoreWriter {
  readonly #place: Place;
  readonly #part: string;
  readonly #underWay = new Set<Promise<void>>();
  /** Those that wait for a place among the requests under way. */
  readonly #waiting: (() => void)[] = [];
  #asked = 0;
  /** Undefined while a lost one is not replaced. */
  #session: Promise<Session> | undefined;
  #reconnects = 0;
  #position: number;
  /** Where the last data ends; behind it the file is a hole that its size doesn't cover yet. */
  #dataEnd: number;
  #failure: IngotError | undefined;
  #ending = false;
  #closed = false;

  constructor(place: Place, session: Session, offset: number) {
    this.#place = place;
    this.#part = partOf(place.file);
    this.#session = Promise.resolve(session);
    this.#position = offset;
    this.#dataEnd = offset;
  }

  get offset(): number {
    return this.#position;
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.#throwIfFailed();
    const position = this.#position;
    this.#position += chunk.length;
    const writes: Promise<void>[] = [];
    for (const { start, end } of dataRuns(chunk, position)) {
      // Pieces of one size: a last one of a few bytes would cost as much as the others.
      const pieces = Math.ceil((end - start) / REQUEST_BYTES);
      const step = Math.ceil((end - start) / pieces);
      for (let at = start; at < end; at += step)
        writes.push(this.#put(chunk.subarray(at, Math.min(end, at + step)), position + at));
    }
    await Promise.all(writes);
    this.#throwIfFailed();
  }

  async flush(): Promise<void> {
    // As the size must reach this far, a hole at the end gets a last block of zeros; see LocalWriter.
    if (this.#position > this.#dataEnd) {
      const length = Math.min(HOLE_BYTES, this.#position - this.#dataEnd);
      this.#put(new Uint8Array(length), this.#position - length);
    }
    await Promise.all(this.#underWay);
    this.#throwIfFailed();
    await this.#attempt(() => this.#withSession(({ connection, handle }) => syncHandle(connection, handle)));
  }

  async commit({ sha256 }: CommitOptions = {}): Promise<void> {
    const { files, file, digests, requireStorage } = this.#place;
    await Promise.all(this.#underWay);
    this.#throwIfFailed();
    await this.#attempt(async () => {
      await this.#withSession(async (session) => {
        // Also where a process that died had more under way, which came after the part was cut.
        if ((await sizeOf(session)) !== this.#position) await resize(session, this.#position);
        await syncHandle(session.connection, session.handle);
      });
      if (sha256 !== undefined) await this.#again(() => digests.require(this.#part, this.#position, sha256));
      // What became visible in a directory that is a storage no longer would be there for good.
      await this.#again(requireStorage);
      let tries = 0;
      await this.#again(async () => {
        // It may have been done before the connection was lost.
        const done = tries++ > 0 && !(await files.stat(this.#part));
        if (!done || (await files.stat(file))?.size !== this.#position) await files.replace(this.#part, file);
      });
    });
    await this.#close();
  }

  async abort({ keep = false } = {}): Promise<void> {
    if (this.#closed) return;
    this.#ending = true;
    await Promise.all(this.#underWay);
    await this.#close();
    if (keep) return;
    await this.#attempt(async () => {
      const { files, root, file } = this.#place;
      await files.unlink(this.#part);
      await files.removeEmptyUpTo(root, posix.dirname(file));
    });
  }

  /** Begins a write; its failure shows in all that follows. */
  #put(bytes: Uint8Array, position: number): Promise<void> {
    this.#dataEnd = Math.max(this.#dataEnd, position + bytes.length);
    const memory = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    const done = this.#inTurn(() =>
      this.#withSession(async ({ connection, handle }) => {
        await connection.request<void>((sftp, sent) =>
          sftp.write(handle, memory, 0, memory.length, position, sent),
        );
        this.#reconnects = 0;
      }),
    )
      .catch(async (thrown) => {
        this.#failure ??= await this.#explain(thrown, memory.length);
      })
      .finally(() => this.#underWay.delete(done));
    this.#underWay.add(done);
    return done;
  }

  async #inTurn(act: () => Promise<void>): Promise<void> {
    if (this.#asked >= UNDER_WAY) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#asked++;
    try {
      this.#throwIfFailed();
      await act();
    } finally {
      // The place goes to the next one.
      const next = this.#waiting.shift();
      if (next) next();
      else this.#asked--;
    }
  }

  /** Does it, again over another connection where one is lost: all that is done here may be done twice. */
  async #withSession<T>(act: (session: Session) => Promise<T>): Promise<T> {
    for (;;) {
      const current = this.#session;
      if (current) {
        try {
          return await act(await current);
        } catch (thrown) {
          if (!isConnectionMatter(thrown) || this.#ending) throw thrown;
          // The first to notice replaces it for all.
          if (this.#session === current) this.#session = this.#reopen(current, thrown);
        }
      } else throw new ConnectionLost('it was closed');
    }
  }

  async #reopen(lost: Promise<Session>, reason: unknown): Promise<Session> {
    lost.then(({ release }) => release()).catch(() => {});
    if (this.#reconnects === RECONNECTS) throw asGivenUp(reason);
    await delay(RECONNECT_DELAY * 2 ** this.#reconnects++);
    return openPart(this.#place.files, this.#part, 'r+');
  }

  /** Does what needs no session of its own, again while that is a matter of the connection. */
  async #again(act: () => Promise<void>): Promise<void> {
    for (let tries = 0; ; tries++) {
      try {
        return await act();
      } catch (thrown) {
        if (!isConnectionMatter(thrown)) throw thrown;
        if (tries === RECONNECTS) throw asGivenUp(thrown);
        await delay(RECONNECT_DELAY * 2 ** tries);
      }
    }
  }

  async #close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const session = await this.#session?.catch(() => undefined);
    this.#session = undefined;
    if (session) await closeSession(session);
  }

  async #attempt(act: () => Promise<void>): Promise<void> {
    try {
      await act();
    } catch (thrown) {
      throw await this.#explain(thrown, 1);
    }
  }

  /** A full disk is a FAILURE like any other; what is left on it tells. */
  async #explain(thrown: unknown, bytes: number): Promise<IngotError> {
    const { files, root } = this.#place;
    const at = files.at(this.#part);
    if (!isFailure(thrown)) return asSftpError(thrown, at);
    const left = await files.capacity(root).catch(() => undefined);
    return left && left.available < bytes + HOLE_BYTES ? fullError(at) : asSftpError(thrown, at);
  }

  #throwIfFailed(): void {
    if (this.#failure) throw this.#failure;
  }
}

/** One that is no matter of the connection any more, so that it is not tried again. */
function asGivenUp(reason: unknown): IngotError {
  const text = reason instanceof Error ? reason.message : String(reason);
  return new IngotError('BS.1000', `The connection was lost, and could not be had again: ${text}`, {
    cause: reason,
    retryable: true,
  });
}

async function sizeOf({ connection, handle }: Session): Promise<number> {
  return (await connection.request<{ size: number }>((sftp, done) => sftp.fstat(handle, done))).size;
}

async function resize({ connection, handle }: Session, size: number): Promise<void> {
  await connection.request<void>((sftp, done) => sftp.fsetstat(handle, { size }, done));
}

async function closeSession({ connection, handle, release }: Session): Promise<void> {
  // Of one that was lost, nothing is open any longer.
  await connection.request<void>((sftp, done) => sftp.close(handle, done)).catch(() => {});
  release();
}
