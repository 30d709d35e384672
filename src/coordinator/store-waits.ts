import { type GfsError, toGfsError } from '../core/index.js';
import type { KvStore } from '../namespace/index.js';

/** Goes on when what it waits for is stored, or (with an error) was undone because it could not be. */
export type StoreContinuation = (undone: GfsError | undefined) => void;

/**
 * Who waits for the store. Commands of one group share its promise, and one handler here. Whoever waits makes
 * the store hurry, once per turn of the event loop: a store that groups writes (LMDB) then writes what all
 * mounts sent in that turn as one group, without sitting out its interval.
 */
export class StoreWaits {
  readonly #kv: KvStore;
  readonly #waiting = new Map<Promise<void>, StoreContinuation[]>();
  #hurried = false;

  constructor(kv: KvStore) {
    this.#kv = kv;
  }

  /** @param committed of `KvStore.commit`, or of `pendingCommit` */
  add(committed: Promise<void>, goOn: StoreContinuation): void {
    const others = this.#waiting.get(committed);
    if (others !== undefined) {
      others.push(goOn);
      return;
    }
    this.#waiting.set(committed, [goOn]);
    committed.then(
      () => this.#settle(committed, undefined),
      (thrown: unknown) => this.#settle(committed, toGfsError(thrown)),
    );
    this.#hurry();
  }

  #settle(committed: Promise<void>, undone: GfsError | undefined): void {
    const waiting = this.#waiting.get(committed) ?? [];
    this.#waiting.delete(committed);
    for (const goOn of waiting) goOn(undone);
  }

  #hurry(): void {
    if (this.#hurried) return;
    this.#hurried = true;
    setImmediate(() => {
      this.#hurried = false;
      if (this.#waiting.size === 0) return;
      // What cannot be stored is told by the promises of the commits themselves.
      this.#kv.sync().catch(() => undefined);
    });
  }
}
