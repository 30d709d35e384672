import type { ContestantName } from './contestants.js';
import type { Measured, Sample } from './measure.js';
import type { Goal, Scale } from './workload.js';

/** A number with the least and greatest of its rounds. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** What one row of the table says; plain data, also for `--json`. */
export interface Row {
  readonly id: string;
  readonly title: string;
  readonly unit: 'MB/s' | '/s' | 's';
  /** In `unit`: a rate, or seconds. */
  readonly values: Partial<Record<ContestantName, Spread>>;
  /** Speed of GlobalFS as a share of the rival's, round by round: 1 is as fast, 0.5 takes twice the time. */
  readonly ratios: Partial<Record<Goal['of'], Spread>>;
  readonly goals: readonly (Goal & { readonly met: boolean })[];
  /** CPU of the serving process for one operation, in µs; where operations are counted. */
  readonly cpuMicrosEach: Partial<Record<ContestantName, number>>;
  /** GlobalFS: requests that reached the process in one run. */
  readonly requests: Readonly<Record<string, number>>;
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const upper = sorted[Math.floor(middle)] ?? NaN;
  const lower = sorted[Math.ceil(middle) - 1] ?? NaN;
  return { median: (lower + upper) / 2, min: sorted[0] ?? NaN, max: sorted.at(-1) ?? NaN };
}

export function summarise(measured: Measured, scale: Scale): Row {
  const { step, settled, samples } = measured;
  const operations = settled ? undefined : step.operations?.(scale);
  const unit = settled ? 's' : step.unit;
  const own = samples.get('globalfs') ?? [];
  const values: Partial<Record<ContestantName, Spread>> = {};
  for (const [name, list] of samples) {
    values[name] = spreadOf(
      list.map(({ seconds }) => (operations === undefined ? seconds : operations / seconds)),
    );
  }
  const ratios: Partial<Record<Goal['of'], Spread>> = {};
  for (const rival of ['plain', 'bindfs'] as const) {
    const theirs = samples.get(rival);
    if (theirs !== undefined && own.length > 0) ratios[rival] = spreadOf(pairwise(theirs, own));
  }
  const goals = settled ? [] : step.goals.map((goal) => ({ ...goal, met: isMet(goal, ratios[goal.of]) }));
  return {
    id: settled ? `${step.id}-settled` : step.id,
    title: measured.title,
    unit,
    values,
    ratios,
    goals: goals.filter(({ of }) => ratios[of] !== undefined),
    cpuMicrosEach: unit === '/s' ? cpuEach(samples, step.operations?.(scale) ?? NaN) : {},
    requests: own.at(-1)?.requests ?? {},
  };
}

function cpuEach(samples: Measured['samples'], operations: number): Row['cpuMicrosEach'] {
  const each: Partial<Record<ContestantName, number>> = {};
  for (const [name, list] of samples) {
    each[name] = (spreadOf(list.map(({ cpuMs }) => cpuMs)).median * 1000) / operations;
  }
  return each;
}

/** Speed of ours by theirs, of the same round: what else the machine did then burdened both. */
const pairwise = (theirs: readonly Sample[], own: readonly Sample[]): number[] =>
  own.map((sample, round) => (theirs[round]?.seconds ?? NaN) / sample.seconds);

const isMet = (goal: Goal, ratio: Spread | undefined): boolean =>
  ratio !== undefined && ratio.median >= goal.ratio;
