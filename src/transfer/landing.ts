import type { Socket } from 'node:net';

const SCRATCH_BYTES = 64 * 1024;
/** Most bytes of all heads together, the final answer's and those of the informational ones (1xx) before it. */
const MAX_HEADS_BYTES = 32 * 1024;
/** What ends the head of an answer. */
const HEAD_END = Buffer.from('\r\n\r\n');

/** Whoever takes what comes after the head. */
export interface Taker {
  /** Memory that the next bytes may be read into; empty where they must not. */
  room(): Uint8Array;
  /** Takes bytes that are already `inPlace`, or else must be copied before the call ends; false stops the reading. */
  landed(bytes: Uint8Array, inPlace: boolean): boolean;
  /** The connection is over: `clean` when the other side ended it in order. */
  closed(end: ConnectionEnd): void;
}

export interface ConnectionEnd {
  clean: boolean;
  error?: Error;
}

/**
 * Where a socket's bytes land. Node's HTTP client would allocate 64 KiB for each read, which costs a fast
 * download about 100 MiB of memory and a second of CPU a GiB (measured). So its parser gets the head of an
 * answer only; the body is read straight into the memory of whoever takes it.
 */
export class Landing {
  /** To be given to `net.connect` or `tls.connect`. */
  readonly onread = {
    buffer: () => this.#room(),
    callback: (length: number, buffer: Uint8Array) => this.#landed(buffer.subarray(0, length), buffer),
  };
  readonly #tooMuch: () => Error;
  readonly #scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  #socket: Socket | undefined;
  #taker: Taker | undefined;
  #headEnded = false;
  #headBytes = 0;
  /** How many bytes of HEAD_END the bytes so far end with. */
  #matched = 0;
  /** Of the body, what came before there was a taker. */
  #early: Uint8Array = new Uint8Array(0);
  #end: ConnectionEnd | undefined;

  /** `tooMuch` is what the connection ends with where the heads don't come to an end. */
  constructor(tooMuch: () => Error) {
    this.#tooMuch = tooMuch;
  }

  attach(socket: Socket): void {
    let clean = false;
    let error: Error | undefined;
    this.#socket = socket;
    socket.once('end', () => {
      clean = true;
    });
    socket.on('error', (thrown) => {
      error ??= thrown;
    });
    socket.once('close', () => {
      this.#end = { clean: clean && !error, ...(error && { error }) };
      this.#taker?.closed(this.#end);
    });
  }

  /** To be called as soon as the parser has the head of the final answer, within its own call. */
  endHead(): void {
    this.#headEnded = true;
  }

  /** From now on the bytes are the taker's. Reading stops until it is resumed. */
  divert(taker: Taker): void {
    this.#taker = taker;
    this.#socket?.pause();
    if (this.#early.length > 0) taker.landed(this.#early, false);
    if (this.#end) taker.closed(this.#end);
  }

  resume(): void {
    this.#socket?.resume();
  }

  /** Asked before each read. While nobody has room, bytes land in the scratch. */
  #room(): Uint8Array {
    const room = this.#taker?.room();
    return room && room.length > 0 ? room : this.#scratch;
  }

  #landed(bytes: Uint8Array, buffer: Uint8Array): boolean {
    if (this.#taker) return this.#taker.landed(bytes, buffer !== this.#scratch);
    let rest = bytes;
    // Informational answers (1xx) have heads of their own.
    while (rest.length > 0 && !this.#headEnded) {
      // One read can hold thousands of heads, and the first that were parsed may have been too many.
      if (this.#socket?.destroyed) return false;
      const head = rest.subarray(0, this.#headLength(rest));
      rest = rest.subarray(head.length);
      this.#headBytes += head.length;
      if (this.#headBytes > MAX_HEADS_BYTES) {
        this.#socket?.destroy(this.#tooMuch());
        return false;
      }
      // The listener is Node's HTTP parser, which may keep what it is given.
      this.#socket?.emit('data', Buffer.from(head));
    }
    if (rest.length > 0) this.#early = Buffer.concat([this.#early, rest]);
    return true;
  }

  /** How many of the bytes belong to the head that is under way. */
  #headLength(bytes: Uint8Array): number {
    for (let i = 0; i < bytes.length; i++) {
      if (bytes[i] === HEAD_END[this.#matched]) this.#matched++;
      else this.#matched = bytes[i] === HEAD_END[0] ? 1 : 0;
      if (this.#matched < HEAD_END.length) continue;
      this.#matched = 0;
      return i + 1;
    }
    return bytes.length;
  }
}
