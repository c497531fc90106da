/** What the protocol's server takes for its store: it keeps no file, but hands the bytes to the job that awaits them. */
import type { Readable } from 'node:stream';
import { DataStore, ERRORS, Upload } from '@tus/server';
import { OffsetConflict } from '../image/upload/channel.ts';
import type { Uploads } from '../image/upload/uploads.ts';
import { toIngotError } from '../kernel/errors.ts';
import type { Log } from '../kernel/log.ts';

interface Problem {
  status_code: number;
  body: string;
}

/** Clients of the protocol try again after this. */
const LATER: Problem = {
  status_code: 423,
  body: 'the job that takes the bytes is not ready here; ask again in a moment\n',
};

export class UploadStore extends DataStore {
  readonly #uploads: Uploads;
  readonly #log: Log;
  override extensions = ['creation', 'creation-defer-length', 'termination'];

  constructor(parts: { uploads: Uploads; log: Log }) {
    super();
    this.#uploads = parts.uploads;
    this.#log = parts.log;
  }

  /** AddImage has created it; a client that begins by creating says how large it is. */
  override async create(upload: Upload): Promise<Upload> {
    const known = await this.getUpload(upload.id);
    if (upload.size !== undefined && upload.size !== known.size) {
      if (known.offset > 0) throw problem(409, 'the upload has begun with another length');
      await this.#uploads.declare(upload.id, upload.size);
    }
    return upload;
  }

  override async getUpload(id: string): Promise<Upload> {
    const state = await this.#uploads.stateOf(id);
    if (!state) throw ERRORS.FILE_NOT_FOUND;
    const { offset, size, name } = state;
    if (offset === undefined) throw LATER;
    return new Upload({ id, offset, ...(size !== undefined && { size }), metadata: { filename: name } });
  }

  override declareUploadLength(id: string, size: number): Promise<void> {
    return this.#uploads.declare(id, size);
  }

  override async write(stream: Readable, id: string, offset: number): Promise<number> {
    const channel = this.#uploads.channel(id);
    if (!channel) throw LATER;
    try {
      return await channel.feed(stream, offset);
    } catch (error) {
      throw this.#problemOf(error);
    }
  }

  /** The client has thought better of it. */
  override async remove(id: string): Promise<void> {
    try {
      if (!(await this.#uploads.cancel(id))) throw ERRORS.FILE_NOT_FOUND;
    } catch (error) {
      throw this.#problemOf(error);
    }
  }

  #problemOf(error: unknown): unknown {
    if (error instanceof OffsetConflict) return ERRORS.INVALID_OFFSET;
    if (!(error instanceof Error)) return error;
    const { code, details, retryable } = toIngotError(error);
    if (code === 'SYS.1000') this.#log.warn({ err: error }, 'a request of an upload broke off');
    // What trying again can't mend is 410: the upload is over, and this is why.
    return problem(retryable || code === 'SYS.1000' ? 503 : 410, details);
  }
}

const problem = (status: number, sentence: string): Problem => ({
  status_code: status,
  body: `${sentence}\n`,
});
