import { type Clock, GfsError } from '../core/index.js';
import type { NodeContent } from './node-content.js';

/** While seals fail and writers wait for room: how often they look again. */
const STORE_RETRY_MS = 100;

interface StagingSealer {
  /** Something is being sealed or will be shortly: waiting for it makes sense. */
  readonly hasWork: boolean;
  nextProgress(): Promise<void>;
}

export interface StagingRoomOptions {
  readonly bytesMax: number;
  readonly sealer: () => StagingSealer;
  readonly clock: Clock;
  /** As NodeContentCacheOptions.shared. */
  readonly shared: { readonly fullAfterMs: number | undefined } | undefined;
}

/** How much closed content is staged, and who waits because it is too much. */
export class StagingRoom {
  readonly #options: StagingRoomOptions;
  bytes = 0;

  constructor(options: StagingRoomOptions) {
    this.#options = options;
  }

  account(content: NodeContent): void {
    const { allocatedBytes } = content.stat();
    this.bytes += allocatedBytes - content.stagedBytes;
    content.stagedBytes = allocatedBytes;
  }

  unaccount(content: NodeContent): void {
    this.bytes -= content.stagedBytes;
    content.stagedBytes = 0;
  }

  /** When nothing can be sealed (all is open, or the store fails) waiting would be for ever on one node. */
  wait(): Promise<void> | undefined {
    if (!this.#full) return undefined;
    const { shared, sealer } = this.#options;
    if (shared !== undefined) return this.#waitForStore(shared.fullAfterMs ?? Infinity);
    return sealer().hasWork ? this.#waitForSeals() : undefined;
  }

  get #full(): boolean {
    return this.bytes > this.#options.bytesMax;
  }

  async #waitForSeals(): Promise<void> {
    const sealer = this.#options.sealer();
    while (this.#full && sealer.hasWork) await sealer.nextProgress();
  }

  /** The store is on another machine, and may come back. @throws GfsError ENOSPC when it did not in time */
  async #waitForStore(patienceMs: number): Promise<void> {
    const { clock } = this.#options;
    const sealer = this.#options.sealer();
    const untilMs = clock.monotonicMs() + patienceMs;
    while (this.#full) {
      if (clock.monotonicMs() >= untilMs) {
        throw new GfsError('ENOSPC', 'as much is staged as may be, and the store takes no more');
      }
      if (sealer.hasWork) await sealer.nextProgress();
      else await clock.sleep(STORE_RETRY_MS);
    }
  }
}
