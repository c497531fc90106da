/**
 * Walks the steps of one job: for each step, the same beginnings, the job, and death or an error right there; then a
 * start, until no job is open; then a look at everything there is.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readConfig } from '../../src/config.ts';
import type { Finding } from '../../src/fsck.ts';
import { IngotError } from '../../src/kernel/errors.ts';
import { createLog } from '../../src/kernel/log.ts';
import { startService } from '../../src/server.ts';
import { fsckOf } from '../support/fsck.ts';
import { findProgram } from '../support/program.ts';
import { startTestService, TestClient, until } from '../support/service.ts';
import type { Act, Order, Report } from './faulty-service.ts';
import {
  type Answer,
  type Known,
  OPEN,
  type Scenario,
  type Source,
  type Things,
  type World,
} from './scenario.ts';

export interface Case {
  scenario: string;
  act: Act;
  at: number;
  /** The step that was stood at. */
  step: string;
  /** What was wrong afterwards; undefined where all was right. */
  violation?: string;
}

/** How long after a job's end something may still follow, such as removing what is nobody's. Milliseconds. */
const AFTERMATH = 120;

/** What a scenario's cases all begin from. */
export class Stage {
  readonly #scenario: Scenario;
  readonly #world: World;
  readonly #root: string;
  #things: Things = {};
  #session = '';
  /** Uuids of the preparation's jobs. */
  #prepared = new Set<string>();

  /** `directory` is the stage's own. */
  constructor(scenario: Scenario, directory: string, source: Source) {
    this.#scenario = scenario;
    this.#root = join(directory, 'root');
    this.#world = { ...source, directory: (name) => join(this.#root, name) };
  }

  get #data(): string {
    return join(this.#root, 'data');
  }

  get #kept(): string {
    return `${this.#root}.kept`;
  }

  async prepare(): Promise<void> {
    await mkdir(this.#data, { recursive: true });
    const service = await startTestService({ data: this.#data, settings: { logLevel: 'silent' } });
    this.#things = (await this.#scenario.prepare?.(service.client, this.#world)) ?? {};
    this.#session = service.client.session ?? '';
    this.#prepared = new Set((await service.client.query('LongJob')).map(({ uuid }) => uuid));
    await service.stop();
    await copyTree(this.#root, this.#kept);
  }

  /** Every `stride`-th step from the first on; fulfilled with what was found at each. */
  async walk(act: Act, { first = 1, stride = 1 } = {}): Promise<Case[]> {
    const cases: Case[] = [];
    for (let at = first; ; at += stride) {
      const one = await this.#stand({ act, at });
      if (!one) break;
      cases.push(one);
    }
    return cases;
  }

  /** Undefined where the job has ended before it came to that step. */
  async #stand(order: Order): Promise<Case | undefined> {
    await rm(this.#root, { recursive: true, force: true });
    await copyTree(this.#kept, this.#root);
    const service = await FaultyService.start(this.#data, this.#session);
    await service.arm(order);
    const told = await service.ended((client) => this.#call(client));
    const steps = await service.steps();
    if (steps && steps.length < order.at) {
      await service.stop();
      return undefined;
    }
    await (steps ? service.stop() : service.gone);
    const step = steps?.[order.at - 1] ?? 'died';
    const about = { scenario: this.#scenario.name, ...order, step };
    try {
      // Whoever hears of an error after the commit can't know what has become of it.
      await this.#look(step === 'after commit' ? undefined : told);
      return about;
    } catch (error) {
      return { ...about, violation: error instanceof Error ? error.message : String(error) };
    }
  }

  async #call(client: TestClient): Promise<void> {
    const { message, parameters } = this.#scenario.act(this.#things, this.#world);
    await client.call(message, parameters);
    await this.#scenario.bring?.(client, this.#world);
  }

  /** What the next start makes of it. `told`: whether the caller has heard that it ended well, if of an end at all. */
  async #look(told: boolean | undefined): Promise<void> {
    const config = readConfig(['--data', this.#data, '--listen', '127.0.0.1:0', '--job-lease', '1'], {});
    const service = await startService(config, createLog('silent'));
    let known: Known[] | undefined;
    try {
      const client = new TestClient(service.address);
      client.session = this.#session;
      await this.#scenario.bring?.(client, this.#world);
      await until('every job to end', async () => (await client.query('LongJob', OPEN)).length === 0);
      const answer = await this.#answer(client);
      if (told !== undefined) assert.equal(answer !== undefined, told, 'it ended as the caller was told');
      known = await this.#scenario.verify(client, this.#things, answer);
    } finally {
      await service.stop();
    }
    const findings = await fsckOf({ databaseAt: join(this.#data, 'ingot.sqlite') });
    const isKnown = ({ kind, sentence }: Finding) =>
      known?.some((one) => one.kind === kind && sentence.includes(one.file)) === true;
    assert.deepEqual(
      findings.filter((finding) => !isKnown(finding)).map(({ sentence }) => sentence),
      [],
      'fsck',
    );
  }

  /** What the jobs of the call have come to; undefined where one has failed, or there was none. */
  async #answer(client: TestClient): Promise<Answer | undefined> {
    const jobs = (await client.query('LongJob')).filter(({ uuid }) => !this.#prepared.has(uuid));
    if (jobs.length === 0 || jobs.some(({ state }) => state !== 'Succeeded')) return undefined;
    return Object.assign({}, ...jobs.map(({ jobResult }) => JSON.parse(jobResult).answer));
  }
}

/** With hard links and holes as they are. */
async function copyTree(from: string, to: string): Promise<void> {
  const copy = spawn(findProgram('cp'), ['--archive', '--reflink=auto', from, to], { stdio: 'inherit' });
  const [code] = await once(copy, 'close');
  assert.equal(code, 0);
}

class FaultyService {
  readonly #child: ChildProcess;
  readonly #client: TestClient;
  /** Fulfilled when the process has ended, however. */
  readonly gone: Promise<unknown>;

  static async start(data: string, session: string): Promise<FaultyService> {
    const main = join(import.meta.dirname, 'faulty-service.ts');
    const line = ['--pdeathsig=KILL', '--', process.execPath, main, data];
    const child = spawn(findProgram('setpriv'), line, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    const gone = once(child, 'close');
    const told = await answerOf(child, (report) => 'ready' in report && report);
    assert.ok(told, 'the service has not started');
    const client = new TestClient(told.ready);
    client.session = session;
    return new FaultyService(child, client, gone);
  }

  private constructor(child: ChildProcess, client: TestClient, gone: Promise<unknown>) {
    this.#child = child;
    this.#client = client;
    this.gone = gone;
  }

  async arm(order: Order): Promise<void> {
    const armed = answerOf(this.#child, (report) => 'armed' in report && report);
    this.#child.send(order);
    await armed;
  }

  /** Makes the call; whether it ended well, undefined where the process died first. */
  async ended(call: (client: TestClient) => Promise<void>): Promise<boolean | undefined> {
    const outcome = call(this.#client).then(
      () => true,
      (error) => {
        // An answer all the same: it was refused, or has failed.
        if (error instanceof IngotError) return false;
        return undefined;
      },
    );
    const done = await Promise.race([outcome, this.gone.then(() => undefined)]);
    if (done !== undefined) await Promise.race([sleep(AFTERMATH), this.gone]);
    return this.#child.signalCode === null ? done : undefined;
  }

  /** The steps since it was armed; undefined where it is dead. */
  async steps(): Promise<string[] | undefined> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return undefined;
    const told = answerOf(this.#child, (report) => 'steps' in report && report);
    this.#child.send('steps', () => {});
    return (await told)?.steps;
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGTERM');
    await this.gone;
  }
}

/** Undefined where the process ends without having said so. */
function answerOf<R extends Report>(
  child: ChildProcess,
  take: (report: Report) => R | false,
): Promise<R | undefined> {
  return new Promise((resolve) => {
    const listen = (report: Report) => {
      const taken = take(report);
      if (!taken) return;
      child.off('message', listen);
      child.off('close', gone);
      resolve(taken);
    };
    const gone = () => resolve(undefined);
    child.on('message', listen);
    child.once('close', gone);
  });
}
