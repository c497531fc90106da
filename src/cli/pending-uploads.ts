/** Uploads that were begun and not ended, so that the same command goes on with them: one 0600 file each. */
import { createHash } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { stateDirectory, writePrivately } from './session-file.ts';

export interface PendingUpload {
  /** Of the upload's address, below the service's. */
  path: string;
  /** The job that takes the bytes. */
  job: string;
}

export class PendingUploads {
  readonly #file: string;

  /** `what` tells this upload from any other: the service, the file as it is now, and all that the call says. */
  constructor(environment: NodeJS.ProcessEnv, what: readonly string[]) {
    const digest = createHash('sha256').update(JSON.stringify(what)).digest('hex').slice(0, 32);
    this.#file = join(stateDirectory(environment), 'uploads', `${digest}.json`);
  }

  async read(): Promise<PendingUpload | undefined> {
    try {
      const { path, job } = JSON.parse(await readFile(this.#file, 'utf8')) as PendingUpload;
      return typeof path === 'string' && typeof job === 'string' ? { path, job } : undefined;
    } catch {
      return undefined;
    }
  }

  write(pending: PendingUpload): Promise<void> {
    return writePrivately(this.#file, `${JSON.stringify(pending, null, 4)}\n`);
  }

  forget(): Promise<void> {
    return rm(this.#file, { force: true });
  }
}
