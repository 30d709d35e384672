import type { Ino } from '../core/index.js';
import type { LeaseContention, LeaseMachine } from '../leases/index.js';

/** After so many inodes others have their turn: they take 1 ms (0.2 µs each, measured with 4 million). */
const TURN_INOS = 4096;

interface Candidate {
  readonly ino: Ino;
  readonly contention: LeaseContention;
}

/** First where most wait, then what is being written, then what most hold; what is alike by its number. */
const byContention = (a: Candidate, b: Candidate): number =>
  compare(a.contention, b.contention) || a.ino - b.ino;

const compare = (a: LeaseContention, b: LeaseContention): number =>
  b.waiting - a.waiting || Number(b.written) - Number(a.written) || b.holders - a.holders;

/** The best of all that are offered, at most `limit`. */
class Ranking {
  readonly #limit: number;
  #kept: Candidate[] = [];
  /** The last one that there is room for, once there are `limit`. */
  #last: Candidate | undefined;

  constructor(limit: number) {
    this.#limit = limit;
  }

  offer(candidate: Candidate): void {
    if (this.#last !== undefined && byContention(candidate, this.#last) > 0) return;
    this.#kept.push(candidate);
    // Cut only now and then: sorting costs more than keeping twice as many.
    if (this.#kept.length >= 2 * this.#limit) this.best();
  }

  best(): readonly Candidate[] {
    this.#kept = this.#kept.sort(byContention).slice(0, this.#limit);
    this.#last = this.#kept[this.#limit - 1];
    return this.#kept;
  }
}

/**
 * The inodes that are contended for most, at most `limit`, in order. All leases are looked at, which may take
 * a second or two with 10 million; what changes meanwhile is seen or not.
 */
export async function mostContended(
  machine: Pick<LeaseMachine<unknown>, 'parts' | 'contention'>,
  limit: number,
): Promise<Ino[]> {
  const ranking = new Ranking(limit);
  let looked = 0;
  for (const inos of machine.parts()) {
    for (const ino of inos) {
      const contention = machine.contention(ino);
      if (contention.holders > 0 || contention.waiting > 0) ranking.offer({ ino, contention });
    }
    looked += inos.length;
    if (looked < TURN_INOS) continue;
    looked = 0;
    await new Promise(setImmediate);
  }
  return ranking.best().map(({ ino }) => ino);
}
