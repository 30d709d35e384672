import { type Clock, errorFields, GfsError, type Logger, toGfsError } from '../core/index.js';
import type { ObjectStore } from './object-store.js';

export type Reachability =
  | { readonly state: 'unknown' }
  /** `latencyMs`: of the last small request. */
  | { readonly state: 'reachable'; readonly latencyMs: number }
  | { readonly state: 'unreachable'; readonly error: GfsError };

export interface StoreHealthOptions {
  readonly store: ObjectStore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly intervalMs?: number;
  /** No answer by then is an unreachable store. */
  readonly answerMs?: number;
  readonly onChange?: (now: Reachability) => void;
}

/** 17,000 requests a day, which at AWS cost less than a cent. */
export const HEALTH_INTERVAL_MS = 5000;
const ANSWER_MS = 4000;

/** No object has this key. Asking for it costs a server next to nothing. */
const KEY = 'health/nothing';

/** Asks a store at intervals for an object that is not there: that it says so shows that it is well. */
export class StoreHealth {
  readonly #options: StoreHealthOptions;
  readonly #end = new AbortController();
  #now: Reachability = { state: 'unknown' };
  #running: Promise<void> | undefined;

  constructor(options: StoreHealthOptions) {
    this.#options = options;
  }

  get now(): Reachability {
    return this.#now;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Resolves when nothing of it runs any more. */
  async stop(): Promise<void> {
    this.#end.abort();
    await this.#running;
  }

  /** Asks once, now. */
  async check(): Promise<Reachability> {
    const { clock, store, answerMs = ANSWER_MS } = this.#options;
    const startedMs = clock.monotonicMs();
    const giveUp = new AbortController();
    const answered = new AbortController();
    const noAnswer = clock.sleep(answerMs, AbortSignal.any([answered.signal, this.#end.signal])).then(
      () => giveUp.abort(),
      () => giveUp.abort(), // answered, or stopped: either way nothing is waited for
    );
    let found: Reachability;
    try {
      await store.head(KEY, giveUp.signal);
      found = { state: 'reachable', latencyMs: clock.monotonicMs() - startedMs };
    } catch (thrown) {
      const error = toGfsError(thrown);
      const late = error.code === 'CANCELLED';
      const told = late ? new GfsError('UNAVAILABLE', `the store did not answer in ${answerMs} ms`) : error;
      found = { state: 'unreachable', error: told };
    }
    answered.abort();
    await noAnswer;
    if (!this.#end.signal.aborted) this.#note(found);
    return found;
  }

  async #run(): Promise<void> {
    const { clock, intervalMs = HEALTH_INTERVAL_MS } = this.#options;
    while (!this.#end.signal.aborted) {
      await this.check();
      await clock.sleep(intervalMs, this.#end.signal).catch(() => undefined); // stopped: the loop ends
    }
  }

  #note(found: Reachability): void {
    const changed = found.state !== this.#now.state;
    this.#now = found;
    if (!changed) return;
    const { logger, onChange } = this.#options;
    if (found.state === 'reachable') logger.info('the store is reachable', { latencyMs: found.latencyMs });
    if (found.state === 'unreachable') logger.warn('the store is not reachable', errorFields(found.error));
    onChange?.(found);
  }
}
