import type { Ino } from '../core/index.js';

const { imul } = Math;
const SLOTS_MIN = 8;
/** Above this the table doubles: between 16 and 32 bytes per inode, and short probes. */
const LOAD_MAX = 0.75;

/** Spreads inode numbers, which come in runs, over 32 bits (Knuth's multiplicative hashing, both halves). */
export function inoHash(ino: Ino): number {
  const low = ino | 0;
  const high = (ino / 2 ** 32) | 0;
  const mixed = imul(low ^ imul(high, 0x85ebca6b), 0x9e3779b1);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}

/**
 * A map from inode numbers to 32-bit integers other than 0, in two flat arrays: open addressing with linear
 * probing, 12 bytes a slot. A `Map` of the same costs two to four times as much, and its inode numbers above
 * 2^31 are objects of the heap besides.
 */
export class InoMap {
  #inos = new Float64Array(SLOTS_MIN);
  #values = new Int32Array(SLOTS_MIN);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Bytes of the two arrays. */
  get bytes(): number {
    return this.#inos.byteLength + this.#values.byteLength;
  }

  /** 0 when there is none. */
  get(ino: Ino): number {
    return this.#values[this.#find(ino)] as number;
  }

  /** @param value not 0 */
  set(ino: Ino, value: number): void {
    const at = this.#find(ino);
    if (this.#values[at] !== 0) {
      this.#values[at] = value;
      return;
    }
    this.#inos[at] = ino;
    this.#values[at] = value;
    this.#size++;
    if (this.#size > this.#values.length * LOAD_MAX) this.#resize(this.#values.length * 2);
  }

  /** Closes the gap by moving back what was pushed past it, so that no slot is ever a tombstone. */
  delete(ino: Ino): void {
    let gap = this.#find(ino);
    if (this.#values[gap] === 0) return;
    const mask = this.#values.length - 1;
    for (let at = (gap + 1) & mask; this.#values[at] !== 0; at = (at + 1) & mask) {
      const home = inoHash(this.#inos[at] as Ino) & mask;
      if (((at - home) & mask) < ((at - gap) & mask)) continue;
      this.#inos[gap] = this.#inos[at] as number;
      this.#values[gap] = this.#values[at] as number;
      gap = at;
    }
    this.#values[gap] = 0;
    this.#size--;
    if (this.#values.length > SLOTS_MIN && this.#size < this.#values.length / 8)
      this.#resize(this.#values.length / 2);
  }

  /** A copy of the inode numbers: the map may change while it is walked. */
  inos(): Ino[] {
    const inos: Ino[] = [];
    for (let at = 0; at < this.#values.length; at++) {
      if (this.#values[at] !== 0) inos.push(this.#inos[at] as Ino);
    }
    return inos;
  }

  /** The slot of an inode, or the empty one where it belongs. */
  #find(ino: Ino): number {
    const mask = this.#values.length - 1;
    let at = inoHash(ino) & mask;
    while (this.#values[at] !== 0 && this.#inos[at] !== ino) at = (at + 1) & mask;
    return at;
  }

  #resize(slots: number): void {
    const inos = this.#inos;
    const values = this.#values;
    this.#inos = new Float64Array(slots);
    this.#values = new Int32Array(slots);
    for (let from = 0; from < values.length; from++) {
      if (values[from] === 0) continue;
      const at = this.#find(inos[from] as Ino);
      this.#inos[at] = inos[from] as number;
      this.#values[at] = values[from] as number;
    }
  }
}
