import { errorFields, type Logger } from '../core/index.js';
import type { GarbageReport } from './garbage.js';

/** A collection starts this long after content was freed: what is freed together is collected together. */
const QUIET_MS = 5_000;
/** Collections take at most a twentieth of the time: one reads all manifests, about 3 s per million files. */
const DUTY = 20;
/** With less of the disk free, what was freed is wanted at once. */
const LOW_SPACE_SHARE = 0.1;
const LOW_SPACE_QUIET_MS = 50;

export interface GarbageCollectorOptions {
  readonly logger: Logger;
  /** One collection: deletes what nothing refers to. */
  readonly collect: (signal: AbortSignal) => Promise<GarbageReport>;
  /** Free part of the disk that the store lies on, 0 to 1. */
  readonly freeShare: () => Promise<number>;
}

/** Runs collections by itself after content was freed, sooner where the disk is nearly full. */
export class GarbageCollector {
  readonly #options: GarbageCollectorOptions;
  readonly #stopping = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #freedMeanwhile = false;
  #lastTookMs = 0;

  constructor(options: GarbageCollectorOptions) {
    this.#options = options;
  }

  /** A version or an inode is gone: some blocks may have no reference any more. */
  contentFreed(): void {
    if (this.#stopping.signal.aborted || this.#timer !== undefined) return;
    if (this.#running !== undefined) this.#freedMeanwhile = true;
    else this.#schedule(LOW_SPACE_QUIET_MS);
  }

  /** Ends a collection that runs; no other starts. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    clearTimeout(this.#timer);
    await this.#running;
  }

  #schedule(delayMs: number): void {
    this.#timer = setTimeout(() => {
      this.#running = this.#run(delayMs).finally(() => {
        this.#running = undefined;
        if (this.#freedMeanwhile) this.contentFreed();
        this.#freedMeanwhile = false;
      });
    }, delayMs);
    this.#timer.unref();
  }

  /** Looks at the disk first: with space left, there is time to gather more. */
  async #run(waitedMs: number): Promise<void> {
    this.#timer = undefined;
    try {
      if (waitedMs < QUIET_MS && (await this.#options.freeShare()) >= LOW_SPACE_SHARE) {
        this.#schedule(Math.max(QUIET_MS, this.#lastTookMs * DUTY));
        return;
      }
      const startMs = performance.now();
      const { deletedObjects, deletedBytes } = await this.#options.collect(this.#stopping.signal);
      this.#lastTookMs = performance.now() - startMs;
      if (deletedObjects > 0) {
        const tookMs = Math.round(this.#lastTookMs);
        this.#options.logger.debug('collected unreferenced blocks', { deletedObjects, deletedBytes, tookMs });
      }
    } catch (thrown) {
      if (this.#stopping.signal.aborted) return;
      this.#options.logger.warn('unreferenced blocks could not be collected', errorFields(thrown));
    }
  }
}
