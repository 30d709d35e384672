import type { Ino } from '../core/index.js';
import type { Awaitable } from './client.js';
import type { ClientRequests } from './client-requests.js';

/** Inode numbers asked for at a time: a second's worth of creating without a pause. */
const RANGE_INOS = 4096;
/** A further range is asked for when this many are left: 50 ms away, at 10,000 creates a second. */
const REFILL_INOS = RANGE_INOS / 2;

/** Inode numbers that the coordinator has given to this session, fetched before they are needed. */
export class InoRanges {
  readonly #requests: ClientRequests;
  #next = 0;
  #left = 0;
  readonly #spare: { readonly first: Ino; readonly count: number }[] = [];
  #fetching: Promise<void> | undefined;

  constructor(requests: ClientRequests) {
    this.#requests = requests;
  }

  next(): Awaitable<Ino> {
    const ino = this.#take();
    return ino ?? this.#wait();
  }

  /** Asks for a range when few numbers are left; what fails is asked for again at need. */
  refill(): void {
    if (this.#fetching !== undefined || this.#spare.length > 0 || this.#left > REFILL_INOS) return;
    this.#fetch().catch(() => undefined); // whoever needs a number then asks again, and is told
  }

  #take(): Ino | undefined {
    if (this.#left === 0) {
      const range = this.#spare.shift();
      if (range === undefined) return undefined;
      this.#next = range.first;
      this.#left = range.count;
    }
    this.#left--;
    if (this.#left <= REFILL_INOS) this.refill();
    return this.#next++ as Ino;
  }

  async #wait(): Promise<Ino> {
    for (;;) {
      await this.#fetch();
      const ino = this.#take();
      if (ino !== undefined) return ino;
    }
  }

  #fetch(): Promise<void> {
    this.#fetching ??= this.#requests
      .ask<'reserve-inos', void>({ op: 'reserve-inos', count: RANGE_INOS }, ({ first, count }) => {
        this.#spare.push({ first, count });
      })
      .finally(() => (this.#fetching = undefined));
    return this.#fetching;
  }
}
