/**
 * Linearisability: a history of operations with their intervals of real time, and the question whether there
 * is one order of them that respects time and that one copy of the thing could have given. This folder holds
 * the checker (`checker.ts`), the models that it asks (`*-model.ts`), and what it says of a refused history
 * (`witness.ts`). It knows nothing of filesystems or processes.
 */

/** One operation of one process. Times are nanoseconds of one clock that all processes share. */
export interface Operation<Input, Output> {
  /** Who did it; for people. */
  readonly process: string;
  /** How it was done, where that does not show; for people. */
  readonly note?: string;
  readonly input: Input;
  /** Undefined when nobody has seen what it gave. */
  readonly output: Output | undefined;
  readonly callNs: number;
  /** Infinity when nobody knows whether it happened: at any time after the call, or never. */
  readonly returnNs: number;
}

/** What one copy of the thing does. States are compared, and remembered, by value. */
export interface Model<State extends string | number, Input, Output> {
  readonly initial: State;
  /**
   * The states that may follow: one, for most; none, when this output cannot come from this state. With an
   * undefined output every output is possible.
   */
  step(state: State, input: Input, output: Output | undefined): readonly State[];
}

export type Verdict =
  | { readonly verdict: 'linearizable' }
  /** `why` shows the shortest beginning of the history that no order explains. */
  | { readonly verdict: 'refused'; readonly why: string }
  /** The bound of the search was hit. */
  | { readonly verdict: 'unknown' };
