/** The one directory that holds what the embedded service knows. One process at a time may use it. */
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { writeFileDurably } from './kernel/durable-file.ts';
import { IngotError } from './kernel/errors.ts';

/** Below the user's data home, as the XDG base directories are. */
export function defaultDataDirectory(environment: NodeJS.ProcessEnv): string {
  return join(environment.XDG_DATA_HOME || join(homedir(), '.local', 'share'), 'ingot');
}

export class DataDirectory {
  readonly path: string;
  #lock: DatabaseSync | undefined;

  constructor(path: string) {
    this.path = resolve(path);
  }

  get databaseFile(): string {
    return join(this.path, 'ingot.sqlite');
  }
  get passwordFile(): string {
    return join(this.path, 'admin-password');
  }
  /** The key that other systems' passwords are kept under, where the environment gives none. */
  get secretKeyFile(): string {
    return join(this.path, 'secret-key');
  }
  get defaultStorage(): string {
    return join(this.path, 'backup-storage');
  }
  get defaultPrimaryStorage(): string {
    return join(this.path, 'primary-storage');
  }
  /** Where NFS servers are mounted. */
  get mounts(): string {
    return join(this.path, 'mounts');
  }
  /** What virtual machines keep beside their volumes: logs, sockets. */
  get machines(): string {
    return join(this.path, 'vms');
  }
  /** The last screen of each image that was tried. */
  get screens(): string {
    return join(this.path, 'screens');
  }
  /** What lives no longer than the process that made it; whoever reads a file of it is shut in. */
  get scratch(): string {
    return join(this.path, 'scratch');
  }
  get configFile(): string {
    return join(this.path, 'config.json');
  }
  /** Where the running service listens: `http://127.0.0.1:8080`. */
  get addressFile(): string {
    return join(this.path, 'address');
  }

  /** The certificate of the running service. */
  get certificateFile(): string {
    return join(this.path, 'certificate.pem');
  }

  /**
   * Takes the directory for this process; SYS.1006 where another one has it. The lock is one of the operating
   * system's, and so ends with the process, however it ends.
   */
  async lock({ create = true }: { create?: boolean } = {}): Promise<void> {
    if (create) await mkdir(this.path, { recursive: true, mode: 0o750 });
    else if (!existsSync(this.databaseFile)) {
      throw new IngotError(
        'SYS.1006',
        `${this.path} is no data directory of an Ingot: it holds no database`,
        {
          elaboration: 'Name another one with --data or INGOT_DATA.',
        },
      );
    }
    const lock = new DatabaseSync(join(this.path, 'lock.sqlite'));
    try {
      lock.exec('pragma busy_timeout = 0; pragma locking_mode = exclusive; begin exclusive; commit;');
    } catch {
      lock.close();
      const address = await this.address();
      throw new IngotError(
        'SYS.1006',
        `another Ingot uses the data directory ${this.path} already${address ? `, and serves ${address}` : ''}`,
        { elaboration: 'Stop it first, or give this one a directory of its own (--data or INGOT_DATA).' },
      );
    }
    this.#lock = lock;
  }

  /** Removes what a killed process has left there. The lock is held, so that nobody is using it. */
  async emptyScratch(): Promise<void> {
    await rm(this.scratch, { recursive: true, force: true });
    await mkdir(this.scratch, { mode: 0o700 });
  }

  get locked(): boolean {
    return this.#lock !== undefined;
  }

  /** `certificate` is what the service shows there, in PEM, where it speaks https. */
  async publishAddress(address: string, certificate?: string): Promise<void> {
    if (certificate !== undefined) await writeFileDurably(this.certificateFile, certificate, 0o640);
    else await rm(this.certificateFile, { force: true });
    await writeFileDurably(this.addressFile, `${address}\n`, 0o640);
  }

  /** By what the service on this directory is known, whatever name its certificate has. */
  async certificate(): Promise<string | undefined> {
    return readFile(this.certificateFile, 'utf8').catch(() => undefined);
  }

  /** Where a service on this directory listens, or was listening last. */
  async address(): Promise<string | undefined> {
    return (await readFile(this.addressFile, 'utf8').catch(() => '')).trim() || undefined;
  }

  async unlock(): Promise<void> {
    if (!this.#lock) return;
    await rm(this.addressFile, { force: true });
    this.#lock.close();
    this.#lock = undefined;
  }
}
