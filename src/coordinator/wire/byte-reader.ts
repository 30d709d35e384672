import { GfsError } from '../../core/index.js';

/** The low three bits of a protobuf tag. 3 and 4 (groups) are not in proto3. */
export const WireType = { varint: 0, fixed64: 1, delimited: 2, fixed32: 5 } as const;

/** Of a varint of 64 bits. */
const VARINT_BYTES_MAX = 10;

/**
 * Reads protobuf's encoding out of one buffer without copying it. Nothing is allocated by what a length says
 * before the bytes are seen to be there. Everything throws GfsError CORRUPT at what is not well-formed.
 */
export class ByteReader {
  #bytes: Buffer;
  #view: DataView;
  at = 0;
  /** Of the message being read: `at` never goes beyond. */
  end: number;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.end = bytes.length;
  }

  /** Unsigned, at most 53 bits. */
  varint(): number {
    const bytes = this.#bytes;
    const { end } = this;
    let at = this.at;
    let value = 0;
    let factor = 1;
    for (;;) {
      if (at >= end) throw truncated();
      const byte = bytes[at++] as number;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) break;
      factor *= 0x80;
      if (at - this.at >= VARINT_BYTES_MAX) throw malformed('an integer has more than 64 bits');
    }
    if (value > Number.MAX_SAFE_INTEGER) throw malformed('an integer has more than 53 bits');
    this.at = at;
    return value;
  }

  uint32(): number {
    const value = this.varint();
    if (value > 0xffff_ffff) throw malformed('an integer has more than 32 bits');
    return value;
  }

  fixed64(): bigint {
    const at = this.#advance(8);
    return this.#view.getBigInt64(at, true);
  }

  double(): number {
    const at = this.#advance(8);
    return this.#view.getFloat64(at, true);
  }

  /** A view: the caller copies what it keeps, else it keeps the whole frame. */
  bytes(): Uint8Array {
    const length = this.varint();
    const at = this.#advance(length);
    return this.#bytes.subarray(at, at + length);
  }

  latin1(): string {
    const length = this.varint();
    const at = this.#advance(length);
    return this.#bytes.toString('latin1', at, at + length);
  }

  utf8(): string {
    const length = this.varint();
    const at = this.#advance(length);
    return this.#bytes.toString('utf8', at, at + length);
  }

  hex(): string {
    const length = this.varint();
    const at = this.#advance(length);
    return this.#bytes.toString('hex', at, at + length);
  }

  /** Enters what is as long as the number that comes now. @returns the end of what is around it, for `leave` */
  enter(): number {
    const length = this.varint();
    const outer = this.end;
    if (length > outer - this.at) throw truncated();
    this.end = this.at + length;
    return outer;
  }

  leave(outer: number): void {
    this.end = outer;
  }

  /** Passes over the value of a field that is not known. */
  skip(tag: number): void {
    switch (tag & 7) {
      case WireType.varint:
        this.#skipVarint();
        break;
      case WireType.fixed64:
        this.#advance(8);
        break;
      case WireType.delimited:
        this.#advance(this.varint());
        break;
      case WireType.fixed32:
        this.#advance(4);
        break;
      default:
        throw malformed(`a field of wire type ${tag & 7}`);
    }
  }

  #skipVarint(): void {
    for (let count = 1; count <= VARINT_BYTES_MAX; count++) {
      const at = this.#advance(1);
      if ((this.#bytes[at] as number) < 0x80) return;
    }
    throw malformed('an integer has more than 64 bits');
  }

  #advance(length: number): number {
    const at = this.at;
    if (length > this.end - at) throw truncated();
    this.at = at + length;
    return at;
  }
}

export const malformed = (what: string): GfsError => new GfsError('CORRUPT', `malformed message: ${what}`);
const truncated = (): GfsError => malformed('it ends too early');
