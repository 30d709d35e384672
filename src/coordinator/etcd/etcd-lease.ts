import { type Clock, GfsError, type Logger, errorFields, toGfsError } from '../../core/index.js';
import type { EtcdClient } from './etcd-client.js';
import type { LeaseId } from './etcd-types.js';

/**
 * Of the TTL, counted from when a renewal was sent. etcd counts from when it receives it, so the holder's deadline
 * is the earlier one, even when its clock runs 10 % slower than etcd's.
 */
const HELD_SHARE = 0.9;
/** Renewed three times per TTL: two may fail. */
const RENEWALS_PER_TTL = 3;
/** A renewal may take so much of the TTL before another member is asked. */
const RENEWAL_TRIES_PER_TTL = 6;
const RETRY_MS = 50;

export interface EtcdLeaseOptions {
  readonly client: EtcdClient;
  readonly ttlMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A lease that is renewed until it ends. Its holder relies on it until its own deadline, not until etcd says so. */
export class EtcdLease {
  readonly id: LeaseId;
  /** What etcd granted; it has a least TTL. */
  readonly ttlMs: number;
  readonly #options: EtcdLeaseOptions;
  readonly #ended = new AbortController();
  #deadlineMs: number;
  #timer: NodeJS.Timeout | undefined;

  /** @throws GfsError UNAVAILABLE, TIMEOUT: perhaps a lease was granted; then it ends by itself */
  static async grant(options: EtcdLeaseOptions): Promise<EtcdLease> {
    const sentMs = options.clock.monotonicMs();
    const { id, ttlMs } = await options.client.grantLease(options.ttlMs);
    return new EtcdLease(id, ttlMs, sentMs, options);
  }

  private constructor(id: LeaseId, ttlMs: number, sentMs: number, options: EtcdLeaseOptions) {
    this.id = id;
    this.ttlMs = ttlMs;
    this.#options = options;
    this.#deadlineMs = sentMs + ttlMs * HELD_SHARE;
    this.#watchDeadline();
    void this.#renew(sentMs);
  }

  /** Monotonic: until then the lease, and the keys bound to it, certainly exist. */
  deadlineMs(): number {
    return this.#deadlineMs;
  }

  /** True until the deadline, by the clock and not by a timer, which is late after a pause of the process. */
  held(): boolean {
    return !this.#ended.signal.aborted && this.#options.clock.monotonicMs() < this.#deadlineMs;
  }

  /** Aborts when the lease is no longer held, with a GfsError that says why. */
  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  /** Holds it no longer. It goes on in etcd for at most its TTL. */
  end(reason: GfsError): void {
    if (this.#ended.signal.aborted) return;
    clearTimeout(this.#timer);
    this.#ended.abort(reason);
  }

  /** Ends it, in etcd too if that can be reached; else it lapses there. */
  async revoke(reason: GfsError): Promise<void> {
    this.end(reason);
    try {
      await this.#options.client.revokeLease(this.id);
    } catch (thrown) {
      this.#options.logger.info('a lease could not be revoked, and will lapse', errorFields(thrown));
    }
  }

  async #renew(grantedMs: number): Promise<void> {
    const { client, clock, logger } = this.#options;
    const signal = this.#ended.signal;
    const timeoutMs = Math.max(100, this.ttlMs / RENEWAL_TRIES_PER_TTL);
    let renewedMs = grantedMs;
    while (!signal.aborted) {
      try {
        const dueMs = renewedMs + this.ttlMs / RENEWALS_PER_TTL;
        await clock.sleep(Math.max(0, dueMs - clock.monotonicMs()), signal);
        const sentMs = clock.monotonicMs();
        const ttlMs = await client.keepLeaseAlive(this.id, timeoutMs);
        if (ttlMs === 0) {
          this.end(new GfsError('UNAVAILABLE', 'etcd has ended the lease'));
          return;
        }
        renewedMs = sentMs;
        this.#deadlineMs = sentMs + Math.min(ttlMs, this.ttlMs) * HELD_SHARE;
        this.#watchDeadline();
      } catch (thrown) {
        if (signal.aborted) return;
        logger.warn('the lease could not be renewed, trying again', errorFields(toGfsError(thrown)));
        await pause(clock, RETRY_MS, signal);
      }
    }
  }

  #watchDeadline(): void {
    clearTimeout(this.#timer);
    if (this.#ended.signal.aborted) return;
    const leftMs = Math.max(0, this.#deadlineMs - this.#options.clock.monotonicMs());
    this.#timer = setTimeout(() => {
      if (this.held()) this.#watchDeadline();
      else this.end(new GfsError('UNAVAILABLE', 'etcd has not renewed the lease in time'));
    }, leftMs);
  }
}

/** Sleeps, or returns at once when the signal aborts. */
export async function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  try {
    await clock.sleep(ms, signal);
  } catch (thrown) {
    if (!signal.aborted) throw thrown;
  }
}
