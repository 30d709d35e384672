import type { Ino } from '../core/index.js';
import type { CacheIndex } from './cache-index.js';

/** Eviction goes down to this part of the bound, so that it does not run for each file. */
const EVICT_TO = 0.9;
/** Distinct last uses that are told apart; older ones count as one. 4,096 minutes are three days. */
const AGES_MAX = 4_096;

/**
 * Keeps the clean files within a bound, the least recently used go first. The index is read twice (once
 * for how many bytes were last used in which minute, once to delete): no memory per file.
 */
export class Evictor {
  readonly #index: CacheIndex;
  readonly #cacheBytes: number;
  readonly #evict: (ino: Ino) => boolean;
  #running: Promise<void> | undefined;
  #stopped = false;
  /** After a run that freed nothing (everything is open) the next waits until more came in. */
  #retryAboveBytes = 0;

  /** @param evict deletes a clean file; false when it is open */
  constructor(index: CacheIndex, cacheBytes: number, evict: (ino: Ino) => boolean) {
    this.#index = index;
    this.#cacheBytes = cacheBytes;
    this.#evict = evict;
  }

  get due(): boolean {
    return this.#index.totalBytes > Math.max(this.#cacheBytes, this.#retryAboveBytes);
  }

  /** Ends a run that is under way, and refuses others. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running?.catch(() => undefined); // whoever began it is told
  }

  /** @param bytes to free at least, also when the bound is not reached */
  run(bytes = 0): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    this.#running ??= this.#run(bytes).finally(() => (this.#running = undefined));
    return this.#running;
  }

  async #run(bytes: number): Promise<void> {
    const boundBytes = this.#index.totalBytes > this.#cacheBytes ? this.#cacheBytes * EVICT_TO : Infinity;
    const targetBytes = Math.max(0, Math.min(boundBytes, this.#index.totalBytes - bytes));
    const cutoffMin = await this.#cutoff(this.#index.totalBytes - targetBytes);
    for await (const { ino, file } of this.#index.entries()) {
      if (this.#stopped || this.#index.totalBytes <= targetBytes) break;
      const current = this.#index.get(ino);
      if (current !== undefined && file.bytes > 0 && current.usedMin <= cutoffMin) this.#evict(ino);
    }
    const { totalBytes } = this.#index;
    this.#retryAboveBytes = totalBytes > this.#cacheBytes ? totalBytes + this.#cacheBytes / 10 : 0;
  }

  /** The minute up to which files must go for `bytes` to be freed. */
  async #cutoff(bytes: number): Promise<number> {
    const byMinute = new Map<number, number>();
    let newestMin = 0;
    for await (const { file } of this.#index.entries()) {
      if (this.#stopped) break;
      newestMin = Math.max(newestMin, file.usedMin);
      const minute = Math.max(file.usedMin, newestMin - AGES_MAX);
      byMinute.set(minute, (byMinute.get(minute) ?? 0) + file.bytes);
    }
    let found = 0;
    for (const minute of [...byMinute.keys()].sort((a, b) => a - b)) {
      found += byMinute.get(minute) ?? 0;
      if (found >= bytes) return minute;
    }
    return newestMin;
  }
}
