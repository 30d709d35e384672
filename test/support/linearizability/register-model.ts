import type { Kind } from './judge.js';
import type { Operation } from './operation.js';

/** Whole contents are written and read. Every write has a value of its own. */
export type RegisterInput = { readonly kind: 'write'; readonly value: string } | { readonly kind: 'read' };
/** What a read saw; of a write, anything. */
export type RegisterOutput = string;

/** The value before the first write. */
export const NOTHING = 'nothing';

type RegisterOperation = Operation<RegisterInput, RegisterOutput>;

export const register: Kind<string, RegisterInput, RegisterOutput> = {
  prepare: (history) => ({
    history: settled(history),
    model: {
      initial: NOTHING,
      step(state, input, output) {
        if (input.kind === 'write') return [input.value];
        return output === undefined || output === state ? [state] : [];
      },
    },
  }),
  shown: (input, output) =>
    input.kind === 'write' ? `write ${input.value}` : `read -> ${output ?? 'unknown'}`,
};

/**
 * A write of unknown outcome whose value nobody read changes nothing that was seen: it is left out. One whose
 * value was read happened before that read ended. A read of unknown outcome says nothing.
 */
function settled(history: readonly RegisterOperation[]): RegisterOperation[] {
  const firstReadEndNs = new Map<string, number>();
  for (const { input, output, returnNs } of history) {
    if (input.kind !== 'read' || output === undefined) continue;
    firstReadEndNs.set(output, Math.min(returnNs, firstReadEndNs.get(output) ?? Infinity));
  }
  return history.flatMap((each) => {
    if (each.returnNs !== Infinity) return [each];
    if (each.input.kind === 'read') return [];
    const readNs = firstReadEndNs.get(each.input.value);
    if (readNs === undefined) return [];
    // A value that was read before it was written stays of unknown outcome, and is refused as such.
    return [readNs < each.callNs ? each : { ...each, returnNs: readNs }];
  });
}
