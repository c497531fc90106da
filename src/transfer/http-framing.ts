import type { IncomingHttpHeaders } from 'node:http';
import { IngotError } from '../kernel/errors.ts';

/** How a body's bytes lie between those of the connection (RFC 9112, 6 and 7). */
export interface Framing {
  /** Takes bytes of the connection; says how many it has used up and which of them are the body's. */
  next(bytes: Uint8Array, room: number): { used: number; payload: Uint8Array };
  /** How many bytes may be read to where they belong, without a look at them; 0 where frames lie between them. */
  readonly plain: number;
  /** Whether the body is whole. */
  readonly ended: boolean;
  /** Whether it is whole when the other side now ends the connection in order. */
  readonly endsWithConnection: boolean;
  /** Where it ended too early, in words. */
  describe(taken: number): string;
}

export function framingOf(headers: IncomingHttpHeaders): Framing {
  const coding = headers['transfer-encoding'];
  if (coding !== undefined) {
    if (coding.toLowerCase() === 'chunked') return new Chunked();
    throw new IngotError(
      'SYS.1015',
      `The server uses Transfer-Encoding "${coding}", which is not supported.`,
    );
  }
  const length = headers['content-length'];
  return length === undefined ? new UntilClose() : new OfLength(Number(length));
}

const NOTHING = new Uint8Array(0);

class OfLength implements Framing {
  readonly endsWithConnection = false;
  readonly #length: number;
  plain: number;

  constructor(length: number) {
    this.#length = length;
    this.plain = length;
  }

  get ended(): boolean {
    return this.plain === 0;
  }

  next(bytes: Uint8Array, room: number) {
    const payload = bytes.subarray(0, Math.min(room, this.plain));
    this.plain -= payload.length;
    return { used: payload.length, payload };
  }

  describe(taken: number): string {
    return `after ${taken} of the ${this.#length} bytes it announced`;
  }
}

/** The way of HTTP/1.0: nothing tells a whole body from one that was cut short in good order. */
class UntilClose implements Framing {
  readonly endsWithConnection = true;
  readonly ended = false;
  readonly plain = Number.POSITIVE_INFINITY;

  next(bytes: Uint8Array, room: number) {
    const payload = bytes.subarray(0, room);
    return { used: payload.length, payload };
  }

  describe(taken: number): string {
    return `after ${taken} bytes`;
  }
}

const CR = 13;
const LF = 10;
const SEMICOLON = 59;
/** Most bytes of a chunk's size line, and of all of a trailer's lines together. */
const MAX_LINE_BYTES = 16 * 1024;

class Chunked implements Framing {
  readonly endsWithConnection = false;
  readonly plain = 0;
  ended = false;
  /** What comes next: a line with a chunk's size, its data, the line's end behind it, or the trailer's lines. */
  #expected: 'size' | 'data' | 'data-end' | 'trailer' = 'size';
  #line = '';
  #left = 0;
  /** Bytes of the trailer's lines so far. */
  #trailer = 0;

  next(bytes: Uint8Array, room: number) {
    let used = 0;
    while (used < bytes.length && !this.ended) {
      if (this.#expected !== 'data') {
        used = this.#readLine(bytes, used);
        continue;
      }
      const payload = bytes.subarray(used, used + Math.min(room, this.#left));
      this.#left -= payload.length;
      if (this.#left === 0) this.#expected = 'data-end';
      return { used: used + payload.length, payload };
    }
    return { used, payload: NOTHING };
  }

  describe(taken: number): string {
    return `after ${taken} bytes, before its last chunk`;
  }

  /** Reads up to the end of the line; fulfilled with the index behind what it has read. */
  #readLine(bytes: Uint8Array, from: number): number {
    for (let i = from; i < bytes.length; i++) {
      const byte = bytes[i] as number;
      if (byte === LF) {
        this.#endLine(this.#line);
        this.#line = '';
        return i + 1;
      }
      if (byte !== CR) this.#line += String.fromCharCode(byte);
      if (this.#line.length > MAX_LINE_BYTES) throw malformed(this.#line);
    }
    return bytes.length;
  }

  #endLine(line: string): void {
    if (this.#expected === 'trailer') {
      this.#trailer += line.length;
      if (this.#trailer > MAX_LINE_BYTES) throw malformed(line);
      this.ended = line === '';
    } else if (this.#expected === 'data-end') {
      if (line !== '') throw malformed(line);
      this.#expected = 'size';
    } else {
      const digits = line.split(String.fromCharCode(SEMICOLON), 1)[0]?.trim() ?? '';
      if (!/^[0-9a-f]{1,12}$/i.test(digits)) throw malformed(line);
      this.#left = Number.parseInt(digits, 16);
      this.#expected = this.#left === 0 ? 'trailer' : 'data';
    }
  }
}

function malformed(line: string): IngotError {
  const shown = JSON.stringify(line.slice(0, 40));
  return new IngotError('SYS.1015', `The server's chunked answer is malformed at ${shown}.`);
}
