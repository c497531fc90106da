/** Sessions between calls: one 0600 file for each service, in the user's state directory. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';

export interface KeptSession {
  /** The service's address, or the data directory of one that is started for each call. */
  service: string;
  account: string;
  /** The session's uuid. */
  session: string;
}

/** `$XDG_STATE_HOME/ingot`. */
export function stateDirectory(environment: NodeJS.ProcessEnv): string {
  return join(environment.XDG_STATE_HOME || join(homedir(), '.local', 'state'), 'ingot');
}

export class SessionFile {
  readonly #path: string;
  readonly #service: string;

  constructor(environment: NodeJS.ProcessEnv, service: string) {
    const digest = createHash('sha256').update(service).digest('hex').slice(0, 24);
    this.#path = join(stateDirectory(environment), 'sessions', `${digest}.json`);
    this.#service = service;
  }

  async read(): Promise<KeptSession | undefined> {
    try {
      const kept = JSON.parse(await readFile(this.#path, 'utf8')) as KeptSession;
      return kept.service === this.#service && typeof kept.session === 'string' ? kept : undefined;
    } catch {
      // None, or not one of ours: logging in again makes a new one.
      return undefined;
    }
  }

  async write(account: string, session: string): Promise<void> {
    const kept: KeptSession = { service: this.#service, account, session };
    await writePrivately(this.#path, `${JSON.stringify(kept, null, 4)}\n`);
  }

  async forget(): Promise<void> {
    await rm(this.#path, { force: true });
  }
}

/** A file that its owner alone may read; calls at the same time see the old one or the new one. */
export async function writePrivately(path: string, content: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const beside = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`;
  try {
    await writeFile(beside, content, { mode: 0o600, flag: 'wx' });
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
}
