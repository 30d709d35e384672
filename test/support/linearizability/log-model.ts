import type { Kind } from './judge.js';
import type { Model, Operation } from './operation.js';

/** Records are appended, each once; all are read, or counted (by the size of the file). */
export type LogInput =
  | { readonly kind: 'append'; readonly record: string }
  | { readonly kind: 'read' }
  | { readonly kind: 'count' };
/** All records of a read; the number of a count; of an append, nothing that is looked at. */
export type LogOutput = readonly string[] | number;

type LogOperation = Operation<LogInput, LogOutput>;

/** The state is how many records there are: which they are, the longest read says. */
export const log: Kind<number, LogInput, LogOutput> = {
  prepare(history) {
    const longest = history.reduce<readonly string[]>(
      (best, { output }) => (Array.isArray(output) && output.length > best.length ? output : best),
      [],
    );
    return { history: settled(history, longest), model: model(longest) };
  },
  shown(input, output) {
    if (input.kind === 'append') return `append ${input.record}`;
    if (!Array.isArray(output)) return `${input.kind} -> ${String(output ?? 'unknown')}`;
    return `read -> ${output.length} records, the last: ${output.slice(-5).join(' ')}`;
  },
};

function model(longest: readonly string[]): Model<number, LogInput, LogOutput> {
  const begins = new Map<readonly string[], boolean>();
  const isBeginning = (records: readonly string[]): boolean => {
    let known = begins.get(records);
    if (known === undefined) {
      known = records.every((record, index) => record === longest[index]);
      begins.set(records, known);
    }
    return known;
  };
  return {
    initial: 0,
    step(count, input, output) {
      if (input.kind === 'append') {
        // Behind everything that was ever read, any order will do.
        return count >= longest.length || longest[count] === input.record ? [count + 1] : [];
      }
      if (output === undefined || output === count) return [count];
      if (!Array.isArray(output)) return [];
      return output.length === count && isBeginning(output) ? [count] : [];
    },
  };
}

/** An append of unknown outcome that nobody read or counted is left out; one that was read had happened by then. */
function settled(history: readonly LogOperation[], longest: readonly string[]): LogOperation[] {
  const position = new Map(longest.map((record, index) => [record, index]));
  const counted = history.reduce(
    (most, { output }) => (typeof output === 'number' ? Math.max(most, output) : most),
    0,
  );
  return history.flatMap((each) => {
    if (each.returnNs !== Infinity) return [each];
    if (each.input.kind !== 'append') return [];
    const at = position.get(each.input.record);
    if (at === undefined) return counted > longest.length ? [each] : [];
    const readNs = firstReadEndNs(history, at);
    return [readNs < each.callNs ? each : { ...each, returnNs: readNs }];
  });
}

function firstReadEndNs(history: readonly LogOperation[], position: number): number {
  return history.reduce(
    (first, { output, returnNs }) =>
      Array.isArray(output) && output.length > position ? Math.min(first, returnNs) : first,
    Infinity,
  );
}
