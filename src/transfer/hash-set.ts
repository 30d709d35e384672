import type { BlockHash } from '../core/index.js';

/**
 * Many hashes in little memory: the first 8 bytes of each, sorted. Says yes to a hash that was not added
 * with a chance of n / 2^64; whoever asks must be safe with that.
 * Bound: 8 bytes per added hash (16 while growing): a million files of one block take 16 MB.
 */
export class HashSet {
  #prefixes = new BigUint64Array(1024);
  #count = 0;
  #sorted = true;

  add(hash: BlockHash): void {
    if (this.#count === this.#prefixes.length) this.#grow();
    this.#prefixes[this.#count++] = prefixOf(hash);
    this.#sorted = false;
  }

  has(hash: BlockHash): boolean {
    if (!this.#sorted) {
      this.#prefixes.subarray(0, this.#count).sort();
      this.#sorted = true;
    }
    const wanted = prefixOf(hash);
    let low = 0;
    let high = this.#count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const found = this.#prefixes[middle] ?? 0n;
      if (found === wanted) return true;
      if (found < wanted) low = middle + 1;
      else high = middle;
    }
    return false;
  }

  #grow(): void {
    const larger = new BigUint64Array(this.#prefixes.length * 2);
    larger.set(this.#prefixes);
    this.#prefixes = larger;
  }
}

const prefixOf = (hash: BlockHash): bigint => BigInt(`0x${hash.slice(0, 16)}`);
