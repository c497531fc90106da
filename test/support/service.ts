/**
 * The real service for tests: in this process, or in one of its own that can be killed; and a client that knows
 * the messages from their declarations.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { messages } from '../../src/catalogue.ts';
import { type Config, readConfig } from '../../src/config.ts';
import { type ErrorBody, fromErrorBody } from '../../src/kernel/errors.ts';
import { createLog } from '../../src/kernel/log.ts';
import { type Message, pathVariables } from '../../src/kernel/message.ts';
import { type Service, startService } from '../../src/server.ts';
import { testDatabaseUrl } from './postgres.ts';
import { findProgram } from './program.ts';
import { temporaryDirectory } from './temp-directory.ts';

export type DatabaseKind = 'sqlite' | 'postgres';

export interface TestServiceOptions {
  /** SQLite by default. */
  database?: DatabaseKind;
  /** An earlier service's, to start again on it. */
  data?: string;
  /** The same, where it was PostgreSQL; empty for SQLite. */
  databaseUrl?: string;
  settings?: Partial<Omit<Config, 'data' | 'databaseUrl' | 'listen'>>;
  /** Further environment, for a service in a process of its own. */
  environment?: Record<string, string>;
}

export interface TestService {
  readonly address: string;
  /** Its data directory. */
  readonly data: string;
  /** PostgreSQL's URL; empty for SQLite. */
  readonly databaseUrl: string;
  /** What `openDatabase` takes, to look behind the service's back. */
  readonly databaseAt: string;
  /** Logged in as the administrator, unless another service has made the account. */
  readonly client: TestClient;
  /** What it has logged so far, one JSON object a line. */
  log(): string;
  /** As SIGTERM does. */
  stop(): Promise<void>;
}

/** Starts the service in this process, on a free port and a directory of its own. */
export async function startTestService(options: TestServiceOptions = {}): Promise<TestService> {
  const config = await configOf(options);
  const lines: string[] = [];
  const log = createLog(config.logLevel, { write: (line) => lines.push(line) });
  const service: Service = await startService(config, log);
  return {
    ...(await describeService(service.address, config)),
    log: () => lines.join(''),
    stop: () => service.stop(),
  };
}

/** Starts the service in a process of its own, which dies with this one. */
export async function startServiceProcess(
  options: TestServiceOptions = {},
): Promise<TestService & { kill(): Promise<void> }> {
  const config = await configOf(options);
  const main = join(import.meta.dirname, '..', '..', 'src', 'main.ts');
  const { data, ...settings } = config;
  const environment = Object.fromEntries(
    Object.entries(settings).map(([name, value]) => [
      `INGOT_${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`,
      String(value),
    ]),
  );
  const line = ['--pdeathsig=KILL', '--', process.execPath, main, 'serve', '--data', data.path];
  const child = spawn(findProgram('setpriv'), line, {
    env: { ...process.env, ...environment, ...options.environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = once(child, 'close');
  const output = collect(child);
  const address = await until('the service to say its address', () => {
    if (child.exitCode !== null) throw new Error(`the service ended: ${output.stdout()}${output.stderr()}`);
    return /Ingot serves (\S+)/.exec(output.stdout())?.[1];
  });
  const end = async (signal: NodeJS.Signals) => {
    child.kill(signal);
    await ended;
  };
  return {
    ...(await describeService(address, config)),
    log: output.stderr,
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
  };
}

function collect(child: ChildProcess) {
  const text = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8').on('data', (piece: string) => {
      text[name] += piece;
    });
  }
  return { stdout: () => text.stdout, stderr: () => text.stderr };
}

async function configOf(options: TestServiceOptions): Promise<Config> {
  const config = readConfig(['--data', options.data ?? temporaryDirectory(), '--listen', '127.0.0.1:0'], {});
  const databaseUrl = options.databaseUrl ?? (options.database === 'postgres' ? await testDatabaseUrl() : '');
  return { ...config, logLevel: 'info', databaseUrl, ...options.settings };
}

async function describeService(address: string, config: Config) {
  const client = new TestClient(address);
  // A second service on the same PostgreSQL has none.
  const { passwordFile } = config.data;
  if (existsSync(passwordFile)) await client.logIn('admin', readFileSync(passwordFile, 'utf8').trim());
  return {
    address,
    data: config.data.path,
    databaseUrl: config.databaseUrl,
    databaseAt: config.databaseUrl || config.data.databaseFile,
    client,
  };
}

export interface HttpAnswer {
  status: number;
  headers: Headers;
  text: string;
  /** The body's members; empty where it is no JSON object. */
  // biome-ignore lint/suspicious/noExplicitAny: tests reach into answers of every shape
  json: Record<string, any>;
}

type Parameters = Record<string, unknown>;
// biome-ignore lint/suspicious/noExplicitAny: tests reach into answers of every shape
type Answer = Record<string, any>;

export class TestClient {
  readonly address: string;
  /** Uuid of the session that is sent along, if any. */
  session: string | undefined;

  constructor(address: string) {
    this.address = address;
  }

  async logIn(accountName: string, password: string): Promise<void> {
    const digest = createHash('sha512').update(password).digest('hex');
    const { inventory } = await this.call('LogInByAccount', { accountName, password: digest });
    this.session = inventory.uuid;
  }

  /** One HTTP exchange; `path` is below the address. An object as body is sent as JSON. */
  async http(
    method: string,
    path: string,
    options: { body?: unknown; headers?: Record<string, string> } = {},
  ): Promise<HttpAnswer> {
    const { body } = options;
    const response = await fetch(new URL(path, this.address), {
      method,
      headers: {
        ...(this.session !== undefined && { authorization: `OAuth ${this.session}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...options.headers,
      },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.startsWith('application/json');
    return {
      status: response.status,
      headers: response.headers,
      text,
      json: isJson ? JSON.parse(text) : {},
    };
  }

  /** Calls a message by its name and waits for its end. Rejects with the IngotError that it answered. */
  async call(name: string, parameters: Parameters = {}): Promise<Answer> {
    const message = messageNamed(name);
    if (message.kind !== 'sync') return this.result(await this.begin(name, parameters));
    const answer = await this.#send(message, parameters);
    if (answer.status !== 200) throw errorIn(answer);
    return answer.json;
  }

  /** Begins an asynchronous message; fulfilled with the job's uuid. */
  async begin(name: string, parameters: Parameters = {}): Promise<string> {
    const answer = await this.#send(messageNamed(name), parameters);
    if (answer.status !== 202) throw errorIn(answer);
    return answer.json.location.split('/').at(-1);
  }

  /** The answer of a job that was begun, once it has ended. */
  async result(job: string): Promise<Answer> {
    const answer = await until(`job ${job} to end`, async () => {
      const polled = await this.http('GET', `/zstack/v1/api-jobs/${job}`);
      return polled.status === 202 ? undefined : polled;
    });
    if (answer.status !== 200) throw errorIn(answer);
    return answer.json;
  }

  /** The inventories that match, by conditions such as `name=centos`. */
  async query(resource: string, ...conditions: string[]): Promise<Answer[]> {
    return (await this.call(`Query${resource}`, { q: conditions })).inventories;
  }

  #send(message: Message, parameters: Parameters): Promise<HttpAnswer> {
    const { method, path, body } = message.route;
    const rest = { ...parameters };
    let target = `/zstack/v1${path}`;
    for (const name of pathVariables(path)) {
      target = target.replace(`{${name}}`, encodeURIComponent(String(rest[name])));
      delete rest[name];
    }
    if (body !== 'query') {
      return this.http(method, target, { body: { [body === 'params' ? 'params' : message.action]: rest } });
    }
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(rest)) {
      for (const each of [value].flat()) query.append(name, String(each));
    }
    return this.http(method, `${target}?${query}`);
  }
}

function messageNamed(name: string): Message {
  const found = messages.find((message) => message.name === name);
  if (!found) throw new Error(`there is no message ${name}`);
  return found;
}

function errorIn(answer: HttpAnswer): Error {
  const error = answer.json.error as ErrorBody | undefined;
  return error ? fromErrorBody(error) : new Error(`${answer.status}: ${answer.text}`);
}

/** The first value that is neither undefined nor false, asked for every 5 ms for at most two minutes: the machine may be busy. */
export async function until<T>(
  what: string,
  ask: () => T | undefined | false | Promise<T | undefined | false>,
): Promise<T> {
  const deadline = performance.now() + 120_000;
  for (;;) {
    const value = await ask();
    if (value !== undefined && value !== false) return value;
    assert.ok(performance.now() < deadline, `waited two minutes in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
