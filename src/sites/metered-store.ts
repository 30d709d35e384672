import { type Clock, type GfsErrorCode, toGfsError } from '../core/index.js';
import type { ObjectInfo, ObjectRead, ObjectStore } from './object-store.js';

export const METERED_OPERATIONS = ['put', 'get', 'head', 'delete', 'list'] as const;
export type MeteredOperation = (typeof METERED_OPERATIONS)[number];

export interface OperationStats {
  readonly calls: number;
  /** Of these, those that threw. A missing object is no failure of the store. */
  readonly failures: number;
  /** Of the bodies, in the direction of the operation. */
  readonly bytes: number;
  readonly totalMs: number;
  readonly longestMs: number;
}

export interface StoreStats {
  readonly operations: Readonly<Record<MeteredOperation, OperationStats>>;
  readonly inFlight: number;
  readonly lastError?: { readonly code: GfsErrorCode; readonly message: string; readonly wallMs: number };
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Counts what passes, as the callers see it: retries and waits are part of a call's time. */
export class MeteredStore implements ObjectStore {
  readonly #store: ObjectStore;
  readonly #clock: Clock;
  readonly #operations: Record<MeteredOperation, Mutable<OperationStats>>;
  #inFlight = 0;
  #lastError: StoreStats['lastError'];

  constructor(store: ObjectStore, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
    const none = (): OperationStats => ({ calls: 0, failures: 0, bytes: 0, totalMs: 0, longestMs: 0 });
    this.#operations = { put: none(), get: none(), head: none(), delete: none(), list: none() };
  }

  stats(): StoreStats {
    const { put, get, head, delete: deleted, list } = this.#operations;
    return {
      operations: {
        put: { ...put },
        get: { ...get },
        head: { ...head },
        delete: { ...deleted },
        list: { ...list },
      },
      inFlight: this.#inFlight,
      ...(this.#lastError && { lastError: this.#lastError }),
    };
  }

  put(key: string, body: Uint8Array, signal?: AbortSignal): Promise<void> {
    return this.#measure('put', async () => {
      await this.#store.put(key, body, signal);
      this.#operations.put.bytes += body.length;
    });
  }

  get(key: string, range?: { offset: number; length: number }, signal?: AbortSignal): Promise<ObjectRead> {
    return this.#measure('get', async () => {
      const read = await this.#store.get(key, range, signal);
      this.#operations.get.bytes += read.bytes.length;
      return read;
    });
  }

  head(key: string, signal?: AbortSignal): Promise<ObjectInfo | undefined> {
    return this.#measure('head', () => this.#store.head(key, signal));
  }

  delete(key: string, signal?: AbortSignal): Promise<void> {
    return this.#measure('delete', () => this.#store.delete(key, signal));
  }

  /** Its time is the listing's whole life, the caller's own work between entries included. */
  async *list(prefix: string, signal?: AbortSignal): AsyncIterable<ObjectInfo> {
    const startedMs = this.#begin();
    try {
      yield* this.#store.list(prefix, signal);
    } catch (thrown) {
      this.#failed('list', thrown);
      throw thrown;
    } finally {
      this.#end('list', startedMs);
    }
  }

  sync(): Promise<void> {
    return this.#store.sync();
  }

  async #measure<T>(operation: MeteredOperation, work: () => Promise<T>): Promise<T> {
    const startedMs = this.#begin();
    try {
      return await work();
    } catch (thrown) {
      this.#failed(operation, thrown);
      throw thrown;
    } finally {
      this.#end(operation, startedMs);
    }
  }

  #begin(): number {
    this.#inFlight++;
    return this.#clock.monotonicMs();
  }

  #end(operation: MeteredOperation, startedMs: number): void {
    const ms = this.#clock.monotonicMs() - startedMs;
    const stats = this.#operations[operation];
    this.#inFlight--;
    stats.calls++;
    stats.totalMs += ms;
    stats.longestMs = Math.max(stats.longestMs, ms);
  }

  #failed(operation: MeteredOperation, thrown: unknown): void {
    const { code, message } = toGfsError(thrown);
    if (code === 'ENOENT' || code === 'CANCELLED') return;
    this.#operations[operation].failures++;
    this.#lastError = { code, message, wallMs: this.#clock.wallMs() };
  }
}
