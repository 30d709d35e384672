import type { KvEntry, KvKey, KvRange, KvStore, KvWrite } from './kv-store.js';
import { SortedKeys } from './sorted-keys.js';

const DONE = Promise.resolve();

/** A KvStore that lasts as long as the process: for tests, simulations and a mount's own cache. */
export class MemoryStore implements KvStore {
  readonly #values = new Map<KvKey, Uint8Array>();
  readonly #keys = new SortedKeys();

  get(key: KvKey): Uint8Array | undefined {
    return this.#values.get(key);
  }

  range(range: KvRange): KvEntry[] {
    const limit = range.limit ?? Infinity;
    const entries: KvEntry[] = [];
    if (limit <= 0) return entries;
    for (const key of this.#keys.range(range)) {
      const value = this.#values.get(key);
      if (value !== undefined) entries.push({ key, value });
      if (entries.length >= limit) break;
    }
    return entries;
  }

  commit(writes: readonly KvWrite[]): Promise<void> {
    for (const { key, value } of writes) {
      if (value === undefined) {
        if (this.#values.delete(key)) this.#keys.delete(key);
      } else {
        if (!this.#values.has(key)) this.#keys.add(key);
        this.#values.set(key, typeof value === 'function' ? value() : value);
      }
    }
    return DONE;
  }

  sync(): Promise<void> {
    return DONE;
  }

  close(): Promise<void> {
    return DONE;
  }
}
