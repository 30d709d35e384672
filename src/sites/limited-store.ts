import { cancelled, whenAborted } from './abort.js';
import type { ObjectInfo, ObjectRead, ObjectStore } from './object-store.js';

interface Waiter {
  readonly go: () => void;
}

/**
 * At most `inFlightMax` requests at once; the others wait in the order they came, and leave the line when
 * their signal aborts. The line is as long as the callers make it: each bounds what it starts. A listing
 * counts as nothing: it is one request at a time.
 */
export class LimitedStore implements ObjectStore {
  readonly #store: ObjectStore;
  readonly #waiting = new Set<Waiter>();
  #free: number;

  constructor(store: ObjectStore, inFlightMax: number) {
    this.#store = store;
    this.#free = inFlightMax;
  }

  put(key: string, body: Uint8Array, signal?: AbortSignal): Promise<void> {
    return this.#run(signal, () => this.#store.put(key, body, signal));
  }

  get(key: string, range?: { offset: number; length: number }, signal?: AbortSignal): Promise<ObjectRead> {
    return this.#run(signal, () => this.#store.get(key, range, signal));
  }

  head(key: string, signal?: AbortSignal): Promise<ObjectInfo | undefined> {
    return this.#run(signal, () => this.#store.head(key, signal));
  }

  delete(key: string, signal?: AbortSignal): Promise<void> {
    return this.#run(signal, () => this.#store.delete(key, signal));
  }

  list(prefix: string, signal?: AbortSignal): AsyncIterable<ObjectInfo> {
    return this.#store.list(prefix, signal);
  }

  sync(): Promise<void> {
    return this.#store.sync();
  }

  async #run<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await this.#turn(signal);
    try {
      return await work();
    } finally {
      this.#next();
    }
  }

  #next(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#free++;
      return;
    }
    this.#waiting.delete(next);
    next.go();
  }

  #turn(signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted === true) return Promise.reject(cancelled(signal));
    return new Promise((resolve, reject) => {
      const forget = whenAborted(signal, () => {
        this.#waiting.delete(waiter);
        reject(cancelled(signal));
      });
      const waiter = {
        go: () => {
          forget();
          resolve();
        },
      };
      this.#waiting.add(waiter);
    });
  }
}
