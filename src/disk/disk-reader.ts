/** A disk as a guest would see it, through all the layers that it stands on: qemu-nbd reads them, we read from it. */
import type { ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { IngotError, isSystemError } from '../kernel/errors.ts';
import { NbdClient } from './nbd-client.ts';
import { startProgram } from './program.ts';
import { type DiskFile, fileName } from './qemu-img.ts';

/** How long qemu-nbd may take until it listens, and a read until it is answered. Milliseconds. */
const START = 30_000;
const READ = 120_000;

export class DiskReader {
  readonly #client: NbdClient;
  readonly #server: ChildProcess;

  private constructor(client: NbdClient, server: ChildProcess) {
    this.#client = client;
    this.#server = server;
  }

  /** @throws IngotError SYS.1006 where qemu-nbd is missing, SYS.1016 where the disk can't be opened */
  static async open(disk: DiskFile, signal?: AbortSignal): Promise<DiskReader> {
    signal?.throwIfAborted();
    // Taken away as soon as we are connected: the server serves this one client and ends with it.
    const directory = await mkdtemp(join(tmpdir(), 'ingot-nbd-'));
    try {
      const socket = join(directory, 's');
      const server = await startProgram('qemu-nbd', [
        '--read-only',
        '--format',
        disk.format,
        '--socket',
        socket,
        fileName(disk.path),
      ]);
      try {
        return new DiskReader(await connectTo(socket, server, signal), server);
      } catch (error) {
        server.kill('SIGKILL');
        throw error;
      }
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  }

  /** Bytes of the disk. */
  get size(): number {
    return this.#client.size;
  }

  /**
   * Fills `target` with the disk's bytes from `offset` on; what lies behind the disk's end reads as zeros.
   * @throws IngotError SYS.1001 when qemu-nbd hangs
   */
  async read(target: Uint8Array, offset: number): Promise<void> {
    const there = Math.max(0, Math.min(target.length, this.size - offset));
    if (there < target.length) target.fill(0, there);
    if (there === 0) return;
    const timer = setTimeout(() => {
      this.#server.kill('SIGKILL');
    }, READ);
    try {
      await this.#client.read(target.subarray(0, there), offset);
    } catch (error) {
      if (this.#server.signalCode !== 'SIGKILL') throw error;
      throw new IngotError(
        'SYS.1001',
        `qemu-nbd did not answer for ${READ / 1000} s, or was killed; does the storage still answer?`,
        { cause: error, retryable: true },
      );
    } finally {
      clearTimeout(timer);
    }
  }

  close(): void {
    this.#client.close();
    // It ends by itself when its client goes; one that hangs doesn't.
    setTimeout(() => this.#server.kill('SIGKILL'), 2000).unref();
  }
}

async function connectTo(socket: string, server: ChildProcess, signal?: AbortSignal): Promise<NbdClient> {
  let words = '';
  let failure: Error | undefined;
  server.stderr?.setEncoding('utf8').on('data', (text: string) => {
    words = (words + text).slice(-4096);
  });
  server.stdout?.resume();
  server.once('error', (error) => {
    failure = error;
  });
  const closed = new Promise<void>((resolve) => server.once('close', () => resolve()));
  const due = Date.now() + START;
  for (;;) {
    try {
      return await NbdClient.connect(socket);
    } catch (error) {
      if (!isSystemError(error) || !['ENOENT', 'ECONNREFUSED'].includes(error.code)) throw error;
    }
    signal?.throwIfAborted();
    if (failure || server.exitCode !== null || server.signalCode !== null) {
      await closed;
      const said =
        words.trim() || failure?.message || `it ended with ${server.signalCode ?? server.exitCode}`;
      throw new IngotError('SYS.1016', `the disk can't be read: ${said}`, {
        retryable: server.signalCode !== null || /Failed to get/.test(said),
      });
    }
    if (Date.now() > due) {
      throw new IngotError('SYS.1001', `qemu-nbd did not listen after ${START / 1000} s`, {
        retryable: true,
      });
    }
    await delay(2);
  }
}
