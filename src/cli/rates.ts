/** What a mount has counted so far, as far as it is known. */
export interface Counted {
  /** Tells mounts apart; a mount that was made anew is another. */
  readonly key: string;
  /** By some monotonic clock: when these counters were read. */
  readonly atMs: number;
  /** Requests since the mount, by opcode. */
  readonly requests: Readonly<Record<string, number>>;
}

/** Requests per second. */
export interface Rate {
  readonly total: number;
  /** Of those that are not zero, the busiest first. */
  readonly byOpcode: Readonly<Record<string, number>>;
}

/** Two readings that lie closer together are one. */
const APART_MS = 50;

export const STILL: Rate = { total: 0, byOpcode: {} };

function rateBetween(before: Counted, after: Counted): Rate {
  const seconds = (after.atMs - before.atMs) / 1000;
  const rates = Object.entries(after.requests)
    .map(
      ([opcode, count]) => [opcode, Math.max(0, count - (before.requests[opcode] ?? 0)) / seconds] as const,
    )
    .filter(([, perSecond]) => perSecond > 0)
    .sort(([, a], [, b]) => b - a);
  return {
    total: rates.reduce((sum, [, perSecond]) => sum + perSecond, 0),
    byOpcode: Object.fromEntries(rates),
  };
}

/**
 * Makes rates of counters. A mount's counters may come less often than they are asked for (they travel with
 * heartbeats): until new ones are there, the rate is the one of the last two.
 */
export class RateMeter {
  readonly #last = new Map<string, { counted: Counted; rate: Rate }>();

  /** The rates of these mounts, in their order; zero for one that was seen for the first time. */
  update(all: readonly Counted[]): Rate[] {
    const rates = all.map((counted) => {
      const last = this.#last.get(counted.key);
      if (last !== undefined && counted.atMs - last.counted.atMs < APART_MS) return last.rate;
      const rate = last === undefined ? STILL : rateBetween(last.counted, counted);
      this.#last.set(counted.key, { counted, rate });
      return rate;
    });
    const present = new Set(all.map(({ key }) => key));
    for (const key of this.#last.keys()) if (!present.has(key)) this.#last.delete(key);
    return rates;
  }
}
