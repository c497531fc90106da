/** The guest's own agent, over its virtio port: asked to freeze and thaw file systems, where it answers. */
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { open } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { basename, dirname } from 'node:path';

/** How long it may take to answer at all, and to freeze, in milliseconds. */
const ANSWER = 1000;
const FREEZE = 10_000;
/** Bytes that it may have said and nobody has read: far more than any answer that is asked for, and what a guest can cost. */
const MOST = 65_536;

/**
 * Runs `work` between freeze and thaw; without them where no agent answers, or it can't. Fulfilled with whether the
 * guest was frozen all the while.
 */
export async function whileFrozen(path: string, work: () => Promise<void>): Promise<boolean> {
  const agent = await Agent.find(path);
  if (!agent) {
    await work();
    return false;
  }
  try {
    const frozen = await agent.ask('guest-fsfreeze-freeze', FREEZE).then(
      (count) => Number(count) > 0,
      () => false,
    );
    try {
      await work();
    } finally {
      // A freeze that came too late is taken back as well.
      await agent.ask('guest-fsfreeze-thaw', FREEZE).catch(() => {});
    }
    return frozen;
  } finally {
    agent.close();
  }
}

class Agent {
  readonly #socket: Socket;
  #buffer = '';
  #heard: (() => void) | undefined;
  #isGone = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#isGone = true;
      this.#heard?.();
    });
    socket.setEncoding('utf8').on('data', (text: string) => {
      this.#buffer += text;
      if (this.#buffer.length > MOST) {
        this.#buffer = '';
        socket.destroy();
      }
      this.#heard?.();
    });
  }

  /** Undefined where none answers. */
  static async find(path: string): Promise<Agent | undefined> {
    const directory = await open(dirname(path)).catch(() => undefined);
    if (!directory) return undefined;
    try {
      const socket = connect(`/proc/self/fd/${directory.fd}/${basename(path)}`);
      await once(socket, 'connect');
      const agent = new Agent(socket);
      const id = randomInt(1, 2 ** 31);
      // What an earlier one has not read yet may come first.
      const answer = await agent.ask('guest-sync', ANSWER, { id }).catch(() => undefined);
      if (answer === id) return agent;
      agent.close();
    } catch {
      // There is no such port, or somebody else is at it.
    } finally {
      await directory.close();
    }
    return undefined;
  }

  /** Rejects with the agent's refusal, or when it does not answer in time, or talks without end. */
  async ask(execute: string, patience: number, arguments_?: Record<string, unknown>): Promise<unknown> {
    this.#socket.write(`${JSON.stringify({ execute, ...(arguments_ && { arguments: arguments_ }) })}\n`);
    const deadline = performance.now() + patience;
    for (;;) {
      const end = this.#buffer.indexOf('\n');
      if (end >= 0) {
        const line = this.#buffer.slice(0, end).replace(/^\u00ff/, '');
        this.#buffer = this.#buffer.slice(end + 1);
        const answer = parse(line);
        if (answer?.error) throw new Error(String((answer.error as { desc?: string }).desc));
        const isOld = execute === 'guest-sync' && answer?.return !== arguments_?.id;
        if (answer && 'return' in answer && !isOld) return answer.return;
        continue;
      }
      const left = deadline - performance.now();
      if (left <= 0 || this.#isGone) throw new Error(`the guest agent did not answer ${execute}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#heard = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  close(): void {
    this.#socket.destroy();
  }
}

function parse(line: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
