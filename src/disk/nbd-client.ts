/** Reads a disk from an NBD server over a unix socket (the NBD protocol's proto.md), straight into the caller's memory. */
import { connect, type Socket } from 'node:net';
import { IngotError } from '../kernel/errors.ts';

const HELLO = 0x4e42444d41474943n; // NBDMAGIC
const OPTION = 0x49484156454f5054n; // IHAVEOPT
const REQUEST = 0x25609513;
const SIMPLE_REPLY = 0x67446698;
const FIXED_NEWSTYLE = 1;
const NO_ZEROES = 2;
const EXPORT_NAME = 1;
const READ = 0;
const DISCONNECT = 2;

/** What one request asks for at most: several are under way at once, so that the server reads while we take. */
const REQUEST_BYTES = 256 * 1024;

interface Wanted {
  target: Uint8Array;
  done: () => void;
  failed: (error: IngotError) => void;
}

export class NbdClient {
  /** Of the disk, in bytes; known once connected. */
  size = 0;
  readonly #socket: Socket;
  readonly #protocol: Generator<Uint8Array, never, void>;
  /** Where the next bytes belong, and how much of it is filled. */
  #target: Uint8Array;
  #filled = 0;
  #ready: (() => void) | undefined;
  readonly #wanted = new Map<bigint, Wanted>();
  #lastHandle = 0n;
  #failure: IngotError | undefined;

  private constructor(path: string) {
    this.#protocol = this.#speak();
    this.#target = this.#protocol.next().value;
    this.#socket = connect({
      path,
      // Asked for the memory of the next read right after each; so what comes next is always known by then.
      onread: {
        buffer: () => this.#target.subarray(this.#filled),
        callback: (length) => this.#landed(length),
      },
    });
  }

  /** Rejects with the system's error while nobody listens there. */
  static async connect(path: string): Promise<NbdClient> {
    const client = new NbdClient(path);
    await new Promise<void>((resolve, reject) => {
      client.#ready = resolve;
      client.#socket.on('error', (error) => {
        reject(error);
        client.#end(error);
      });
      client.#socket.on('close', () => {
        client.#end();
        reject(client.#failure);
      });
    });
    return client;
  }

  /** Fills `target` with the disk's bytes from `offset` on. */
  async read(target: Uint8Array, offset: number): Promise<void> {
    const parts: Promise<void>[] = [];
    for (let at = 0; at < target.length; at += REQUEST_BYTES) {
      parts.push(this.#request(target.subarray(at, at + REQUEST_BYTES), offset + at));
    }
    await Promise.all(parts);
  }

  close(): void {
    if (!this.#socket.destroyed) this.#socket.end(requestFor(DISCONNECT, 0n, 0, 0));
    this.#fail(new IngotError('SYS.1016', 'the connection to the disk server was closed'));
  }

  #request(target: Uint8Array, offset: number): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure);
    const handle = ++this.#lastHandle;
    return new Promise((resolve, reject) => {
      this.#wanted.set(handle, { target, done: resolve, failed: reject });
      this.#socket.write(requestFor(READ, handle, offset, target.length));
    });
  }

  /** The server's side of the talk: gives the memory for what comes next, and goes on when that is full. */
  *#speak(): Generator<Uint8Array, never, void> {
    const hello = Buffer.alloc(18);
    yield hello;
    if (hello.readBigUInt64BE(0) !== HELLO || hello.readBigUInt64BE(8) !== OPTION) throw notNbd();
    const answer = Buffer.alloc(4 + 16);
    answer.writeUInt32BE(FIXED_NEWSTYLE | NO_ZEROES, 0);
    answer.writeBigUInt64BE(OPTION, 4);
    answer.writeUInt32BE(EXPORT_NAME, 12);
    this.#socket.write(answer);
    const disk = Buffer.alloc(10);
    yield disk;
    this.size = Number(disk.readBigUInt64BE(0));
    this.#ready?.();
    const reply = Buffer.alloc(16);
    for (;;) {
      yield reply;
      const handle = reply.readBigUInt64BE(8);
      const wanted = this.#wanted.get(handle);
      if (reply.readUInt32BE(0) !== SIMPLE_REPLY || !wanted) throw notNbd();
      const error = reply.readUInt32BE(4);
      if (error === 0) yield wanted.target;
      this.#wanted.delete(handle);
      if (error === 0) wanted.done();
      else
        wanted.failed(
          new IngotError('SYS.1016', `the disk could not be read (errno ${error})`, { retryable: true }),
        );
    }
  }

  #landed(length: number): boolean {
    this.#filled += length;
    if (this.#filled < this.#target.length) return true;
    try {
      this.#filled = 0;
      this.#target = this.#protocol.next().value;
    } catch (error) {
      this.#fail(error as IngotError);
      return false;
    }
    return true;
  }

  #end(cause?: Error): void {
    this.#fail(
      new IngotError('SYS.1016', 'the disk server ended before all was read', {
        retryable: true,
        ...(cause && { cause }),
      }),
    );
  }

  #fail(error: IngotError): void {
    this.#failure ??= error;
    for (const wanted of this.#wanted.values()) wanted.failed(this.#failure);
    this.#wanted.clear();
    this.#socket.destroySoon();
  }
}

function notNbd(): IngotError {
  return new IngotError('SYS.1016', 'the disk server gave an answer that can not be understood');
}

function requestFor(type: number, handle: bigint, offset: number, length: number): Buffer {
  const request = Buffer.alloc(28);
  request.writeUInt32BE(REQUEST, 0);
  request.writeUInt16BE(type, 6);
  request.writeBigUInt64BE(handle, 8);
  request.writeBigUInt64BE(BigInt(offset), 16);
  request.writeUInt32BE(length, 24);
  return request;
}
