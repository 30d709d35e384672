import { IN_HEADER_BYTES } from './constants.js';

/** 2^32, to put two 32-bit halves together; inode numbers, handles and offsets fit 53 bits. */
const HIGH = 0x1_0000_0000;

/**
 * A window on one request in the device's buffer. One reader is reused for all requests: what outlives
 * the current turn must be copied out first. Offsets of fields count from the end of the header.
 */
export class RequestReader {
  readonly #bytes: Buffer;
  readonly #view: DataView;
  #start = 0;
  #end = 0;

  constructor(buffer: Buffer) {
    this.#bytes = buffer;
    this.#view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  }

  /** Moves to the request at `start`; its own length field bounds it. */
  moveTo(start: number): void {
    this.#start = start;
    this.#end = start + this.#view.getUint32(start, true);
  }

  get opcode(): number {
    return this.#view.getUint32(this.#start + 4, true);
  }
  /** The 8 bytes of `unique`, as they are: for replies that are written natively. */
  get uniqueBytes(): Buffer {
    return this.#bytes.subarray(this.#start + 8, this.#start + 16);
  }
  get unique(): number {
    return this.#u64(this.#start + 8);
  }
  get nodeid(): number {
    return this.#u64(this.#start + 16);
  }
  get uid(): number {
    return this.#view.getUint32(this.#start + 24, true);
  }
  get gid(): number {
    return this.#view.getUint32(this.#start + 28, true);
  }
  get pid(): number {
    return this.#view.getUint32(this.#start + 32, true);
  }

  u32(offset: number): number {
    return this.#view.getUint32(this.#start + IN_HEADER_BYTES + offset, true);
  }

  i64(offset: number): bigint {
    return this.#view.getBigInt64(this.#start + IN_HEADER_BYTES + offset, true);
  }

  /** An unsigned 64-bit field as a number: exact up to 2^53, above that the nearest double. */
  u64(offset: number): number {
    return this.#u64(this.#start + IN_HEADER_BYTES + offset);
  }

  /** The NUL-terminated string at `offset`, one character per byte. */
  cString(offset: number): string {
    const start = this.#start + IN_HEADER_BYTES + offset;
    const nul = this.#bytes.indexOf(0, start);
    return this.#bytes.toString('latin1', start, nul === -1 || nul > this.#end ? this.#end : nul);
  }

  /** `length` bytes at `offset`: a window on the buffer, not a copy. */
  bytes(offset: number, length: number): Buffer {
    const start = this.#start + IN_HEADER_BYTES + offset;
    return this.#bytes.subarray(start, Math.min(start + length, this.#end));
  }

  /** Where a field's bytes lie in the device's buffer: for native calls that take an offset. */
  position(offset: number): number {
    return this.#start + IN_HEADER_BYTES + offset;
  }

  #u64(at: number): number {
    return this.#view.getUint32(at, true) + this.#view.getUint32(at + 4, true) * HIGH;
  }
}
