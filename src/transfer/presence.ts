import * as fs from 'node:fs';
import { BLOCK_BYTES } from '../namespace/index.js';
import type { Manifest } from './manifest.js';

const MAGIC = 'GFSP0001';
const HEAD_BYTES = 32;

/**
 * Which blocks of a file are present in it: a bit each, in memory and in a sidecar file (1 bit per 4 MiB:
 * 256 KiB for 8 TiB). A bit is set when its block's bytes are written, and the sidecar has it before the
 * block may be changed. Blocks past the map are present: the version never had them.
 *
 * The sidecar: `GFSP0001`, size of the version in bytes (f64 LE), 16 zero bytes, bits.
 */
export class PresenceMap {
  readonly #path: string;
  readonly #fd: number;
  readonly #bits: Buffer;
  readonly #blocks: number;
  /** Size of the version whose blocks are absent. */
  readonly baseBytes: number;
  #absent: number;

  private constructor(path: string, fd: number, baseBytes: number, bits: Buffer) {
    this.#path = path;
    this.#fd = fd;
    this.#bits = bits;
    this.baseBytes = baseBytes;
    this.#blocks = Math.ceil(baseBytes / BLOCK_BYTES);
    this.#absent = 0;
    for (let index = 0; index < this.#blocks; index++) if (!this.has(index)) this.#absent++;
  }

  /** All of the manifest's blocks absent, holes present. */
  static create(path: string, baseBytes: number, manifest: Manifest): PresenceMap {
    const blocks = Math.ceil(baseBytes / BLOCK_BYTES);
    const bits = Buffer.alloc(Math.ceil(blocks / 8), 0xff);
    for (let position = 0; position < manifest.count; position++) {
      const index = manifest.indexAt(position);
      bits[index >>> 3] = (bits[index >>> 3] ?? 0) & ~(1 << (index & 7));
    }
    const head = Buffer.alloc(HEAD_BYTES);
    head.write(MAGIC, 0, 'latin1');
    head.writeDoubleLE(baseBytes, 8);
    const fd = fs.openSync(path, 'w+', 0o600);
    try {
      fs.writeSync(fd, Buffer.concat([head, bits]), 0, HEAD_BYTES + bits.length, 0);
    } catch (thrown) {
      fs.closeSync(fd);
      fs.unlinkSync(path);
      throw thrown;
    }
    return new PresenceMap(path, fd, baseBytes, bits);
  }

  /** Undefined when there is no sidecar (all is present); 'damaged' when it makes no sense. */
  static load(path: string): PresenceMap | 'damaged' | undefined {
    let fd;
    try {
      fd = fs.openSync(path, 'r+');
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw thrown;
    }
    const bytes = fs.readFileSync(fd);
    if (bytes.length >= HEAD_BYTES && bytes.toString('latin1', 0, 8) === MAGIC) {
      const baseBytes = bytes.readDoubleLE(8);
      const bits = bytes.subarray(HEAD_BYTES);
      if (bits.length === Math.ceil(Math.ceil(baseBytes / BLOCK_BYTES) / 8)) {
        return new PresenceMap(path, fd, baseBytes, bits);
      }
    }
    fs.closeSync(fd);
    return 'damaged';
  }

  get complete(): boolean {
    return this.#absent === 0;
  }

  has(index: number): boolean {
    return index >= this.#blocks || ((this.#bits[index >>> 3] ?? 0) & (1 << (index & 7))) !== 0;
  }

  set(index: number): void {
    if (this.has(index)) return;
    const at = index >>> 3;
    this.#bits[at] = (this.#bits[at] ?? 0) | (1 << (index & 7));
    this.#absent--;
    fs.writeSync(this.#fd, this.#bits, at, 1, HEAD_BYTES + at);
  }

  /** Every block from `index` on: what a truncation has cut off. */
  setFrom(index: number): void {
    for (let each = index; each < this.#blocks && this.#absent > 0; each++) this.set(each);
  }

  /** First absent block at or after `index`, below `end`; `end` when there is none. */
  nextAbsent(index: number, end: number): number {
    const stop = Math.min(end, this.#blocks);
    for (let each = index; each < stop; each++) if (!this.has(each)) return each;
    return end;
  }

  sync(): Promise<void> {
    return new Promise((resolve, reject) =>
      fs.fdatasync(this.#fd, (error) => (error === null ? resolve() : reject(error))),
    );
  }

  close(): void {
    fs.closeSync(this.#fd);
  }

  /** The file is whole, or gone. */
  remove(): void {
    fs.closeSync(this.#fd);
    fs.unlinkSync(this.#path);
  }
}
