/**
 * A client for programs:
 *
 *     const ingot = await Ingot.logIn({ address: 'http://127.0.0.1:8080', accountName: 'admin', password });
 *     const { inventory } = await ingot.addImage({ name: 'centos', url: 'https://…' }, { onProgress: show });
 *
 * Each message is a method, typed by its declaration. What works for long is waited for. Errors are IngotErrors, as
 * the service gave them; dates are milliseconds since 1970, sizes bytes.
 */
import { messages } from '../catalogue.ts';
import { sleep } from '../kernel/clock.ts';
import { type ErrorBody, fromErrorBody, IngotError } from '../kernel/errors.ts';
import type { Message } from '../kernel/message.ts';
import { readDates } from './dates.ts';
import { exchange, open, type Request, requestFor } from './transport.ts';
import type { AnswerOfNamed, CallOptions, Calls, InputOfNamed, JobProgress, MessageName } from './types.ts';

export { IngotError } from '../kernel/errors.ts';
export type { CallOptions, Condition, JobProgress } from './types.ts';

export interface IngotOptions {
  /** Such as `http://127.0.0.1:8080`. */
  address: string;
  /** Uuid of a session, which `Ingot.logIn` or an earlier client got. */
  session?: string;
  /** Signs calls instead of a session. */
  accessKey?: { id: string; secret: string };
  fetch?: typeof fetch;
}

type Members = Record<string, unknown>;

/** What a call answered, or the uuid of the job that works on it. */
export type Sent = { answer: Members } | { job: string };

export type Job = JobProgress & { answer?: Members; error?: ErrorBody };

/** Pauses between two questions for a job, in milliseconds: a thin disk is there in ten, an image may take hours. */
const SHORTEST_PAUSE = 5;
const LONGEST_PAUSE = 1000;

class IngotClient {
  readonly address: string;
  session: string | undefined;
  readonly #accessKey: IngotOptions['accessKey'];
  readonly #fetch: typeof fetch;

  constructor(options: IngotOptions) {
    this.address = options.address.replace(/\/+$/, '');
    this.session = options.session;
    this.#accessKey = options.accessKey;
    this.#fetch = options.fetch ?? fetch;
  }

  /** A client with a session of its own; `password` is what a person types. */
  static async logIn(
    options: Omit<IngotOptions, 'session' | 'accessKey'> & { accountName: string; password: string },
  ): Promise<Ingot> {
    const ingot = new Ingot(options);
    const { inventory } = await ingot.logInByAccount({
      accountName: options.accountName,
      password: await sha512(options.password),
    });
    ingot.session = inventory.uuid;
    return ingot;
  }

  /** Ends the client's session. */
  async close(): Promise<void> {
    const { session } = this;
    this.session = undefined;
    if (session !== undefined) await this.call('LogOut', { sessionUuid: session });
  }

  /** Calls a message and waits for what comes of it. */
  async call<K extends MessageName>(
    name: K,
    parameters: InputOfNamed<K>,
    options: CallOptions = {},
  ): Promise<AnswerOfNamed<K>> {
    const message = messageNamed(name);
    const sent = await this.send(message, parameters as Members, options);
    const answer =
      'job' in sent ? await this.#wait(message, sent.job, options) : readDates(message.answer, sent.answer);
    return answer as AnswerOfNamed<K>;
  }

  /** Begins a call and returns its job's uuid; undefined where it is done already. */
  async begin<K extends MessageName>(
    name: K,
    parameters: InputOfNamed<K>,
    options: CallOptions = {},
  ): Promise<string | undefined> {
    const sent = await this.send(messageNamed(name), parameters as Members, options);
    return 'job' in sent ? sent.job : undefined;
  }

  /** Waits for a job that was begun, here or elsewhere. */
  async waitFor<K extends MessageName>(
    name: K,
    jobUuid: string,
    options: CallOptions = {},
  ): Promise<AnswerOfNamed<K>> {
    return (await this.#wait(messageNamed(name), jobUuid, options)) as AnswerOfNamed<K>;
  }

  /**
   * The bytes of an image, as the answer of `fetch`: all of them, or those of a Range in `headers`. IngotError where
   * there are none.
   */
  async download(
    uuid: string,
    options: { headers?: Record<string, string>; signal?: AbortSignal } = {},
  ): Promise<Response> {
    const request: Request = {
      method: 'GET',
      path: `/v1/images/${encodeURIComponent(uuid)}/file`,
      headers: { ...options.headers },
      signal: options.signal,
    };
    await this.#authorize(request);
    return open(this.address, request, this.#fetch);
  }

  /** A call whose message is known at run time only. The answer is as it came: dates are text. */
  async send(message: Message, parameters: Readonly<Members>, options: CallOptions = {}): Promise<Sent> {
    const request = requestFor(message, parameters);
    if (options.jobUuid !== undefined) request.headers['x-job-uuid'] = options.jobUuid;
    if (options.timeout !== undefined) request.headers['x-api-timeout'] = String(options.timeout);
    if (message.caller !== 'anyone') await this.#authorize(request);
    const asked = { ...request, signal: options.signal };
    const { status, body } = await exchange(this.address, asked, this.#fetch);
    return status === 202 ? { job: String(body.uuid) } : { answer: body };
  }

  /** What has become of a job by now; the answer is as it came. */
  async look(jobUuid: string, signal?: AbortSignal): Promise<Job> {
    const path = `/v1/jobs/${encodeURIComponent(jobUuid)}`;
    const { body } = await exchange(this.address, { method: 'GET', path, headers: {}, signal }, this.#fetch);
    return body as unknown as Job;
  }

  async #authorize(request: Request): Promise<void> {
    if (this.#accessKey) {
      const date = new Date().toUTCString();
      const path = decodeURIComponent(request.path.split('?')[0] ?? '');
      const { id, secret } = this.#accessKey;
      const signature = await hmacSha1(secret, `${request.method}\n${date}\n${path}`);
      request.headers.authorization = `ZStack ${id}:${signature}`;
      request.headers.date = date;
    } else if (this.session !== undefined) request.headers.authorization = `Bearer ${this.session}`;
  }

  async #wait(message: Message, uuid: string, options: CallOptions): Promise<Members> {
    try {
      for (let pause = SHORTEST_PAUSE; ; pause = Math.min(pause * 1.5, LONGEST_PAUSE)) {
        const job = await this.#job(uuid, options.signal);
        options.onProgress?.(job);
        if (job.error) throw fromErrorBody(job.error);
        if (job.answer) return readDates(message.answer, job.answer);
        await sleep(pause, options.signal);
      }
    } catch (error) {
      if (options.cancel && options.signal?.aborted) await this.call('CancelLongJob', { uuid });
      throw error;
    }
  }

  /** How a job is getting on. A service that is just starting again is waited for. */
  async #job(uuid: string, signal: AbortSignal | undefined): Promise<Job> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.look(uuid, signal);
      } catch (error) {
        const passing = error instanceof IngotError && isPassing(error);
        if (!passing || attempt >= PATIENCE) throw error;
        await sleep(LONGEST_PAUSE, signal);
      }
    }
  }
}

/** How often a service that can't be reached is asked for a job, a second apart. */
const PATIENCE = 60;

/** A service that can't be reached, or is only just starting. */
function isPassing({ code, retryable }: IngotError): boolean {
  return code === 'SYS.1010' || (code === 'SYS.1015' && retryable);
}

const byName = new Map(messages.map((message) => [message.name, message]));

function messageNamed(name: string): Message {
  const message = byName.get(name);
  if (!message) throw new IngotError('SYS.1008', `there is no message '${name}'`);
  return message;
}

/** What the wire carries for a typed password. */
async function sha512(password: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-512', new TextEncoder().encode(password));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

async function hmacSha1(secret: string, text: string): Promise<string> {
  const encoder = new TextEncoder();
  const algorithm = { name: 'HMAC', hash: 'SHA-1' };
  const key = await crypto.subtle.importKey('raw', encoder.encode(secret), algorithm, false, ['sign']);
  const signature = await crypto.subtle.sign('HMAC', key, encoder.encode(text));
  return btoa(String.fromCharCode(...new Uint8Array(signature)));
}

type Constructor = Pick<typeof IngotClient, 'logIn'> & (new (options: IngotOptions) => IngotClient & Calls);

// The methods follow from the catalogue, at run time as in the types.
for (const message of messages) {
  if (message.answer.kind === 'file') continue;
  Object.defineProperty(IngotClient.prototype, message.action, {
    value(this: IngotClient, parameters: InputOfNamed<MessageName> = {}, options: CallOptions = {}) {
      return this.call(message.name as MessageName, parameters, options);
    },
  });
}

export type Ingot = IngotClient & Calls;
export const Ingot = IngotClient as unknown as Constructor;
