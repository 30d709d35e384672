import { type BlockHash, GfsError } from '../core/index.js';
import type { ManifestBlock } from '../namespace/index.js';

/** Longer manifests become objects of their own: 8 blocks are 32 MiB of content, and 600 bytes of record. */
export const INLINE_BLOCKS_MAX = 8;

const MAGIC = 'GFSM0001';
const HEAD_BYTES = 16;
const ENTRY_BYTES = 36;

/**
 * The blocks of one version, by ascending index. 36 bytes per block in memory and when serialised:
 * `GFSM0001`, count (u32 LE), 4 zero bytes, then per block its index (u32 LE) and its hash (32 bytes).
 */
export class Manifest {
  static readonly empty = Manifest.of([]);
  readonly #bytes: Buffer;
  readonly count: number;

  private constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.count = bytes.readUInt32LE(8);
  }

  /** @param blocks by ascending index */
  static of(blocks: readonly ManifestBlock[]): Manifest {
    const bytes = Buffer.alloc(HEAD_BYTES + blocks.length * ENTRY_BYTES);
    bytes.write(MAGIC, 0, 'latin1');
    bytes.writeUInt32LE(blocks.length, 8);
    let at = HEAD_BYTES;
    for (const { index, hash } of blocks) {
      bytes.writeUInt32LE(index, at);
      bytes.write(hash, at + 4, 'hex');
      at += ENTRY_BYTES;
    }
    return new Manifest(bytes);
  }

  /** @throws GfsError CORRUPT */
  static decode(bytes: Uint8Array): Manifest {
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const whole = buffer.length >= HEAD_BYTES && buffer.toString('latin1', 0, 8) === MAGIC;
    if (!whole || buffer.length !== HEAD_BYTES + buffer.readUInt32LE(8) * ENTRY_BYTES) {
      throw new GfsError('CORRUPT', 'not a manifest');
    }
    return new Manifest(buffer);
  }

  encode(): Uint8Array {
    return this.#bytes;
  }

  /** Index of the n-th listed block. */
  indexAt(position: number): number {
    return this.#bytes.readUInt32LE(HEAD_BYTES + position * ENTRY_BYTES);
  }

  hashAt(position: number): BlockHash {
    const at = HEAD_BYTES + position * ENTRY_BYTES + 4;
    return this.#bytes.toString('hex', at, at + 32) as BlockHash;
  }

  /** Undefined for a hole. */
  hashOf(index: number): BlockHash | undefined {
    const position = this.positionFrom(index);
    return position < this.count && this.indexAt(position) === index ? this.hashAt(position) : undefined;
  }

  /** Position of the first listed block at or after `index`; `count` when there is none. */
  positionFrom(index: number): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.indexAt(middle) < index) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  *blocks(): Iterable<ManifestBlock> {
    for (let position = 0; position < this.count; position++) {
      yield { index: this.indexAt(position), hash: this.hashAt(position) };
    }
  }
}
