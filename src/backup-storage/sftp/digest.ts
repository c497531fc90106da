/** Whether the server has the bytes that it was given. */
import { createHash } from 'node:crypto';
import { IngotError } from '../../kernel/errors.ts';
import { openReader, REQUEST_BYTES } from './reading.ts';
import type { RemoteFiles } from './remote-files.ts';

/** What a slow disk reads a second, in bytes: how long a digest of a file may take. */
const SLOW_DISK = 20 * 1024 * 1024;

/** What is read back at a time: as many requests as keep a network busy. */
const READ_BYTES = 8 * REQUEST_BYTES;

export class DigestCheck {
  readonly #files: RemoteFiles;
  readonly #answerTimeout: number;
  /** Whether the server runs commands; not known before the first one. */
  #runs: boolean | undefined;

  constructor(files: RemoteFiles, answerTimeout: number) {
    this.#files = files;
    this.#answerTimeout = answerTimeout;
  }

  /** Rejects where the SHA-256 of the file is another one. */
  async require(path: string, size: number, sha256: string): Promise<void> {
    const found = (await this.#thereFor(path, size)) ?? (await this.#readBack(path));
    if (found === sha256) return;
    throw new IngotError(
      'SYS.1016',
      `what was written to ${this.#files.at(path)} is damaged: its SHA-256 is ${found}, not ${sha256}`,
      { retryable: true },
    );
  }

  /** Reckoned on the server, where it lets us: no byte has to come back. */
  async #thereFor(path: string, size: number): Promise<string | undefined> {
    if (this.#runs === false) return undefined;
    const patience = 1 + (size / SLOW_DISK) * (1000 / this.#answerTimeout);
    const command = `sha256sum < '${path.replaceAll("'", "'\\''")}'`;
    const text = await this.#files.ask(path, (connection) => connection.run(command, patience));
    const found = /^([0-9a-f]{64}) /.exec(text ?? '')?.[1];
    this.#runs ??= found !== undefined;
    return found;
  }

  async #readBack(path: string): Promise<string> {
    const hash = createHash('sha256');
    const reader = await openReader(this.#files, path);
    try {
      // One is read while the other is digested; the same memory all the way.
      const buffers = [Buffer.allocUnsafeSlow(READ_BYTES), Buffer.allocUnsafeSlow(READ_BYTES)] as const;
      let next = reader.read(buffers[0], 0);
      for (let position = 0, turn: 0 | 1 = 0; ; turn = turn === 0 ? 1 : 0) {
        const length = await next;
        if (length === 0) return hash.digest('hex');
        position += length;
        next = reader.read(buffers[turn === 0 ? 1 : 0], position);
        next.catch(() => {}); // heard of at the next turn
        hash.update(buffers[turn].subarray(0, length));
      }
    } finally {
      await reader.close();
    }
  }
}
