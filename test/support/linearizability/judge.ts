import { search } from './checker.js';
import type { Model, Operation, Verdict } from './operation.js';

/** How many operations a witness shows: those that ended last before the one that does not fit. */
const SHOWN_MAX = 25;

/** A kind of register: how its histories are read. */
export interface Kind<State extends string | number, Input, Output> {
  /**
   * The model, and the history with what can be concluded of operations of unknown outcome from what others
   * saw (dropped when nobody saw them; ended when somebody did), which keeps the search small.
   */
  prepare(history: readonly Operation<Input, Output>[]): {
    readonly model: Model<State, Input, Output>;
    readonly history: readonly Operation<Input, Output>[];
  };
  /** `write 17`, `stat a -> f12`. */
  shown(input: Input, output: Output | undefined): string;
}

/** Judges the history of one register. */
export function judge<State extends string | number, Input, Output>(
  kind: Kind<State, Input, Output>,
  operations: readonly Operation<Input, Output>[],
): Verdict {
  const decide = (part: readonly Operation<Input, Output>[]): string => {
    const { model, history } = kind.prepare(part);
    return search(model, history);
  };
  const found = decide(operations);
  if (found !== 'refused') return { verdict: found as 'linearizable' | 'unknown' };
  const ends = operations.map((each) => each.returnNs).filter((ns) => ns !== Infinity);
  ends.sort((a, b) => a - b);
  // A beginning of a linearisable history is linearisable: the shortest refused one is found by halving.
  let [good, bad] = [-1, ends.length - 1];
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if (decide(until(operations, ends[middle] as number)) === 'refused') bad = middle;
    else good = middle;
  }
  return { verdict: 'refused', why: witness(kind, until(operations, ends[bad] as number)) };
}

/** What was known at a moment: operations that had not ended then are of unknown outcome. */
export function until<Input, Output>(
  operations: readonly Operation<Input, Output>[],
  ns: number,
): Operation<Input, Output>[] {
  return operations
    .filter((each) => each.callNs <= ns)
    .map((each) => (each.returnNs <= ns ? each : { ...each, output: undefined, returnNs: Infinity }));
}

/** The last operations in order of their end, with times in ms before the last end. */
function witness<State extends string | number, Input, Output>(
  kind: Kind<State, Input, Output>,
  operations: readonly Operation<Input, Output>[],
): string {
  const ended = operations.filter((each) => each.returnNs !== Infinity);
  ended.sort((a, b) => a.returnNs - b.returnNs);
  const lastNs = ended.at(-1)?.returnNs ?? 0;
  const ms = (ns: number): string => (ns === Infinity ? '?' : ((ns - lastNs) / 1e6).toFixed(3));
  const line = (each: Operation<Input, Output>): string =>
    `  [${ms(each.callNs)} .. ${ms(each.returnNs)}] ${each.process}: ${kind.shown(each.input, each.output)}` +
    (each.note === undefined ? '' : ` (${each.note})`);
  const open = operations.filter((each) => each.returnNs === Infinity);
  return [
    `no order explains the last of these (ms before its end):`,
    ...ended.slice(-SHOWN_MAX).map(line),
    ...(open.length === 0 ? [] : ['of unknown outcome then, or not ended:', ...open.map(line)]),
  ].join('\n');
}
