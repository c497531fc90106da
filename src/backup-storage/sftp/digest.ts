/** Whether the server has the bytes that it was given. */
import { createHash } from 'node:crypto';
import { IngotError } from '../../kernel/errors.ts';
import { readFile } from './reading.ts';
import type { RemoteFiles } from './remote-files.ts';

/** What a slow disk reads a second, in bytes: how long a digest of a file may take. */
const SLOW_DISK = 20 * 1024 * 1024;

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
    for await (const piece of readFile(this.#files, path)) hash.update(piece);
    return hash.digest('hex');
  }
}
