import type { Kind } from './judge.js';

/** A lock that one holds at a time. A holder that ended in disorder is a `release` of unknown outcome. */
export interface LockInput {
  readonly kind: 'acquire' | 'try' | 'release';
  readonly owner: string;
}
/** `busy` only of `try`. */
export type LockOutput = 'ok' | 'busy';

const FREE = '';

export const lock: Kind<string, LockInput, LockOutput> = {
  prepare: (history) => ({
    history,
    model: {
      initial: FREE,
      step(holder, input, output) {
        if (input.kind === 'release') return holder === input.owner ? [FREE] : [];
        if (output === 'busy') return holder === FREE ? [] : [holder];
        return holder === FREE ? [input.owner] : [];
      },
    },
  }),
  shown: (input, output) => `${input.kind} by ${input.owner} -> ${output ?? 'unknown'}`,
};

/** A number that is read and written one higher, as one step, under a lock. */
export type CounterInput = 'increment';
/** The number before. */
export type CounterOutput = number;

export const counter: Kind<number, CounterInput, CounterOutput> = {
  prepare: (history) => ({
    history,
    model: {
      initial: 0,
      step: (count, _input, output) => (output === undefined || output === count ? [count + 1] : []),
    },
  }),
  shown: (_input, output) => `increment of ${output ?? 'unknown'}`,
};
