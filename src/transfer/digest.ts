import { Worker } from 'node:worker_threads';
import { IngotError } from '../kernel/errors.ts';
import { type Chunk, sharedPool } from './chunk-pool.ts';

export type Algorithm = 'sha256' | 'md5';

type Message = ['update', id: number, start: number, length: number] | ['prefix' | 'end', id: number];

interface Pending {
  resolve: (answer: string | null) => void;
  reject: (error: IngotError) => void;
}

/** One thread an algorithm for the whole process: MD5, the slowest, does about 800 MB/s. */
class DigestThread {
  readonly #worker: Worker;
  readonly #pending: Pending[] = [];
  failed: IngotError | undefined;

  constructor(algorithm: Algorithm) {
    this.#worker = new Worker(new URL('./digest-worker.mjs', import.meta.url), {
      name: `digest-${algorithm}`,
      workerData: { algorithm, memory: sharedPool().memory },
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2 },
    });
    this.#worker.unref();
    this.#worker.on('message', (answer) => {
      this.#pending.shift()?.resolve(answer);
      if (this.#pending.length === 0) this.#worker.unref();
    });
    this.#worker.on('error', (cause) => this.#fail(algorithm, cause));
    this.#worker.on('exit', () => this.#fail(algorithm));
  }

  ask(message: Message): Promise<string | null> {
    if (this.failed) return Promise.reject(this.failed);
    return new Promise((resolve, reject) => {
      // Only while an answer is due does the thread keep the process alive.
      if (this.#pending.length === 0) this.#worker.ref();
      this.#pending.push({ resolve, reject });
      this.#worker.postMessage(message);
    });
  }

  #fail(algorithm: Algorithm, cause?: unknown): void {
    this.failed ??= new IngotError('SYS.1000', `The ${algorithm} thread ended`, { cause, retryable: true });
    for (const { reject } of this.#pending.splice(0)) reject(this.failed);
  }
}

const threads = new Map<Algorithm, DigestThread>();
let lastId = 0;

function threadOf(algorithm: Algorithm): DigestThread {
  let thread = threads.get(algorithm);
  if (!thread || thread.failed) {
    thread = new DigestThread(algorithm);
    threads.set(algorithm, thread);
  }
  return thread;
}

/** Digests one stream of chunks off the main thread. Calls take effect in their order. */
export class Digest<A extends Algorithm> {
  readonly #id = ++lastId;
  readonly #threads: { algorithm: A; thread: DigestThread }[];

  constructor(algorithms: readonly A[]) {
    this.#threads = algorithms.map((algorithm) => ({ algorithm, thread: threadOf(algorithm) }));
  }

  /** Fulfilled when the chunk's first `length` bytes have been digested and its memory may be used again. */
  async update(chunk: Chunk, length: number): Promise<void> {
    await Promise.all(
      this.#threads.map(({ thread }) => thread.ask(['update', this.#id, chunk.start, length])),
    );
  }

  /** The digest in hex of all bytes given before the call; more may follow. */
  async prefix(algorithm: A): Promise<string> {
    const found = this.#threads.find((candidate) => candidate.algorithm === algorithm);
    return (await found?.thread.ask(['prefix', this.#id])) ?? '';
  }

  /** The digests in hex of all bytes given; nothing may follow. Also frees what the threads keep. */
  async end(): Promise<Record<A, string>> {
    const entries = await Promise.all(
      this.#threads.map(async ({ algorithm, thread }) => [algorithm, await thread.ask(['end', this.#id])]),
    );
    return Object.fromEntries(entries);
  }
}
