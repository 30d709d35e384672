import type { KvKey, KvRange } from './kv-store.js';

/**
 * Splitting at 512 keeps an insertion's copying at 4 KiB of pointers, and the list of chunks short
 * (4,000 for a million keys).
 */
const CHUNK_KEYS_MAX = 512;

/** A set of keys in order: a list of sorted chunks. */
export class SortedKeys {
  /** No chunk is empty, except when it is the only one. */
  #chunks: KvKey[][] = [[]];

  add(key: KvKey): void {
    const place = this.#chunkOf(key);
    const chunk = this.#chunks[place] ?? [];
    const at = lowerBound(chunk, key);
    if (chunk[at] === key) return;
    chunk.splice(at, 0, key);
    if (chunk.length > CHUNK_KEYS_MAX) {
      this.#chunks.splice(place + 1, 0, chunk.splice(CHUNK_KEYS_MAX / 2));
    }
  }

  delete(key: KvKey): void {
    const place = this.#chunkOf(key);
    const chunk = this.#chunks[place] ?? [];
    const at = lowerBound(chunk, key);
    if (chunk[at] !== key) return;
    chunk.splice(at, 1);
    if (chunk.length === 0 && this.#chunks.length > 1) this.#chunks.splice(place, 1);
  }

  /** The keys of a range in order, regardless of its limit. Must not be used across a change. */
  *range({ start, afterStart, end }: KvRange): Generator<KvKey> {
    for (let place = this.#chunkOf(start); place < this.#chunks.length; place++) {
      const chunk = this.#chunks[place] ?? [];
      for (let at = lowerBound(chunk, start); at < chunk.length; at++) {
        const key = chunk[at] as KvKey;
        if (key >= end) return;
        if (afterStart !== true || key !== start) yield key;
      }
    }
  }

  /** The chunk that holds the key, or would. */
  #chunkOf(key: KvKey): number {
    let low = 0;
    let high = this.#chunks.length;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if ((this.#chunks[middle]?.[0] ?? '') <= key) low = middle;
      else high = middle;
    }
    return low;
  }
}

/** Index of the first key that is not less. */
function lowerBound(keys: readonly KvKey[], key: KvKey): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((keys[middle] as KvKey) < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
