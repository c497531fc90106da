/**
 * The memory of all transfers of this process: a fixed number of page-aligned chunks that the HTTP
 * connection, the digest workers and the stores' writes share without copying. It bounds what a transfer may
 * be ahead of its slowest part, and so what a service takes for any number of downloads.
 */

/** Large enough that a direct write of one costs little beside its bytes (measured: 256 KiB costs thrice the CPU). */
export const CHUNK_BYTES = 1024 * 1024;
const CHUNKS = 24;
/** What one transfer may hold when it is alone: past that, more memory makes nothing faster. */
const CHUNKS_PER_LEASE = 12;
const WASM_PAGE_BYTES = 65536;

export interface Chunk {
  /** Where it lies in the pool's memory. */
  readonly start: number;
  readonly bytes: Uint8Array;
}

/** Node's types have no WebAssembly; of it we only need memory. */
declare const WebAssembly: {
  Memory: new (size: { shared: true; initial: number; maximum: number }) => { buffer: SharedArrayBuffer };
};

interface Waiter {
  lease: Lease;
  grant: (chunk: Chunk) => void;
}

export class ChunkPool {
  /** WebAssembly's shared memory is the one kind that Node gives page-aligned, as direct writes need. */
  readonly memory: SharedArrayBuffer;
  readonly #size: number;
  readonly #free: Chunk[] = [];
  readonly #leases = new Set<Lease>();
  readonly #waiters: Waiter[] = [];

  constructor(chunks = CHUNKS) {
    const pages = (chunks * CHUNK_BYTES) / WASM_PAGE_BYTES;
    this.#size = chunks;
    const memory = new WebAssembly.Memory({ shared: true, initial: pages, maximum: pages });
    this.memory = memory.buffer;
    for (let i = chunks - 1; i >= 0; i--) {
      const start = i * CHUNK_BYTES;
      this.#free.push({ start, bytes: new Uint8Array(this.memory, start, CHUNK_BYTES) });
    }
  }

  /** One transfer's share. The pool is split evenly between the leases that hold or want any of it. */
  lease(): Lease {
    const lease: Lease = new Lease(
      (signal) => this.#acquire(lease, signal),
      (chunk) => this.#release(lease, chunk),
      () => {
        this.#leases.delete(lease);
        this.#serveWaiters();
      },
    );
    this.#leases.add(lease);
    return lease;
  }

  #acquire(lease: Lease, signal: AbortSignal): Promise<Chunk> {
    return new Promise((resolve, reject) => {
      signal.throwIfAborted();
      const onAbort = () => {
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
        reject(signal.reason);
      };
      const waiter: Waiter = {
        lease,
        grant: (chunk) => {
          signal.removeEventListener('abort', onAbort);
          resolve(chunk);
        },
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiters.push(waiter);
      this.#serveWaiters();
    });
  }

  #release(lease: Lease, chunk: Chunk): void {
    lease.held--;
    this.#free.push(chunk);
    this.#serveWaiters();
  }

  /** First come, first served, but nobody beyond an even share. */
  #serveWaiters(): void {
    const wanting = new Set(this.#waiters.map(({ lease }) => lease));
    for (const lease of this.#leases) if (lease.held > 0) wanting.add(lease);
    const share = Math.max(1, Math.min(CHUNKS_PER_LEASE, Math.floor(this.#size / wanting.size)));
    for (let i = 0; i < this.#waiters.length && this.#free.length > 0; ) {
      const waiter = this.#waiters[i] as Waiter;
      if (waiter.lease.held >= share) {
        i++;
        continue;
      }
      this.#waiters.splice(i, 1);
      waiter.lease.held++;
      waiter.grant(this.#free.pop() as Chunk);
    }
  }
}

export class Lease {
  /** Chunks that are out; kept by the pool. */
  held = 0;
  readonly acquire: (signal: AbortSignal) => Promise<Chunk>;
  readonly release: (chunk: Chunk) => void;
  /** Gives the share back; chunks that are out must have been released. */
  readonly close: () => void;

  constructor(acquire: Lease['acquire'], release: Lease['release'], close: Lease['close']) {
    this.acquire = acquire;
    this.release = release;
    this.close = close;
  }
}

let pool: ChunkPool | undefined;

/** The pool of this process. Its pages cost nothing until they are first used. */
export function sharedPool(): ChunkPool {
  pool ??= new ChunkPool();
  return pool;
}
