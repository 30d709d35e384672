import { type Clock, GfsError, type Logger, toGfsError } from '../core/index.js';
import type { ObjectInfo, ObjectRead, ObjectStore } from './object-store.js';

export interface RetryOptions {
  readonly clock: Clock;
  /** In [0, 1): `Math.random`, or a seeded one. */
  readonly random: () => number;
  readonly logger: Logger;
  readonly attemptsMax?: number;
  /** No attempt begins later than this after the first one began. */
  readonly totalMs?: number;
  /** The first wait is up to this; each further one up to twice the one before, as far as `waitMaxMs`. */
  readonly waitMs?: number;
  readonly waitMaxMs?: number;
}

/** Waits of up to 50, 100, 200, 400, ... ms: the tenth attempt is made about 10 s after the first. */
export const RETRY_DEFAULTS = { attemptsMax: 10, totalMs: 30_000, waitMs: 50, waitMaxMs: 5000 } as const;

/**
 * Tries again what may succeed later (`GfsError.retryable`), after an exponential wait with full jitter, so
 * that many nodes do not come back at once
 * (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/). All requests of the port
 * are idempotent. The last error is thrown as it came.
 */
export class RetryingStore implements ObjectStore {
  readonly #store: ObjectStore;
  readonly #options: Required<RetryOptions>;

  constructor(store: ObjectStore, options: RetryOptions) {
    this.#store = store;
    this.#options = { ...RETRY_DEFAULTS, ...options };
  }

  put(key: string, body: Uint8Array, signal?: AbortSignal): Promise<void> {
    return this.#retry('put', signal, () => this.#store.put(key, body, signal));
  }

  get(key: string, range?: { offset: number; length: number }, signal?: AbortSignal): Promise<ObjectRead> {
    return this.#retry('get', signal, () => this.#store.get(key, range, signal));
  }

  head(key: string, signal?: AbortSignal): Promise<ObjectInfo | undefined> {
    return this.#retry('head', signal, () => this.#store.head(key, signal));
  }

  delete(key: string, signal?: AbortSignal): Promise<void> {
    return this.#retry('delete', signal, () => this.#store.delete(key, signal));
  }

  /** A listing that broke off begins anew, and what was given already is left out: keys come in order. */
  async *list(prefix: string, signal?: AbortSignal): AsyncIterable<ObjectInfo> {
    let last = '';
    let attempts = this.#newAttempts();
    for (;;) {
      try {
        for await (const info of this.#store.list(prefix, signal)) {
          if (info.key <= last) continue;
          last = info.key;
          attempts = this.#newAttempts(); // it makes progress: the bounds are for standing still
          yield info;
        }
        return;
      } catch (thrown) {
        await this.#wait(attempts, 'list', toGfsError(thrown), signal);
      }
    }
  }

  sync(): Promise<void> {
    return this.#retry('sync', undefined, () => this.#store.sync());
  }

  async #retry<T>(what: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    const attempts = this.#newAttempts();
    for (;;) {
      try {
        return await work();
      } catch (thrown) {
        await this.#wait(attempts, what, toGfsError(thrown), signal);
      }
    }
  }

  #newAttempts(): Attempts {
    return { made: 0, startedMs: this.#options.clock.monotonicMs() };
  }

  /** Returns when the next attempt may begin. @throws the error, when there is to be none */
  async #wait(attempts: Attempts, what: string, error: GfsError, signal?: AbortSignal): Promise<void> {
    const { clock, random, logger, attemptsMax, totalMs, waitMs, waitMaxMs } = this.#options;
    attempts.made++;
    if (!error.retryable || signal?.aborted === true || attempts.made >= attemptsMax) throw error;
    const waitForMs = random() * Math.min(waitMaxMs, waitMs * 2 ** (attempts.made - 1));
    const spentMs = clock.monotonicMs() - attempts.startedMs;
    if (spentMs + waitForMs > totalMs) throw error;
    logger.debug('a request to the store is tried again', {
      what,
      attempt: attempts.made,
      waitMs: Math.round(waitForMs),
      error: error.message,
    });
    try {
      await clock.sleep(waitForMs, signal);
    } catch (thrown) {
      throw new GfsError('CANCELLED', 'the caller gave up', { cause: thrown });
    }
  }
}

interface Attempts {
  made: number;
  readonly startedMs: number;
}
