/** The shape of a scenario, and what several begin with or ask afterwards. */
import assert from 'node:assert/strict';
import type { Finding } from '../../src/fsck.ts';
import type { TestClient } from '../support/service.ts';

/** Uuids of what the preparation has made. */
export type Things = Record<string, string>;

// biome-ignore lint/suspicious/noExplicitAny: answers of every shape
export type Answer = Record<string, any>;

export interface Scenario {
  name: string;
  /** Makes what is there before, on a service that has just been set up. */
  prepare?(client: TestClient, world: World): Promise<Things>;
  act(things: Things, world: World): { message: string; parameters: Record<string, unknown> };
  /**
   * What the caller does besides, once the call is accepted and again after each start: sends bytes that are still
   * awaited, if any are. Rejects where the job that takes them does not end well.
   */
  bring?(client: TestClient, world: World): Promise<void>;
  /**
   * Looks at what there is afterwards; `answer` is the job's, undefined where it did not end well or never was one.
   * fsck has its own look after it; fulfilled with what that may find all the same.
   */
  verify(client: TestClient, things: Things, answer: Answer | undefined): Promise<Known[] | undefined>;
}

/** A finding that is no violation. */
export interface Known {
  kind: Finding['kind'];
  /** Path of the file that it is about. */
  file: string;
}

export interface World extends Source {
  /** A directory that does not exist yet. */
  directory(name: string): string;
}

/** A disk that a web server has. */
export interface Source {
  url: string;
  /** Bytes of the file. */
  size: number;
  sha256: string;
}

/** What matches jobs under way. */
export const OPEN = 'state?=Waiting,Running,Canceling';

/** The uuid of what is to be made. */
export const NEW = 'cccccccccccc4ccc8ccccccccccccccc';

export const found = async (client: TestClient, resource: string, uuid: string | undefined) =>
  (await client.query(resource, `uuid=${uuid}`))[0];

export async function addImage(client: TestClient, world: World, more: object = {}): Promise<string> {
  const answer = await client.call('AddImage', { name: 'there', url: world.url, ...more });
  return answer.inventory.uuid;
}

/** The storage that each service has, and further ones by their names. */
export async function addStorages(client: TestClient, world: World, ...names: string[]): Promise<Things> {
  const [first] = await client.query('BackupStorage', 'name=local');
  const things: Things = { first: first?.uuid };
  for (const name of names) {
    const parameters = { name, url: world.directory(name) };
    things[name] = (await client.call('AddLocalBackupStorage', parameters)).inventory.uuid;
  }
  return things;
}

/** What was to be made is there, whole, exactly if the job ended well. */
export function made(resource: string): Scenario['verify'] {
  return async (client, _things, answer) => {
    const one = await found(client, resource, NEW);
    assert.equal(one !== undefined, answer !== undefined, `${resource} ${NEW} is there`);
    if (one && 'status' in one) assert.match(one.status, /^(Ready|Connected)$/);
  };
}

/** What was to be removed is gone if the job ended well, and else may be. */
export function removed(resource: string, thing: string): Scenario['verify'] {
  return async (client, things, answer) => {
    const one = await found(client, resource, things[thing]);
    if (answer) assert.equal(one, undefined, `${resource} is still there`);
    if (one && 'status' in one) assert.match(one.status, /^(Ready|Connected|Deleted)$/);
  };
}
