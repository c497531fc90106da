/** Two local backup storages that take in what a transfer brings, and what a test wants to know of them. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { BackupStorageDriver } from '../../src/backup-storage/driver.ts';
import { localBackupStorage } from '../../src/backup-storage/local/driver.ts';
import { initialiseLocalBackupStorage } from '../../src/backup-storage/local/marker.ts';
import { newUuid } from '../../src/kernel/uuid.ts';
import type { Checkpoint } from '../../src/transfer/checkpoint.ts';
import { type HttpSourceOptions, httpSource } from '../../src/transfer/http-source.ts';
import type { Sink } from '../../src/transfer/sink.ts';
import type { Source } from '../../src/transfer/source.ts';
import {
  type TransferEvent,
  type TransferRequest,
  type TransferResult,
  transfer,
} from '../../src/transfer/transfer.ts';
import { temporaryDirectory } from '../support/temp-directory.ts';

/** Tries again at once, so that tests are quick; in milliseconds. Patient otherwise, as the machine may be busy. */
const DEFAULTS: HttpSourceOptions = {
  stallTimeout: 20_000,
  connectTimeout: 20_000,
  retry: { tries: 3, baseDelay: 5, maxDelay: 50 },
};

/** Keeps what it saw, to show that it saw each byte once and in order. */
export class Witness {
  readonly #hash = createHash('sha256');

  write(chunk: Uint8Array): void {
    this.#hash.update(chunk);
  }

  digest(): string {
    return this.#hash.digest('hex');
  }
}

export class Receiver {
  readonly drivers: BackupStorageDriver[];
  /** What the last transfer told of, newest last. */
  readonly events: TransferEvent[] = [];
  readonly checkpoints: Checkpoint[] = [];
  readonly progress: number[] = [];

  constructor(drivers: BackupStorageDriver[]) {
    this.drivers = drivers;
  }

  static async open(stores = 2): Promise<Receiver> {
    const drivers: BackupStorageDriver[] = [];
    for (let i = 0; i < stores; i++) {
      const options = { root: join(temporaryDirectory(), 'store'), uuid: newUuid() };
      await initialiseLocalBackupStorage(options);
      drivers.push(localBackupStorage(options));
    }
    return new Receiver(drivers);
  }

  sinks(path = 'image'): Sink[] {
    return this.drivers.map((driver, i) => ({
      id: `store-${i}`,
      open: (options) => driver.create(path, options),
      readPartial: (range) => driver.readPartial(path, range),
    }));
  }

  /** Takes in the URL; the writers are left open. */
  async take(
    url: string,
    options: Partial<TransferRequest<Witness>> & { http?: HttpSourceOptions } = {},
  ): Promise<TransferResult<Witness>> {
    const { http, ...request } = options;
    return this.takeFrom(httpSource(url, { ...DEFAULTS, ...http }), request);
  }

  /** The same from any source. */
  async takeFrom(
    source: Source,
    request: Partial<TransferRequest<Witness>> = {},
  ): Promise<TransferResult<Witness>> {
    return transfer({
      source,
      sinks: this.sinks(),
      inspect: () => new Witness(),
      signal: new AbortController().signal,
      onCheckpoint: async (checkpoint) => {
        // As its owner keeps it: through JSON.
        this.checkpoints.push(JSON.parse(JSON.stringify(checkpoint)));
      },
      onProgress: ({ bytes }) => this.progress.push(bytes),
      onEvent: (event) => this.events.push(event),
      ...request,
    });
  }

  /** Checks the result against the bytes that it should have brought, commits it and checks the stores. */
  async check(result: TransferResult<Witness>, content: Uint8Array, path = 'image'): Promise<void> {
    const sha256 = createHash('sha256').update(content).digest('hex');
    assert.equal(result.bytes, content.length);
    assert.equal(result.sha256, sha256);
    assert.equal(result.md5, createHash('md5').update(content).digest('hex'));
    assert.equal(result.inspector.digest(), sha256);
    for (const [i, driver] of this.drivers.entries()) {
      const writer = result.writers.get(`store-${i}`);
      if (!writer) continue;
      await writer.commit();
      const stored = createHash('sha256');
      for await (const piece of driver.read(path)) stored.update(piece);
      assert.equal(stored.digest('hex'), sha256);
    }
  }

  /** Every object and part on the stores. */
  async found(): Promise<string[]> {
    const found: string[] = [];
    for (const [i, driver] of this.drivers.entries()) {
      for await (const { path, partial } of driver.list(''))
        found.push(`${i}:${path}${partial ? '.part' : ''}`);
    }
    return found;
  }

  /** What became of the source, in short: `break`, `resume`, `restart`. */
  happened(): string[] {
    return this.events.map((event) => event.kind);
  }
}
