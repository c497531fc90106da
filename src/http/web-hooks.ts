/**
 * Web hooks: a call's result is sent to the address that its header `X-Web-Hook` names (zstack-api.md 1.5), as far
 * as the settings `webHookHosts`, `egress.allow` and `egress.schemes` allow that. What is to be sent is kept in the database until it was taken.
 */
import http, { type IncomingHttpHeaders } from 'node:http';
import https from 'node:https';
import tls from 'node:tls';
import type { Database } from '../database/database.ts';
import { type Clock, sleep } from '../kernel/clock.ts';
import { toIngotError } from '../kernel/errors.ts';
import { shorten } from '../kernel/format.ts';
import type { Log } from '../kernel/log.ts';
import { maskedUrl } from '../kernel/masked-url.ts';
import type { SecretBox } from '../kernel/secret-box.ts';
import type { Egress } from '../transfer/egress.ts';
import { HttpProblem } from './answers.ts';
import type { CallState, Dispatcher } from './dispatcher.ts';
import { presentAnswer } from './present.ts';

interface WebHook {
  jobUuid: string;
  url: string;
  /** The process that accepted the call. */
  node: string;
  attempts: number;
  nextAttempt: number;
}

declare module '../database/database.ts' {
  interface Tables {
    webHook: WebHook;
  }
}

const ATTEMPTS = 15;
/** Between two attempts, in milliseconds; so often it is looked for ended jobs, too. */
const PAUSE = 2000;
const LOOK = 500;
/** How long the other side may take to answer, in milliseconds. */
const PATIENCE = 10_000;
/** Bytes of the headers of its answer; of its body, nothing is read. */
const MAX_HEADER_BYTES = 16 * 1024;
/** After so long, another process takes over what a dead one has left. */
const ABANDONED = 60_000;

interface Parts {
  database: Database;
  clock: Clock;
  log: Log;
  node: string;
  /** `host` or `host:port`, which alone may be called. */
  hosts: readonly string[];
  egress: Egress;
  /** Under which addresses are kept that hold something secret. */
  secrets: SecretBox;
  /** Certificates in PEM that are trusted besides the usual authorities'. */
  ca?: string;
  dispatcher: Dispatcher;
  /** Milliseconds between two attempts, where not the usual. */
  pause?: number;
}

export class WebHooks {
  readonly #parts: Parts;
  readonly #agents: ReturnType<Egress['agents']>;
  /** Whether there may be something to send; saves asking the database. */
  #idleUntil = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
    const { egress, ca } = parts;
    this.#agents = egress.agents(ca === undefined ? {} : { ca: [...tls.getCACertificates('default'), ca] });
  }

  /** The address in the header; 400 where it may not be called. */
  urlIn(headers: IncomingHttpHeaders): string | undefined {
    const given = headers['x-web-hook'];
    if (given === undefined) return undefined;
    const url = URL.parse(String(given));
    if (!url || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
      throw new HttpProblem(
        400,
        'SYS.1007',
        `the header X-Web-Hook must be an http(s) URL, but is '${shorten(maskedUrl(String(given)))}'`,
      );
    }
    const { hosts, egress } = this.#parts;
    const fault = egress.schemeFault(url.protocol.slice(0, -1));
    if (fault) throw new HttpProblem(400, 'SYS.1007', `the header X-Web-Hook names ${fault}`);
    if (hosts.includes(url.host.toLowerCase()) || hosts.includes(url.hostname.toLowerCase())) return url.href;
    throw new HttpProblem(
      400,
      'SYS.1007',
      `the header X-Web-Hook names the host '${shorten(url.host)}', which is not among those that may be called (the setting webHookHosts: ${hosts.join(', ') || 'none'})`,
    );
  }

  /** From now on, the call's result is to be sent. */
  async expect(jobUuid: string, url: string): Promise<void> {
    const { database, clock, node, secrets } = this.#parts;
    const kept = maskedUrl(url) === url ? url : secrets.seal(url, ownerOf(jobUuid));
    await database.sql
      .insertInto('webHook')
      .values({ jobUuid, url: kept, node, attempts: 0, nextAttempt: clock.now() })
      .execute();
    this.#idleUntil = 0;
  }

  /** Sends what there is to send, until the signal ends it. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await sleep(LOOK, signal).catch(() => {});
      if (signal.aborted) return;
      await this.#sendDue().catch((error) =>
        this.#parts.log.error({ err: error }, 'sending web hooks failed; trying again'),
      );
    }
  }

  async #sendDue(): Promise<void> {
    const { database, clock, node } = this.#parts;
    const now = clock.now();
    if (now < this.#idleUntil) return;
    const due = await database.sql
      .selectFrom('webHook')
      .selectAll()
      .where('nextAttempt', '<=', now)
      .where((where) =>
        where.or([
          where('node', '=', node),
          where('node', 'not in', where.selectFrom('managementNode').select('uuid')),
          where('nextAttempt', '<', now - ABANDONED),
        ]),
      )
      .orderBy('nextAttempt')
      .limit(50)
      .execute();
    if (due.length === 0) {
      const open = await database.sql.selectFrom('webHook').select('jobUuid').limit(1).executeTakeFirst();
      if (!open) this.#idleUntil = now + ABANDONED;
      return;
    }
    await Promise.all(due.map((hook) => this.#send(hook)));
  }

  async #send(hook: WebHook): Promise<void> {
    const { database, clock, log, dispatcher, pause = PAUSE } = this.#parts;
    const state = await dispatcher.stateOf(hook.jobUuid);
    if (state.state === 'processing') {
      await this.#postpone(hook, hook.attempts, clock.now() + Math.min(pause, LOOK));
      return;
    }
    const attempts = hook.attempts + 1;
    // Claimed before it is tried: no other process tries it meanwhile.
    if (!(await this.#postpone(hook, attempts, clock.now() + PATIENCE + pause))) return;
    try {
      await this.#post(hook, state);
    } catch (error) {
      const problem = {
        job: hook.jobUuid,
        url: maskedUrl(this.#urlOf(hook)),
        attempts,
        reason: toIngotError(error).details,
      };
      if (attempts < ATTEMPTS) {
        log.debug(problem, 'a web hook could not be sent');
        await database.sql
          .updateTable('webHook')
          .set({ nextAttempt: clock.now() + pause })
          .where('jobUuid', '=', hook.jobUuid)
          .execute();
        return;
      }
      log.warn(problem, 'a web hook is given up');
    }
    await database.sql.deleteFrom('webHook').where('jobUuid', '=', hook.jobUuid).execute();
  }

  #urlOf({ jobUuid, url }: WebHook): string {
    return /^https?:/.test(url) ? url : this.#parts.secrets.open(url, ownerOf(jobUuid));
  }

  async #postpone(hook: WebHook, attempts: number, nextAttempt: number): Promise<boolean> {
    const { numUpdatedRows } = await this.#parts.database.sql
      .updateTable('webHook')
      .set({ attempts, nextAttempt })
      .where('jobUuid', '=', hook.jobUuid)
      .where('nextAttempt', '=', hook.nextAttempt)
      .executeTakeFirst();
    return numUpdatedRows > 0n;
  }

  /** Rejects where the other side did not take it. A redirect is no taking: it might lead to a host that may not be called. */
  async #post(hook: WebHook, state: CallState): Promise<void> {
    const url = new URL(this.#urlOf(hook));
    const secure = url.protocol === 'https:';
    const body = Buffer.from(JSON.stringify(bodyOf(state)));
    const status = await new Promise<number>((resolve, reject) => {
      const request = (secure ? https : http).request(url, {
        agent: secure ? this.#agents.https : this.#agents.http,
        method: 'POST',
        headers: {
          'content-type': 'application/json;charset=utf-8',
          'content-length': body.length,
          'x-job-uuid': hook.jobUuid,
          'x-job-success': String(state.state === 'done' && !('error' in state)),
        },
        maxHeaderSize: MAX_HEADER_BYTES,
        signal: AbortSignal.timeout(PATIENCE),
      });
      request.on('error', reject);
      request.on('response', (response) => {
        resolve(response.statusCode ?? 0);
        request.destroy();
      });
      request.end(body);
    });
    if (status < 200 || status > 299) throw new Error(`the other side answered ${status}`);
  }
}

const ownerOf = (jobUuid: string) => `the web hook of ${jobUuid}`;

/** The same JSON as a poll gives. */
function bodyOf(state: CallState): Record<string, unknown> {
  if (state.state !== 'done') {
    const details = "the call's result is not known any longer";
    return { error: { code: 'LONG_JOB.1002', description: '', details } };
  }
  if ('error' in state) return { error: state.error };
  return presentAnswer(state.message.answer, structuredClone(state.answer));
}
