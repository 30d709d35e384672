import { setImmediate } from 'node:timers/promises';
import { type Clock, timeNs, type TimeNs } from '../../src/core/index.js';

/**
 * A clock whose time passes only by its sleeps: each ends in the next turn of the event loop, and the time
 * is then what it waited for. What has been waited for is in `sleeps`, ms.
 */
export class SimulatedClock implements Clock {
  readonly sleeps: number[] = [];
  #nowMs = 1_000_000;

  monotonicMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#nowMs;
  }

  wallNs(): TimeNs {
    return timeNs(BigInt(Math.floor(this.#nowMs)) * 1_000_000n);
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    await setImmediate(undefined, signal === undefined ? {} : { signal });
    this.sleeps.push(ms);
    this.#nowMs += ms;
  }
}
