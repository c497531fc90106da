/** The service as a process of its own, as `npm start` runs it, and calls to it. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Daemon, startDaemon } from '../../test/support/program.ts';

const project = join(import.meta.dirname, '..', '..');

type Members = Record<string, unknown>;

export class Service {
  readonly #daemon: Daemon;
  readonly address: string;
  readonly session: string;
  /** Of the administrator, as it is sent: SHA-512 in hex. */
  readonly passwordDigest: string;

  private constructor(daemon: Daemon, address: string, session: string, passwordDigest: string) {
    this.passwordDigest = passwordDigest;
    this.#daemon = daemon;
    this.address = address;
    this.session = session;
  }

  /** Starts it on the data directory, waits until it is ready and logs in as admin. */
  static async start(data: string, { databaseUrl = '' } = {}): Promise<Service> {
    const daemon = startDaemon('env', [
      `INGOT_DATABASE_URL=${databaseUrl}`,
      process.execPath,
      join(project, 'scripts', 'ingot.mjs'),
      'serve',
      `--data=${data}`,
      '--listen=127.0.0.1:0',
      '--log-level=warn',
    ]);
    let address = '';
    await daemon.waitUntil(() => {
      address = /Ingot serves (\S+)/.exec(daemon.output())?.[1] ?? '';
      return address !== '';
    });
    const password = createHash('sha512')
      .update(readFileSync(join(data, 'admin-password'), 'utf8').trim())
      .digest('hex');
    const answer = await readAnswer(
      await fetch(`${address}/zstack/v1/accounts/login`, {
        method: 'PUT',
        body: JSON.stringify({ logInByAccount: { accountName: 'admin', password } }),
      }),
    );
    return new Service(daemon, address, (answer.inventory as { uuid: string }).uuid, password);
  }

  /** Of the process that scripts/ingot.mjs has started. */
  get #pid(): number {
    return Number(readFileSync(`/proc/${this.#daemon.pid}/task/${this.#daemon.pid}/children`, 'latin1'));
  }

  /** The largest resident set it has had so far, in bytes. */
  get peakMemory(): number {
    return this.#memory('VmHWM');
  }

  /** Its resident set now, in bytes. */
  get residentMemory(): number {
    return this.#memory('VmRSS');
  }

  #memory(line: string): number {
    const status = readFileSync(`/proc/${this.#pid}/status`, 'latin1');
    return Number(new RegExp(`^${line}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) * 1024;
  }

  /** Seconds of CPU that all its threads have used so far. */
  get cpuSeconds(): number {
    const stat = readFileSync(`/proc/${this.#pid}/stat`, 'latin1');
    // proc(5): fields 14 and 15, in ticks of 10 ms, behind the name in parentheses, which is field 2.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) / 100;
  }

  get headers(): { authorization: string } {
    return { authorization: `OAuth ${this.session}` };
  }

  async get(path: string): Promise<Members> {
    return readAnswer(await fetch(`${this.address}/zstack/v1${path}`, { headers: this.headers }));
  }

  /** Sends an asynchronous call and polls until it is done. */
  async call(method: string, path: string, body?: Members): Promise<Members> {
    const { location } = await readAnswer(
      await fetch(`${this.address}/zstack/v1${path}`, {
        method,
        headers: this.headers,
        ...(body && { body: JSON.stringify(body) }),
      }),
    );
    for (;;) {
      const response = await fetch(location as string);
      const answer = await readAnswer(response);
      if (response.status !== 202) return answer;
      await delay(20);
    }
  }

  /** Uuid of a new local storage in the directory. */
  async addStorage(directory: string): Promise<string> {
    const params = { name: directory.split('/').at(-1), url: directory };
    const { inventory } = await this.call('POST', '/backup-storage/local', { params });
    return (inventory as { uuid: string }).uuid;
  }

  /** Inventory of the image that was taken in from `url`. */
  async addImage(url: string, backupStorageUuids: readonly string[]): Promise<Members> {
    const params = { name: 'bench', url, backupStorageUuids };
    return (await this.call('POST', '/images', { params })).inventory as Members;
  }

  async stop(): Promise<void> {
    await this.#daemon.stop();
  }
}

async function readAnswer(response: Response): Promise<Members> {
  const answer = (await response.json()) as Members;
  if (!response.ok) throw new Error(`${response.url} answered ${response.status}: ${JSON.stringify(answer)}`);
  return answer;
}
