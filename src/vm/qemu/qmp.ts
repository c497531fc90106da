/** A connection to a QEMU's monitor (QMP): JSON lines over a unix socket, one for each machine. */
import { once } from 'node:events';
import { type FileHandle, open } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { basename, dirname } from 'node:path';
import { IngotError } from '../../kernel/errors.ts';

export interface QmpEvent {
  event: string;
  data: Record<string, unknown>;
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** How long a QEMU may take to answer, in milliseconds: on a loaded machine it may be slow, but it answers. */
const PATIENCE = 30_000;

export class Qmp {
  readonly #socket: Socket;
  readonly #waiting = new Map<number, Waiting>();
  readonly #listeners = new Set<(event: QmpEvent) => void>();
  readonly closed: Promise<void>;
  #buffer = '';
  #number = 0;
  #greeted: (() => void) | undefined;
  #isClosed = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => this.#read(text));
    socket.on('error', () => {});
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.#isClosed = true;
        for (const { reject } of this.#waiting.values()) reject(gone());
        this.#waiting.clear();
        resolve();
      });
    });
  }

  /** Rejects where nobody listens on the socket, or no QEMU answers there in time. */
  static async open(path: string): Promise<Qmp> {
    const socket = await connectTo(path);
    const qmp = new Qmp(socket);
    try {
      await inTime(
        Promise.race([
          new Promise<void>((resolve) => {
            qmp.#greeted = resolve;
          }),
          qmp.closed.then(() => Promise.reject(gone())),
        ]),
      );
      await qmp.run('qmp_capabilities');
      return qmp;
    } catch (error) {
      socket.destroy();
      throw error;
    }
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** @throws IngotError SYS.1016 with QEMU's own words when it refuses, SYS.1001 when it does not answer */
  async run<T = unknown>(execute: string, arguments_: Record<string, unknown> = {}): Promise<T> {
    if (this.#isClosed) throw gone();
    const id = ++this.#number;
    const answer = new Promise<T>((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
    });
    this.#socket.write(`${JSON.stringify({ execute, arguments: arguments_, id })}\n`);
    try {
      return await inTime(answer, execute);
    } finally {
      this.#waiting.delete(id);
    }
  }

  /** The listener is told of events until the returned function is called. */
  on(listener: (event: QmpEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#socket.destroy();
  }

  #read(text: string): void {
    this.#buffer += text;
    for (let end = this.#buffer.indexOf('\n'); end >= 0; end = this.#buffer.indexOf('\n')) {
      const line = this.#buffer.slice(0, end).trim();
      this.#buffer = this.#buffer.slice(end + 1);
      if (line !== '') this.#hear(JSON.parse(line));
    }
  }

  #hear(message: Record<string, unknown>): void {
    if (message.QMP !== undefined) this.#greeted?.();
    else if (typeof message.event === 'string') {
      const event = { event: message.event, data: (message.data ?? {}) as Record<string, unknown> };
      for (const listener of this.#listeners) listener(event);
    } else {
      const waiting = this.#waiting.get(message.id as number);
      const error = message.error as { class: string; desc: string } | undefined;
      if (error) waiting?.reject(new IngotError('SYS.1016', `QEMU refuses: ${error.desc}`));
      else waiting?.resolve(message.return);
    }
  }
}

/** Paths of unix sockets hold 108 bytes at most; through the directory's descriptor any fits. */
async function connectTo(path: string): Promise<Socket> {
  let directory: FileHandle | undefined;
  try {
    directory = await open(dirname(path));
    const socket = connect(`/proc/self/fd/${directory.fd}/${basename(path)}`);
    await once(socket, 'connect');
    return socket;
  } finally {
    await directory?.close();
  }
}

function gone(): IngotError {
  return new IngotError('SYS.1016', 'the QEMU of the virtual machine is gone', { retryable: true });
}

async function inTime<T>(work: Promise<T>, what = 'greeting'): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const details = `the QEMU of the virtual machine did not answer (${what}) for ${PATIENCE / 1000} s`;
      reject(new IngotError('SYS.1001', details, { retryable: true }));
    }, PATIENCE);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
