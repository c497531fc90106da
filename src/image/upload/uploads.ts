/** Uploads that are awaited: their rows, and in the process that takes the bytes, their channels. */
import { randomBytes } from 'node:crypto';
import type { Database, SqlTransaction } from '../../database/database.ts';
import { sleep } from '../../kernel/clock.ts';
import { IngotError } from '../../kernel/errors.ts';
import { newUuid } from '../../kernel/uuid.ts';
import type { UploadChannel } from './channel.ts';

interface UploadRow {
  /** The part of the address that nobody can guess. */
  key: string;
  imageUuid: string;
  /** The job that takes the bytes. */
  jobUuid: string;
  /** What the caller named it by: `upload://name`. */
  name: string;
  url: string;
  /** Bytes in all, once the client has said. */
  size: number | null;
  createDate: number;
}

declare module '../../database/database.ts' {
  interface Tables {
    imageUpload: UploadRow;
  }
}

/** What AddImage knows of the upload that it awaits. */
export interface AwaitedUpload {
  key: string;
  url: string;
  job: string;
  name: string;
}

export interface UploadState {
  size: number | undefined;
  /** Bytes taken; undefined while that can't be told. */
  offset: number | undefined;
  name: string;
}

const KEY_BYTES = 32;
/** Uploads at once, of all processes: each has a job that waits, and files that it keeps open. */
export const MOST_OPEN = 256;
/** How long a job that is just being taken up is waited for, in milliseconds. */
const PATIENCE = 5000;

export class Uploads {
  readonly #database: Database;
  readonly #publicUrl: () => string;
  readonly #cancel: (jobUuid: string) => Promise<void>;
  readonly #channels = new Map<string, UploadChannel>();

  constructor(parts: {
    database: Database;
    publicUrl: () => string;
    /** Cancels a job. */
    cancel: (jobUuid: string) => Promise<void>;
  }) {
    this.#database = parts.database;
    this.#publicUrl = parts.publicUrl;
    this.#cancel = parts.cancel;
  }

  /** An address for the image's bytes, with its row. SYS.1006 where too many are awaited already. */
  async await(
    tx: SqlTransaction,
    image: { uuid: string; url: string; size?: number; now: number },
  ): Promise<AwaitedUpload> {
    await requireRoom(tx);
    const key = randomBytes(KEY_BYTES).toString('base64url');
    const name = image.url.replace(/^upload:\/\//i, '');
    const awaited = { key, url: `${this.#publicUrl()}/uploads/${key}`, job: newUuid(), name };
    await tx
      .insertInto('imageUpload')
      .values({
        key,
        imageUuid: image.uuid,
        jobUuid: awaited.job,
        name,
        url: awaited.url,
        size: image.size ?? null,
        createDate: image.now,
      })
      .execute();
    return awaited;
  }

  /** From now on, and until `leave`, bytes go into the channel. */
  enter(key: string, channel: UploadChannel): void {
    this.#channels.set(key, channel);
  }

  leave(key: string, channel: UploadChannel): void {
    if (this.#channels.get(key) === channel) this.#channels.delete(key);
  }

  /** Undefined where there is no such upload. */
  async stateOf(key: string): Promise<UploadState | undefined> {
    for (const deadline = performance.now() + PATIENCE; ; await sleep(50)) {
      const row = await this.#find(key);
      if (!row) return undefined;
      const size = row.size ?? undefined;
      if (row.status === 'Ready') return { size: row.actualSize, offset: row.actualSize, name: row.name };
      const offset = await this.#channels.get(key)?.offset(deadline - performance.now());
      if (offset !== undefined || performance.now() > deadline) return { size, offset, name: row.name };
    }
  }

  /** Says how many bytes there are in all. */
  async declare(key: string, size: number): Promise<void> {
    await this.#database.sql.updateTable('imageUpload').set({ size }).where('key', '=', key).execute();
    const channel = this.#channels.get(key);
    if (channel) channel.size = size;
  }

  /** Where the bytes of the upload go; undefined where no job of this process takes them. */
  channel(key: string): UploadChannel | undefined {
    return this.#channels.get(key);
  }

  /** Gives the upload up, and with it the image. */
  async cancel(key: string): Promise<boolean> {
    const row = await this.#find(key);
    if (!row) return false;
    await this.#cancel(row.jobUuid);
    return true;
  }

  async sizeOf(key: string): Promise<number | undefined> {
    return (await this.#find(key))?.size ?? undefined;
  }

  #find(key: string) {
    return this.#database.sql
      .selectFrom('imageUpload as upload')
      .innerJoin('image', 'image.uuid', 'upload.imageUuid')
      .select(['upload.size', 'upload.name', 'upload.jobUuid', 'image.status', 'image.actualSize'])
      .where('upload.key', '=', key)
      .executeTakeFirst();
  }
}

async function requireRoom(tx: SqlTransaction): Promise<void> {
  const { open } = await tx
    .selectFrom('imageUpload as upload')
    .innerJoin('image', 'image.uuid', 'upload.imageUuid')
    .where('image.status', '=', 'Downloading')
    .select((select) => select.fn.countAll<number>().as('open'))
    .executeTakeFirstOrThrow();
  if (Number(open) < MOST_OPEN) return;
  throw new IngotError('SYS.1006', `${open} uploads are under way, and there may be ${MOST_OPEN} at once`, {
    retryable: true,
    elaboration: 'Wait until one has ended, or delete the images of those that nobody goes on with.',
  });
}
