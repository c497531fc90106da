/** The service of a command: chosen when it is first needed, with a session of the user's. */
import { readFile } from 'node:fs/promises';
import { sha512 } from '../account/password.ts';
import { Ingot, IngotError, type Job, type Sent } from '../client/ingot.ts';
import type { Message } from '../kernel/message.ts';
import { Refused } from './describe-error.ts';
import { Ending, EXIT } from './exit-codes.ts';
import { fetchOverHttp, NotReached } from './http.ts';
import { type Choice, chooseServer, type Server } from './server-choice.ts';
import { SessionFile } from './session-file.ts';

/** The account that every service has, and whose first password lies in the data directory. */
const ADMINISTRATOR = 'admin';

export interface ConnectionOptions extends Omit<Choice, 'signal'> {
  signal: () => AbortSignal;
  remark: (sentence: string) => void;
}

export class Connection {
  readonly #options: ConnectionOptions;
  #server: Promise<Server> | undefined;
  #kept: { account: string; session: string } | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  /** Whose session is used; undefined before one is. */
  get account(): string | undefined {
    return this.#kept?.account;
  }

  server(): Promise<Server> {
    this.#server ??= this.#choose();
    // What fails now may work at the next line of a shell.
    this.#server.catch(() => {
      this.#server = undefined;
    });
    return this.#server;
  }

  async #choose(): Promise<Server> {
    const { signal, remark, ...choice } = this.#options;
    const server = await chooseServer({ ...choice, signal: signal() });
    if (server.stop)
      remark(`No service runs on ${server.data.path}; one was started, and stops with this command.`);
    return server;
  }

  /** Sends a call, with a session where it needs one. Rejects with Refused where the service says no. */
  async send(message: Message, parameters: Readonly<Record<string, unknown>>): Promise<Sent> {
    const send = (session?: string) =>
      this.#ask((ingot, options) => ingot.send(message, parameters, options), session);
    return message.caller === 'anyone' ? send() : this.#withSession(send);
  }

  /** The bytes of an image, as `Ingot.download` gives them. Rejects with Refused where the service says no. */
  download(uuid: string, headers: Record<string, string>): Promise<Response> {
    return this.#withSession((session) =>
      this.#ask((ingot, { signal }) => ingot.download(uuid, { headers, signal }), session),
    );
  }

  /** One HTTP exchange that is no call and needs no session, at a path below the service's address. */
  async fetch(path: string, init: RequestInit): Promise<Response> {
    const { address } = await this.server();
    return fetchOverHttp(address + path, { ...init, signal: this.#options.signal() });
  }

  /** What has become of a job by now. */
  look(job: string): Promise<Job> {
    return this.#ask((ingot, { signal }) => ingot.look(job, signal));
  }

  /** Once more with a new session where the one in use is over. */
  async #withSession<T>(ask: (session: string) => Promise<T>): Promise<T> {
    const { session } = await this.logged();
    try {
      return await ask(session);
    } catch (error) {
      if (!(error instanceof Refused) || error.body.code !== 'ID.1001') throw error;
    }
    return ask((await this.#renew()).session);
  }

  /** Errors are those of the command line: Refused, NotReached, Ending(interrupted). */
  async #ask<T>(
    ask: (ingot: Ingot, options: { signal: AbortSignal }) => Promise<T>,
    session?: string,
  ): Promise<T> {
    const { address } = await this.server();
    const ingot = new Ingot({ address, fetch: fetchOverHttp, ...(session !== undefined && { session }) });
    try {
      return await ask(ingot, { signal: this.#options.signal() });
    } catch (error) {
      if (!(error instanceof IngotError)) throw error;
      throw error.cause instanceof Ending ? error.cause : new Refused(error.toBody());
    }
  }

  /** The session in use: the kept one, or a new one of the administrator's. Ending(unreachable) where there is none. */
  async logged(): Promise<{ account: string; session: string }> {
    this.#kept ??= await (await this.#file()).read();
    this.#kept ??= await this.#logInByFile();
    return this.#kept;
  }

  async logIn(account: string, password: string): Promise<void> {
    const { inventory } = await this.#ask((ingot, options) =>
      ingot.logInByAccount({ accountName: account, password: sha512(password) }, options),
    );
    this.#kept = { account, session: inventory.uuid };
    await (await this.#file()).write(account, inventory.uuid);
  }

  /** Forgets the session; the account whose it was. */
  async forget(): Promise<{ account: string; session: string } | undefined> {
    const file = await this.#file();
    const kept = this.#kept ?? (await file.read());
    this.#kept = undefined;
    await file.forget();
    return kept;
  }

  async stop(): Promise<void> {
    const server = await this.#server?.catch(() => undefined);
    this.#server = undefined;
    await server?.stop?.();
  }

  /** Looks again where the service on the data directory listens, after it went away. */
  async lookAgain(): Promise<void> {
    const server = await this.server();
    if (server.stop || server.named || !server.ours) return;
    const address = await server.data.address();
    if (address !== undefined && address !== server.address) {
      this.#server = Promise.resolve({ ...server, address });
    }
  }

  async #file(): Promise<SessionFile> {
    const { address, data, stop } = await this.server();
    // One that is started for each call listens elsewhere each time.
    return new SessionFile(this.#options.environment, stop ? data.path : address);
  }

  async #renew(): Promise<{ account: string; session: string }> {
    const over = await this.forget();
    if (over && over.account !== ADMINISTRATOR) {
      throw new Ending(
        EXIT.unreachable,
        `the session of ${over.account} is over`,
        `Log in again: ingot login ${over.account}`,
      );
    }
    this.#kept = await this.#logInByFile();
    return this.#kept;
  }

  async #logInByFile(): Promise<{ account: string; session: string }> {
    const { ours, data, address } = await this.server();
    const password = ours ? (await readFile(data.passwordFile, 'utf8').catch(() => '')).trim() : '';
    if (password === '') {
      // Where nobody listens, logging in would not help.
      await this.#ask((ingot, options) => ingot.getVersion({}, options));
      throw new Ending(EXIT.unreachable, `you are not logged in at ${address}`, 'Log in first: ingot login');
    }
    try {
      await this.logIn(ADMINISTRATOR, password);
    } catch (error) {
      if (!(error instanceof Refused) || error.body.code !== 'ID.1000') throw error;
      throw new Ending(
        EXIT.unreachable,
        `the password in ${data.passwordFile} is no longer the administrator's`,
        'Log in first: ingot login',
      );
    }
    return this.#kept ?? Promise.reject(new NotReached(address, 'no session was given'));
  }
}
