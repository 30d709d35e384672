import type { Ino } from '../core/index.js';
import type { LeaseLevel } from './client-cache.js';

/** When this many inodes are noted, those whose requests are all answered are swept out: about 60 B each. */
const SWEEP_MIN = 1024;

interface Cap {
  /** Requests with a lower id were sent before the lease was let go of. */
  readonly before: number;
  readonly level: LeaseLevel;
}

/**
 * Leases that were let go of while requests were under way. What the coordinator granted in an answer that it
 * sent before it learned of that is void, though the answer comes later: it grants no more than what was kept.
 */
export class LeaseCaps {
  readonly #caps = new Map<Ino, Cap>();
  #sweepAt = SWEEP_MIN;

  get size(): number {
    return this.#caps.size;
  }

  /** @param before id of the next request; Infinity: also for what is asked from now on */
  lower(ino: Ino, level: LeaseLevel, before: number): void {
    const earlier = this.#caps.get(ino);
    // Of what was let go of earlier, requests may be under way still.
    const least = earlier === undefined || earlier.level > level ? level : earlier.level;
    this.#caps.set(ino, { before, level: least });
  }

  /** The most that the answer to a request can grant; undefined: whatever it says. */
  of(ino: Ino, request: number): LeaseLevel | undefined {
    const cap = this.#caps.get(ino);
    return cap !== undefined && request < cap.before ? cap.level : undefined;
  }

  /** @param oldest id of the oldest request that is not answered; undefined: all are */
  answered(oldest: number | undefined): void {
    if (this.#caps.size === 0 || (oldest !== undefined && this.#caps.size < this.#sweepAt)) return;
    for (const [ino, { before }] of this.#caps)
      if (before !== Infinity && (oldest === undefined || before <= oldest)) this.#caps.delete(ino);
    this.#sweepAt = Math.max(SWEEP_MIN, this.#caps.size * 2);
  }

  clear(): void {
    this.#caps.clear();
  }
}
