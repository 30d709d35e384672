import type { Ino } from '../core/index.js';
import { decodeInode, encodeInode } from './codec.js';
import type { InodeRecord } from './records.js';
import { TwoGenerationMap } from './two-generation-map.js';

/**
 * Records that are found without decoding them: some 400 bytes each. When half of them are used up, those of them
 * that were written since are encoded in one go: 8,192 in 6 ms.
 */
const DECODED_MAX = 16_384;

/**
 * The records of inodes that were used lately, bounded. Those that were used last are kept as they are, the others
 * encoded, as strings of a character for each byte: a file with one block then takes 200 bytes instead of 700 (an
 * object with its times, manifest and hash), and 1 µs to decode.
 */
export class InodeCache {
  #young = new Map<Ino, InodeRecord>();
  #old = new Map<Ino, InodeRecord>();
  readonly #youngMax: number;
  readonly #encoded: TwoGenerationMap<Ino, string>;

  /** @param inodesMax what is decoded and what is encoded each have this bound (of the former, no more than DECODED_MAX) */
  constructor(inodesMax: number) {
    this.#youngMax = Math.max(1, Math.floor(Math.min(inodesMax, DECODED_MAX) / 2));
    this.#encoded = new TwoGenerationMap(inodesMax);
  }

  get(ino: Ino): InodeRecord | undefined {
    const young = this.#young.get(ino);
    if (young !== undefined) return young;
    let record = this.#old.get(ino);
    if (record === undefined) {
      const text = this.#encoded.get(ino);
      if (text === undefined) return undefined;
      record = decodeInode(ino, bytesOf(text));
    }
    this.#keep(ino, record);
    return record;
  }

  /** A record that the store has, as it has it. */
  learn(ino: Ino, record: InodeRecord, encoded: Uint8Array): void {
    this.#encoded.set(ino, textOf(encoded));
    this.#keep(ino, record);
  }

  set(ino: Ino, record: InodeRecord): void {
    this.#encoded.delete(ino);
    this.#keep(ino, record);
  }

  delete(ino: Ino): void {
    this.#young.delete(ino);
    this.#old.delete(ino);
    this.#encoded.delete(ino);
  }

  clear(): void {
    this.#young.clear();
    this.#old.clear();
    this.#encoded.clear();
  }

  #keep(ino: Ino, record: InodeRecord): void {
    this.#young.set(ino, record);
    if (this.#young.size < this.#youngMax) return;
    const leaving = this.#old;
    this.#old = this.#young;
    this.#young = new Map();
    for (const [left, last] of leaving) {
      // What was used since is in the other one, maybe as another record.
      if (this.#old.has(left) || this.#encoded.get(left) !== undefined) continue;
      this.#encoded.set(left, textOf(encodeInode(last)));
    }
  }
}

const textOf = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');

/** Decoding keeps nothing of the bytes, so there need be only one buffer. */
let scratch = Buffer.alloc(4096);

function bytesOf(text: string): Uint8Array {
  if (text.length > scratch.length) scratch = Buffer.alloc(text.length);
  scratch.write(text, 'latin1');
  return scratch.subarray(0, text.length);
}
