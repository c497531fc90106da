/**
 * The first bytes of a file, for parsers that must survive any input: a read past the end gives 0 and a
 * magic past the end is not there, so that nothing has to ask for the length before every field.
 */
export class Head {
  readonly bytes: Uint8Array;
  readonly #view: DataView;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get length(): number {
    return this.bytes.length;
  }

  u8(at: number): number {
    return this.bytes[at] ?? 0;
  }

  u16le(at: number): number {
    return this.#has(at, 2) ? this.#view.getUint16(at, true) : 0;
  }

  u16be(at: number): number {
    return this.#has(at, 2) ? this.#view.getUint16(at) : 0;
  }

  u32le(at: number): number {
    return this.#has(at, 4) ? this.#view.getUint32(at, true) : 0;
  }

  u32be(at: number): number {
    return this.#has(at, 4) ? this.#view.getUint32(at) : 0;
  }

  /** Rounded above 2^53, which is far above every limit that such a value is held against. */
  u64le(at: number): number {
    return this.u32le(at + 4) * 2 ** 32 + this.u32le(at);
  }

  /** Rounded above 2^53, as `u64le`. */
  u64be(at: number): number {
    return this.u32be(at) * 2 ** 32 + this.u32be(at + 4);
  }

  /** The bytes as Latin-1, cut at the end of the window. */
  latin1(at: number, length: number): string {
    return Buffer.from(this.slice(at, length)).toString('latin1');
  }

  slice(at: number, length: number): Uint8Array {
    return this.bytes.subarray(at, Math.min(this.length, at + length));
  }

  /** True when the bytes of `magic` (Latin-1) stand at `at`. */
  holds(magic: string, at = 0): boolean {
    if (!this.#has(at, magic.length)) return false;
    for (let index = 0; index < magic.length; index++) {
      if (this.bytes[at + index] !== magic.charCodeAt(index)) return false;
    }
    return true;
  }

  #has(at: number, length: number): boolean {
    return at >= 0 && at + length <= this.bytes.length;
  }
}
