import { rename } from 'node:fs/promises';
import path from 'node:path';
import { IngotError } from '../../kernel/errors.ts';
import type { CreateOptions, StoreWriter } from '../driver.ts';
import { inDirectory, removeEmptyUpTo, syncUpTo, unlinkIfThere } from './durable-directory.ts';
import { asFileError } from './file-error.ts';
import { dataRuns, HOLE_BYTES } from './holes.ts';
import { partOf } from './object-path.ts';
import { PartFile } from './part-file.ts';

/**
 * Opens the part beside the object's file: empty, or cut to what is to be continued. `requireStorage` rejects when
 * the directory is that of the storage no longer.
 */
export async function openLocalWriter(
  root: string,
  file: string,
  { resumeAt = 0 }: CreateOptions,
  requireStorage: () => Promise<void>,
): Promise<StoreWriter> {
  const part = partOf(file);
  try {
    if (resumeAt === 0) {
      const opened = await inDirectory(root, path.dirname(file), () =>
        PartFile.open(part, { truncate: true }),
      );
      return new LocalWriter(root, file, opened, { offset: 0, requireStorage });
    }
    const opened = await PartFile.open(part, { truncate: false });
    try {
      await cutTo(opened, resumeAt, part);
    } catch (thrown) {
      await opened.close();
      throw thrown;
    }
    return new LocalWriter(root, file, opened, { offset: resumeAt, requireStorage });
  } catch (thrown) {
    throw asFileError(thrown, part);
  }
}

async function cutTo(opened: PartFile, resumeAt: number, part: string): Promise<void> {
  const size = await opened.size();
  if (size < resumeAt) {
    throw new IngotError('SYS.1016', `${part} has ${size} bytes, so it can not be continued at ${resumeAt}.`);
  }
  await opened.truncate(resumeAt);
}

class LocalWriter implements StoreWriter {
  readonly #root: string;
  readonly #file: string;
  readonly #part: PartFile;
  readonly #requireStorage: () => Promise<void>;
  readonly #underWay = new Set<Promise<void>>();
  /** Where the next chunk goes. */
  #position: number;
  /** Where the last data ends; behind it the file is a hole that its size doesn't cover yet. */
  #dataEnd: number;
  #failure: IngotError | undefined;
  #closed = false;

  constructor(
    root: string,
    file: string,
    part: PartFile,
    { offset, requireStorage }: { offset: number; requireStorage: () => Promise<void> },
  ) {
    this.#requireStorage = requireStorage;
    this.#root = root;
    this.#file = file;
    this.#part = part;
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
    const writes = dataRuns(chunk, position).map(({ start, end }) =>
      this.#put(chunk.subarray(start, end), position + start),
    );
    await Promise.all(writes);
    this.#throwIfFailed();
  }

  async flush(): Promise<void> {
    // A hole at the end gets a last block of zeros, since the file's size must reach this far. Setting the size
    // instead could cut off what later writes, under way by then, have put behind it.
    if (this.#position > this.#dataEnd) {
      const length = Math.min(HOLE_BYTES, this.#position - this.#dataEnd);
      this.#put(new Uint8Array(length), this.#position - length);
    }
    await Promise.all(this.#underWay);
    this.#throwIfFailed();
    await this.#sync();
  }

  async commit(): Promise<void> {
    await Promise.all(this.#underWay);
    this.#throwIfFailed();
    await this.#attempt(async () => {
      if (this.#position > this.#dataEnd) await this.#part.truncate(this.#position);
      await this.#sync();
      // What became visible in a directory that is a storage no longer would be there for good.
      await this.#requireStorage();
      await rename(partOf(this.#file), this.#file);
      await syncUpTo(this.#root, path.dirname(this.#file));
    });
    await this.#close();
  }

  async abort({ keep = false } = {}): Promise<void> {
    if (this.#closed) return;
    await Promise.all(this.#underWay);
    await this.#close();
    if (keep) return;
    await this.#attempt(async () => {
      await unlinkIfThere(partOf(this.#file));
      await removeEmptyUpTo(this.#root, path.dirname(this.#file));
    });
  }

  /** Begins a write; its failure shows in all that follows. */
  #put(bytes: Uint8Array, position: number): Promise<void> {
    this.#dataEnd = Math.max(this.#dataEnd, position + bytes.length);
    const done = this.#part
      .write(bytes, position)
      .catch((thrown) => {
        this.#failure ??= asFileError(thrown, partOf(this.#file));
      })
      .finally(() => this.#underWay.delete(done));
    this.#underWay.add(done);
    return done;
  }

  /** One that failed is the end: the kernel forgets what it could not write, and the next would say that all is well. */
  async #sync(): Promise<void> {
    try {
      await this.#part.sync();
    } catch (thrown) {
      this.#failure ??= asFileError(thrown, partOf(this.#file));
      throw this.#failure;
    }
  }

  async #close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#part.close();
  }

  async #attempt(act: () => Promise<void>): Promise<void> {
    try {
      await act();
    } catch (thrown) {
      throw asFileError(thrown, partOf(this.#file));
    }
  }

  #throwIfFailed(): void {
    if (this.#failure) throw this.#failure;
  }
}
