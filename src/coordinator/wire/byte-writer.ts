import { GfsError } from '../../core/index.js';

const VARINT_BYTES_MAX = 8; // 53 bits, 7 in each
const INITIAL_BYTES = 4 * 1024;
/** A buffer that grew beyond this for one large message is given back afterwards. */
const KEPT_BYTES_MAX = 1024 * 1024;

/**
 * Protobuf's encoding into one buffer, which grows and is used again. Integers are JavaScript numbers of at
 * most 53 bits, byte strings are strings with one byte per character.
 */
export class ByteWriter {
  readonly #bytesMax: number;
  #bytes = Buffer.allocUnsafeSlow(INITIAL_BYTES);
  #view = viewOf(this.#bytes);
  #at = 0;

  /** @param bytesMax what `begin` to `take` may amount to; beyond is EINVAL */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get length(): number {
    return this.#at;
  }

  /** Takes back everything that was written after this length. */
  truncate(length: number): void {
    this.#at = length;
  }

  /** A copy of what was written; the writer is empty afterwards. */
  take(): Uint8Array {
    const taken = Buffer.from(this.#bytes.subarray(0, this.#at));
    this.#at = 0;
    if (this.#bytes.length > KEPT_BYTES_MAX) this.#use(Buffer.allocUnsafeSlow(INITIAL_BYTES));
    return taken;
  }

  /** @throws GfsError EINVAL for what is no integer from 0 to 2^53 - 1 */
  varint(value: number): void {
    if (this.#at + VARINT_BYTES_MAX > this.#bytes.length) this.#grow(VARINT_BYTES_MAX);
    const bytes = this.#bytes;
    if (value < 0x80 && value >= 0 && value >>> 0 === value) {
      bytes[this.#at++] = value;
      return;
    }
    if (!Number.isSafeInteger(value) || value < 0)
      throw new GfsError('EINVAL', `no unsigned integer: ${value}`);
    let rest = value;
    while (rest >= 0x8000_0000) {
      bytes[this.#at++] = (rest & 0x7f) | 0x80; // ToInt32 keeps the low bits of any safe integer
      rest = Math.floor(rest / 0x80);
    }
    while (rest >= 0x80) {
      bytes[this.#at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    bytes[this.#at++] = rest;
  }

  fixed64(value: bigint): void {
    if (this.#at + 8 > this.#bytes.length) this.#grow(8);
    this.#view.setBigInt64(this.#at, value, true);
    this.#at += 8;
  }

  double(value: number): void {
    if (this.#at + 8 > this.#bytes.length) this.#grow(8);
    this.#view.setFloat64(this.#at, value, true);
    this.#at += 8;
  }

  /** Length and bytes. */
  bytes(value: Uint8Array): void {
    this.varint(value.length);
    if (this.#at + value.length > this.#bytes.length) this.#grow(value.length);
    this.#bytes.set(value, this.#at);
    this.#at += value.length;
  }

  /** Length and bytes of a string that holds one byte per character. @throws GfsError EINVAL */
  latin1(value: string): void {
    const { length } = value;
    this.varint(length);
    if (this.#at + length > this.#bytes.length) this.#grow(length);
    const bytes = this.#bytes;
    let at = this.#at;
    for (let i = 0; i < length; i++) {
      const code = value.charCodeAt(i);
      if (code > 0xff) throw new GfsError('EINVAL', `no byte string: ${JSON.stringify(value)}`);
      bytes[at++] = code;
    }
    this.#at = at;
  }

  /** Length and UTF-8. */
  utf8(value: string): void {
    const length = Buffer.byteLength(value);
    this.varint(length);
    if (this.#at + length > this.#bytes.length) this.#grow(length);
    this.#at += this.#bytes.write(value, this.#at, 'utf8');
  }

  /** Length and the bytes of lower-case hex digits. */
  hex(value: string): void {
    const length = value.length >> 1;
    this.varint(length);
    if (this.#at + length > this.#bytes.length) this.#grow(length);
    this.#at += this.#bytes.write(value, this.#at, 'hex');
  }

  /**
   * Begins something whose length comes before it and is not known yet.
   * @param lengthBytes a guess of how many bytes the length takes
   * @returns for `close`
   */
  open(lengthBytes: number): number {
    if (this.#at + lengthBytes > this.#bytes.length) this.#grow(lengthBytes);
    this.#at += lengthBytes;
    return this.#at;
  }

  /** Ends what began at `start`. @returns how many bytes its length took: the next guess */
  close(start: number, lengthBytes: number): number {
    const length = this.#at - start;
    const needed =
      length < 0x80 ? 1 : length < 0x4000 ? 2 : length < 0x20_0000 ? 3 : length < 0x1000_0000 ? 4 : 5;
    const end = this.#at + needed - lengthBytes;
    if (needed !== lengthBytes) {
      if (end > this.#bytes.length) this.#grow(needed);
      this.#bytes.copyWithin(start + needed - lengthBytes, start, this.#at);
    }
    this.#at = start - lengthBytes;
    this.varint(length);
    this.#at = end;
    return needed;
  }

  #grow(more: number): void {
    const needed = this.#at + more;
    if (needed > this.#bytesMax) {
      throw new GfsError('EINVAL', `a message has more than ${this.#bytesMax} bytes`);
    }
    const larger = Buffer.allocUnsafeSlow(Math.min(Math.max(needed, this.#bytes.length * 2), this.#bytesMax));
    this.#bytes.copy(larger, 0, 0, this.#at);
    this.#use(larger);
  }

  #use(bytes: Buffer): void {
    this.#bytes = bytes as Buffer<ArrayBuffer>;
    this.#view = viewOf(bytes);
  }
}

const viewOf = (bytes: Buffer): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
