import { type Spread, spreadOf } from '../summary.js';

export interface ClusterGoal {
  readonly text: string;
  readonly met: boolean;
}

/** One number against another of the same run. */
export interface ClusterRow {
  readonly id: string;
  readonly title: string;
  readonly unit: '/s' | 'MB/s' | 's';
  readonly value: Spread;
  readonly peer: { readonly name: string; readonly value: Spread };
  /** Speed of GlobalFS as a share of the peer's (of `s`: its time as a multiple of the peer's), round by round. */
  readonly ratio: Spread;
  /** CPU of GlobalFS's process: of the coordinator, µs for each; of a mount, s for each GiB. */
  readonly cpu: Spread | undefined;
  readonly goal: ClusterGoal | undefined;
}

/** Of the same round: what else the machine did then burdened both. */
export function ratioOf(own: readonly number[], peer: readonly number[]): Spread {
  return spreadOf(own.map((value, round) => value / (peer[round] ?? NaN)));
}

export function goalAtLeast(text: string, value: number, least: number): ClusterGoal {
  return { text, met: value >= least };
}

export function goalAtMost(text: string, value: number, most: number): ClusterGoal {
  return { text, met: value <= most };
}
