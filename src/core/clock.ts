import { setTimeout as delay } from 'node:timers/promises';
import { timeNs, type TimeNs } from './ids.js';
import { native } from './native.js';

/**
 * Time as an argument. Deadlines use `monotonicMs`, which never jumps; `wallMs` and `wallNs` are for
 * stamps that people and other programs read.
 */
export interface Clock {
  monotonicMs(): number;
  wallMs(): number;
  wallNs(): TimeNs;
  /** Resolves after `ms`; rejects with an AbortError as soon as `signal` aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  wallNs: () => timeNs(BigInt(Date.now()) * 1_000_000n),
  sleep: async (ms, signal) => {
    await delay(ms, undefined, signal === undefined ? {} : { signal });
  },
};

/** A kernel stamps with its coarse clock (a tick of 4 ms), or, when it must tell two changes apart, finer. */
const TICK_NS = 10_000_000n;

/**
 * The clock of a mount. Its wall time is the one by which the kernel stamps files, so that a file written
 * by the kernel (passthrough) and one stamped here compare as `make` expects.
 */
export class KernelClock implements Clock {
  #floorNs = 0n;

  monotonicMs(): number {
    return systemClock.monotonicMs();
  }

  wallMs(): number {
    return systemClock.wallMs();
  }

  wallNs(): TimeNs {
    const nowNs = native.coarseTimeNs();
    return timeNs(this.#floorNs > nowNs && this.#floorNs - nowNs < TICK_NS ? this.#floorNs : nowNs);
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return systemClock.sleep(ms, signal);
  }

  /**
   * A stamp that the kernel gave to a change: nothing stamped here afterwards is older, though the kernel's
   * stamp may be ahead of its coarse clock (multigrain timestamps, Linux 6.13).
   */
  observe(stampNs: TimeNs): void {
    if (stampNs > this.#floorNs && stampNs - native.coarseTimeNs() < TICK_NS) this.#floorNs = stampNs;
  }
}

/** There is one kernel, and one clock of it. */
export const kernelClock = new KernelClock();
