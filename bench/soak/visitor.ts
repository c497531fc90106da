/** One client of a soak: does one thing after another, as chance has it, and thinks in between. */
import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Service } from '../support/service.ts';
import type { Figures } from './figures.ts';

export interface Scene {
  service: Service;
  /** Images that are there all the time. */
  shared: readonly { uuid: string; size: number; sha256: string }[];
  /** Where new images come from. */
  source: string;
  /** Visitors log in into one of these. */
  accounts: readonly Account[];
  /** Milliseconds between two things on the average. */
  think: number;
  figures: Figures;
}

export interface Account {
  name: string;
  /** As it is sent: SHA-512 in hex. */
  password: string;
  /** Administrators alone add images, and tag what is not theirs. */
  admin: boolean;
}

type Members = Record<string, unknown>;

const QUERIES = [
  '/images?q=name~=shared%25&limit=20',
  '/images?q=status=Ready&sort=-createDate&limit=50',
  '/images?q=backupStorage.name=local&limit=20',
  '/images?q=backupStorageRef.backupStorage.zone.name!=nowhere&limit=20&replyWithCount=true',
  '/images?q=__userTag__~=soak%25&limit=20',
  '/volumes?q=image.platform=Linux&limit=20',
  '/backup-storage',
  '/longjobs?q=state=Running&limit=20',
];

/** Asked for what can't be: the answer must be an error, with the status that ZStack's clients expect of it. */
const MISTAKES = [
  { path: '/images?q=nmae=x', status: 503 },
  { path: '/images?q=size~=x', status: 503 },
  { path: '/nothing/of/the/kind', status: 404 },
];

export class Visitor {
  readonly #scene: Scene;
  readonly #name: string;
  readonly #account: Account;
  #session = '';

  constructor(scene: Scene, number: number) {
    this.#scene = scene;
    this.#name = `visitor-${number}`;
    this.#account = scene.accounts[number % scene.accounts.length] as Account;
  }

  /** Until the signal; what is begun by then is ended. */
  async visit(signal: AbortSignal): Promise<void> {
    await this.#try('log in', () => this.#logIn());
    while (!signal.aborted) {
      await delay(-Math.log(1 - Math.random()) * this.#scene.think);
      await this.#something();
    }
  }

  async #something(): Promise<void> {
    const chance = Math.random() * 100;
    if (chance < 60) return this.#try('query', () => this.#get(pick(QUERIES)));
    if (chance < 74)
      return this.#try('one image', () => this.#get(`/images/${pick(this.#scene.shared).uuid}`));
    if (chance < 82) return this.#try('download', () => this.#download());
    const { admin } = this.#account;
    if (chance < 86 && admin) return this.#try('tag', () => this.#tag());
    if (chance < 90 && admin) return this.#try('AddImage', () => this.#addImage());
    if (chance < 94) return this.#try('volume', () => this.#volume());
    if (chance < 98) return this.#try('mistake', () => this.#mistake());
    return this.#try('log in', () => this.#logIn());
  }

  async #try(name: string, work: () => Promise<unknown>): Promise<void> {
    const { figures } = this.#scene;
    const began = performance.now();
    try {
      await work();
      figures.note(name, this.#name, performance.now() - began);
    } catch (error) {
      const cause = error instanceof Error && error.cause ? ` (${String(error.cause)})` : '';
      figures.failures.push(`${this.#name}, ${name}: ${String(error)}${cause}`);
    }
  }

  async #logIn(): Promise<void> {
    if (this.#session !== '') await this.#call('DELETE', `/accounts/sessions/${this.#session}`);
    const { name: accountName, password } = this.#account;
    const body = { logInByAccount: { accountName, password } };
    const { inventory } = await this.#call('PUT', '/accounts/login', body);
    this.#session = (inventory as { uuid: string }).uuid;
  }

  async #download(): Promise<void> {
    const image = pick(this.#scene.shared);
    const response = await this.#send('GET', `/images/${image.uuid}/file`);
    if (response.status !== 200 || !response.body)
      throw new Error(`${response.status}: ${await response.text()}`);
    const hash = createHash('sha256');
    let bytes = 0;
    for await (const chunk of response.body) {
      hash.update(chunk);
      bytes += chunk.length;
    }
    if (hash.digest('hex') !== image.sha256) throw new Error(`${bytes} bytes, but other ones`);
    this.#scene.figures.bytes += bytes;
  }

  async #tag(): Promise<void> {
    const params = {
      resourceUuid: pick(this.#scene.shared).uuid,
      resourceType: 'ImageVO',
      tag: `soak-${this.#name}-${Math.random()}`,
    };
    const { inventory } = await this.#job('POST', '/user-tags', { params });
    await this.#job('DELETE', `/tags/${(inventory as { uuid: string }).uuid}`);
  }

  async #addImage(): Promise<void> {
    const params = { name: this.#name, url: this.#scene.source };
    const { inventory } = await this.#job('POST', '/images', { params });
    const { uuid, status } = inventory as { uuid: string; status: string };
    if (status !== 'Ready') throw new Error(`image ${uuid} is ${status}`);
    await this.#job('DELETE', `/images/${uuid}`);
  }

  async #volume(): Promise<void> {
    const image = pick(this.#scene.shared).uuid;
    const params = { name: this.#name };
    const { inventory } = await this.#job('POST', `/volumes/root/from/images/${image}`, { params });
    await this.#job('DELETE', `/volumes/root/${(inventory as { uuid: string }).uuid}`);
  }

  async #mistake(): Promise<void> {
    const { path, status } = pick(MISTAKES);
    const response = await this.#send('GET', path);
    await response.text();
    if (response.status !== status) throw new Error(`${path}: ${response.status}, not ${status}`);
  }

  #get(path: string): Promise<Members> {
    return this.#call('GET', path);
  }

  async #job(method: string, path: string, body?: Members): Promise<Members> {
    const { location } = await this.#call(method, path, body);
    for (let wait = 20; ; wait = Math.min(500, wait * 1.5)) {
      const response = await fetch(location as string);
      const answer = await read(response);
      if (response.status !== 202) return answer;
      await delay(wait);
    }
  }

  async #call(method: string, path: string, body?: Members): Promise<Members> {
    return read(await this.#send(method, path, body));
  }

  #send(method: string, path: string, body?: Members): Promise<Response> {
    return fetch(`${this.#scene.service.address}/zstack/v1${path}`, {
      method,
      headers: this.#session === '' ? {} : { authorization: `OAuth ${this.#session}` },
      ...(body && { body: JSON.stringify(body) }),
    });
  }
}

async function read(response: Response): Promise<Members> {
  const text = await response.text();
  if (!response.ok) throw new Error(`${response.url}: ${response.status} ${text}`);
  return text === '' ? {} : JSON.parse(text);
}

function pick<T>(from: readonly T[]): T {
  return from[Math.floor(Math.random() * from.length)] as T;
}
