/** The service of a command: chosen when it is first needed, with a session of the user's. */
import { readFile } from 'node:fs/promises';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { sha512 } from '../account/password.ts';
import type { ErrorBody } from '../kernel/errors.ts';
import type { Message } from '../kernel/message.ts';
import { type Exchange, exchange, type HttpAnswer, NotReached, openExchange } from './client.ts';
import { Refused } from './describe-error.ts';
import { Ending, EXIT } from './exit-codes.ts';
import { jobUuidOf, PREFIX, requestOf } from './request.ts';
import { type Choice, chooseServer, type Server } from './server-choice.ts';
import { SessionFile } from './session-file.ts';

/** The account that every service has, and whose first password lies in the data directory. */
const ADMINISTRATOR = 'admin';

export interface ConnectionOptions extends Omit<Choice, 'signal'> {
  signal: () => AbortSignal;
  /** The declaration of the log-in. */
  logIn: Message;
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

  /** One HTTP exchange without a session. */
  async ask(request: Exchange): Promise<HttpAnswer> {
    const { address } = await this.server();
    return exchange(address, request, this.#options.signal());
  }

  /** As `ask`, with the answer's headers too. */
  async exchange(request: Exchange): Promise<HttpAnswer & { headers: IncomingHttpHeaders }> {
    const { address } = await this.server();
    return exchange(address, request, this.#options.signal());
  }

  /** For what answers with bytes, with a session. Rejects with Refused where the service says no. */
  async open(request: Exchange): Promise<IncomingMessage> {
    const { address } = await this.server();
    const signal = this.#options.signal();
    const attempt = async (session: string) => openExchange(address, { ...request, session }, signal);
    const { session } = await this.logged();
    const answer = await attempt(session);
    if ((answer.statusCode ?? 0) < 300) return answer;
    answer.resume();
    // The head alone does not say why: asked for one byte, the error has a body.
    const why = { ...request, method: 'GET', headers: { range: 'bytes=0-0' } };
    const told = await exchange(address, { ...why, session }, signal);
    if (isSessionOver(told)) return attempt((await this.#renew()).session);
    accepted(told);
    return attempt(session);
  }

  /** Sends a call, with a session where it needs one. Rejects with Refused where the service says no. */
  async send(message: Message, parameters: Readonly<Record<string, unknown>>): Promise<HttpAnswer> {
    const request = requestOf(message, parameters);
    if (message.caller === 'anyone') return accepted(await this.ask(request));
    const { session } = await this.logged();
    const answer = await this.ask({ ...request, session });
    if (!(await this.#isSessionOver(answer))) return accepted(answer);
    return accepted(await this.ask({ ...request, session: (await this.#renew()).session }));
  }

  /** An asynchronous call is accepted whoever calls; what is wrong with the session stands in the first poll. */
  async #isSessionOver(answer: HttpAnswer): Promise<boolean> {
    if (answer.status !== 202) return isSessionOver(answer);
    return isSessionOver(await this.ask({ method: 'GET', path: `${PREFIX}/api-jobs/${jobUuidOf(answer)}` }));
  }

  /** The session in use: the kept one, or a new one of the administrator's. Ending(unreachable) where there is none. */
  async logged(): Promise<{ account: string; session: string }> {
    this.#kept ??= await (await this.#file()).read();
    this.#kept ??= await this.#logInByFile();
    return this.#kept;
  }

  async logIn(account: string, password: string): Promise<void> {
    const answer = await this.send(this.#options.logIn, { accountName: account, password: sha512(password) });
    const { uuid } = answer.members.inventory as { uuid: string };
    this.#kept = { account, session: uuid };
    await (await this.#file()).write(account, uuid);
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
      await this.ask({ method: 'GET', path: '/healthz' });
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

function isSessionOver(answer: HttpAnswer): boolean {
  return (answer.members.error as ErrorBody | undefined)?.code === 'ID.1001';
}

/** The answer, or what is wrong with it as a rejection. */
export function accepted(answer: HttpAnswer): HttpAnswer {
  if (answer.status < 300) return answer;
  const error = answer.members.error as ErrorBody | undefined;
  if (error && typeof error.code === 'string') throw new Refused(error);
  throw new Refused({
    code: `HTTP ${answer.status}`,
    description: '',
    details: answer.text.slice(0, 500).trim() || 'the answer is empty',
    elaboration: 'This is no answer of an Ingot; is the address right?',
  });
}
