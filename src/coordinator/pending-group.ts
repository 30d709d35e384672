import { type KvKey, type KvRange, type KvWrite, type LazyValue, SortedKeys } from '../namespace/index.js';

/** What a group says of a key: its value, or that it is deleted. */
export type Pending = Uint8Array | typeof DELETED;
export const DELETED = Symbol('deleted');

/** Writes that become one transaction: later ones to the same key take the place of earlier ones. */
export class PendingGroup {
  readonly done: Promise<void>;
  /** Somebody waits for it: it is written as soon as the one before it is. */
  urgent = false;
  readonly #writes = new Map<KvKey, Uint8Array | LazyValue | typeof DELETED>();
  /** Built when a range is first asked for: most groups never are. */
  #sorted: SortedKeys | undefined;
  #settle: { resolve: () => void; reject: (error: Error) => void } | undefined;

  constructor() {
    this.done = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
  }

  get size(): number {
    return this.#writes.size;
  }

  add(writes: readonly KvWrite[]): void {
    for (const { key, value } of writes) {
      this.#writes.set(key, value ?? DELETED);
      this.#sorted?.add(key);
    }
  }

  has(key: KvKey): boolean {
    return this.#writes.has(key);
  }

  get(key: KvKey): Pending | undefined {
    const value = this.#writes.get(key);
    if (typeof value !== 'function') return value;
    const encoded = value();
    this.#writes.set(key, encoded);
    return encoded;
  }

  /** All writes, values encoded. */
  *entries(): Generator<[KvKey, Pending]> {
    for (const [key, value] of this.#writes) yield [key, typeof value === 'function' ? value() : value];
  }

  /** The keys of a range, in order. */
  keys(range: KvRange): Iterable<KvKey> {
    if (this.#sorted === undefined) {
      this.#sorted = new SortedKeys();
      for (const key of this.#writes.keys()) this.#sorted.add(key);
    }
    return this.#sorted.range(range);
  }

  resolve(): void {
    this.#settle?.resolve();
  }

  reject(error: Error): void {
    this.#settle?.reject(error);
  }
}
