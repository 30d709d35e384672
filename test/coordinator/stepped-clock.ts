import { type Clock, timeNs, type TimeNs } from '../../src/core/index.js';

interface Sleeper {
  readonly atMs: number;
  readonly wake: () => void;
}

/** A clock that stands still until the test moves it. */
export class SteppedClock implements Clock {
  #nowMs = 1000;
  readonly #sleepers = new Set<Sleeper>();

  monotonicMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#nowMs;
  }

  wallNs(): TimeNs {
    return timeNs(BigInt(this.#nowMs) * 1_000_000n);
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const giveUp = (): void => {
        this.#sleepers.delete(sleeper);
        reject(new DOMException('aborted', 'AbortError'));
      };
      const wake = (): void => {
        this.#sleepers.delete(sleeper);
        signal?.removeEventListener('abort', giveUp);
        resolve();
      };
      const sleeper = { atMs: this.#nowMs + ms, wake };
      if (signal?.aborted === true) {
        giveUp();
        return;
      }
      signal?.addEventListener('abort', giveUp, { once: true });
      this.#sleepers.add(sleeper);
    });
  }

  /** Time passes: those whose time has come wake up in the order of their times, and run before the next does. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    for (;;) {
      const due = [...this.#sleepers].filter(({ atMs }) => atMs <= untilMs);
      const next = due.sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined) break;
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.wake();
      await turns();
    }
    this.#nowMs = untilMs;
    await turns();
  }

  /** Time has passed while the process was stopped: nobody has woken up yet. */
  jump(ms: number): void {
    this.#nowMs += ms;
  }
}

/** Lets everything happen that is due: a message takes three turns of the event loop from end to end. */
export async function turns(count = 12): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise(setImmediate);
}
