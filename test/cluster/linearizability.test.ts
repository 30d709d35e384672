import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { search } from '../support/linearizability/checker.js';
import { directory, type DirectoryInput } from '../support/linearizability/directory-model.js';
import { judge, type Kind } from '../support/linearizability/judge.js';
import { counter, lock, type LockInput, type LockOutput } from '../support/linearizability/lock-model.js';
import { log, type LogInput, type LogOutput } from '../support/linearizability/log-model.js';
import type { Operation } from '../support/linearizability/operation.js';
import { register, type RegisterInput } from '../support/linearizability/register-model.js';
import { Random, testSeed } from '../support/random-steps.js';
import { simulated, type SimulatedStore } from '../support/linearizability/simulated-history.js';

const seed = testSeed();
process.stderr.write(`linearizability: GLOBALFS_TEST_SEED=${seed}\n`);

/** `[call, return, input, output]`; a return of undefined is an unknown outcome. */
type Short<I, O> = [callNs: number, returnNs: number | undefined, input: I, output?: O];

function history<I, O>(...operations: Short<I, O>[]): Operation<I, O>[] {
  return operations.map(([callNs, returnNs, input, output], index) => {
    return { process: `p${index}`, callNs, returnNs: returnNs ?? Infinity, input, output };
  });
}

const verdict = <S extends string | number, I, O>(kind: Kind<S, I, O>, of: Operation<I, O>[]): string =>
  judge(kind, of).verdict;

describe('file contents', () => {
  const w = (value: string): RegisterInput => ({ kind: 'write', value });
  const r: RegisterInput = { kind: 'read' };
  type Case = [title: string, expected: string, of: Short<RegisterInput, string>[]];
  const cases: Case[] = [
    ['nothing at all', 'linearizable', []],
    ['a read of nothing', 'linearizable', [[0, 1, r, 'nothing']]],
    ['a read of what was written before', 'linearizable', [[0, 1, w('a'), ''], [2, 3, r, 'a']]],
    ['a read of nothing after a write', 'refused', [[0, 1, w('a'), ''], [2, 3, r, 'nothing']]],
    ['a read of nothing during a write', 'linearizable', [[0, 4, w('a'), ''], [2, 3, r, 'nothing']]],
    ['a read of what nobody wrote', 'refused', [[0, 1, w('a'), ''], [2, 3, r, 'b']]],
    ['a stale read', 'refused', [[0, 1, w('a'), ''], [2, 3, w('b'), ''], [4, 5, r, 'a']]],
    ['reads that see two writes in opposite orders', 'refused', [
      [0, 9, w('a'), ''], [0, 9, w('b'), ''], [1, 2, r, 'a'], [3, 4, r, 'b'], [5, 6, r, 'a'],
    ]],
    ['a new value, then the old one, during the write', 'refused', [
      [0, 1, w('a'), ''], [2, 9, w('b'), ''], [3, 4, r, 'b'], [5, 6, r, 'a'],
    ]],
    ['the same at one nanosecond, in an order that fits', 'linearizable', [[0, 2, w('a'), ''], [2, 3, r, 'nothing']]],
    ['a lost write that failed', 'linearizable', [[0, undefined, w('a')], [2, 3, r, 'nothing']]],
    ['a failed write that happens late', 'linearizable', [
      [0, undefined, w('a')], [2, 3, w('b'), ''], [4, 5, r, 'b'], [6, 7, r, 'a'],
    ]],
    ['a failed write that happens twice', 'refused', [
      [0, undefined, w('a')], [1, 2, r, 'a'], [3, 4, w('b'), ''], [5, 6, r, 'a'],
    ]],
    ['a failed write seen before it was tried', 'refused', [[0, 1, r, 'a'], [2, undefined, w('a')]]],
  ]; // prettier-ignore
  test.each(cases)('%s is %s', (_title, expected, of) => {
    expect(verdict(register, history(...of))).toBe(expected);
  });

  test('the witness shows the shortest refused beginning, and what is open then', () => {
    const late: Short<RegisterInput, string>[] = [[10, 11, w('c'), ''], [12, 13, r, 'nothing']]; // prettier-ignore
    const of = history([0, 1, w('a'), ''], [2, 30, w('b'), ''], [3, 4, r, 'nothing'], ...late);
    const found = judge(register, of);
    if (found.verdict !== 'refused') throw new Error(found.verdict);
    expect(found.why).toContain('p2: read -> nothing');
    expect(found.why).toContain('p1: write b');
    expect(found.why).not.toContain('write c');
  });
});

describe('names', () => {
  const make = (name: string): DirectoryInput => ({ kind: 'create', name, token: name });
  const mkdir = (name: string): DirectoryInput => ({ kind: 'mkdir', name, token: name });
  const look = (name: string): DirectoryInput => ({ kind: 'look', name });
  const unlink = (name: string): DirectoryInput => ({ kind: 'unlink', name });
  const rename = (name: string, to: string): DirectoryInput => ({ kind: 'rename', name, to });
  const exchange = (name: string, to: string): DirectoryInput => ({ kind: 'exchange', name, to });
  type Case = [title: string, expected: string, of: Short<DirectoryInput, string>[]];
  const cases: Case[] = [
    ['one of two that create exclusively', 'linearizable', [[0, 5, make('a'), 'f1'], [0, 5, make('a'), 'EEXIST']]],
    ['both of two that create exclusively', 'refused', [[0, 5, make('a'), 'f1'], [0, 5, make('a'), 'f2']]],
    ['neither of two that create exclusively', 'refused', [[0, 5, make('a'), 'EEXIST'], [0, 5, make('a'), 'EEXIST']]],
    ['a name that is gone and still seen', 'refused', [[0, 1, make('a'), 'f1'], [2, 3, unlink('a'), 'ok'], [4, 5, look('a'), 'f1']]],
    ['a name removed twice', 'refused', [[0, 1, make('a'), 'f1'], [2, 5, unlink('a'), 'ok'], [2, 5, unlink('a'), 'ok']]],
    ['a rename that is seen whole', 'linearizable', [
      [0, 1, make('a'), 'f1'], [2, 9, rename('a', 'b'), 'ok'], [3, 4, look('a'), 'ENOENT'], [5, 6, look('b'), 'f1'],
    ]],
    ['a rename during which the file is nowhere', 'refused', [
      [0, 1, make('a'), 'f1'], [2, 9, rename('a', 'b'), 'ok'], [3, 4, look('a'), 'ENOENT'], [5, 6, look('b'), 'ENOENT'],
    ]],
    ['a rename that replaces', 'linearizable', [
      [0, 1, make('a'), 'f1'], [2, 3, make('b'), 'f2'], [4, 5, rename('a', 'b'), 'ok'], [6, 7, look('b'), 'f1'],
    ]],
    ['two renames of one name', 'refused', [
      [0, 1, make('a'), 'f1'], [2, 9, rename('a', 'b'), 'ok'], [2, 9, rename('a', 'c'), 'ok'],
    ]],
    ['an exchange', 'linearizable', [
      [0, 1, make('a'), 'f1'], [2, 3, mkdir('b'), 'd2'], [4, 5, exchange('a', 'b'), 'ok'], [6, 7, look('a'), 'd2'], [8, 9, look('b'), 'f1'],
    ]],
    ['a rename that finds one object under both names while another moves it', 'linearizable', [
      [0, 1, make('a'), 'f1'], [2, 9, rename('a', 'b'), 'ok'], [2, 8, rename('a', 'b'), 'ok'], [10, 11, look('b'), 'f1'],
    ]],
    ['a rename of what is not there, long after another has moved it', 'refused', [
      [0, 1, make('a'), 'f1'], [2, 3, rename('a', 'b'), 'ok'], [4, 8, rename('a', 'b'), 'ok'],
    ]],
    ['a directory unlinked', 'refused', [[0, 1, mkdir('a'), 'd1'], [2, 3, unlink('a'), 'ok']]],
    ['a create of unknown outcome that others see', 'linearizable', [
      [0, undefined, make('a')], [1, 2, look('a'), 'ENOENT'], [3, 4, look('a'), 'f7'], [5, 6, look('a'), 'f7'],
    ]],
    ['a create of unknown outcome that is two files', 'refused', [
      [0, undefined, make('a')], [3, 4, look('a'), 'f7'], [5, 6, look('a'), 'f8'],
    ]],
    ['an unlink of unknown outcome that happens late', 'linearizable', [
      [0, 1, make('a'), 'f1'], [2, undefined, unlink('a')], [3, 4, look('a'), 'f1'], [5, 6, make('a'), 'f2'],
    ]],
  ]; // prettier-ignore
  test.each(cases)('%s is %s', (_title, expected, of) => {
    expect(verdict(directory, history(...of))).toBe(expected);
  });
});

describe('logs', () => {
  const append = (record: string): LogInput => ({ kind: 'append', record });
  const [r, count]: LogInput[] = [{ kind: 'read' }, { kind: 'count' }];
  type Case = [title: string, expected: string, of: Short<LogInput, LogOutput>[]];
  const cases: Case[] = [
    ['every order of two at once', 'linearizable', [[0, 5, append('a'), 0], [0, 5, append('b'), 0], [6, 7, r as LogInput, ['b', 'a']]]],
    ['one lost', 'refused', [[0, 5, append('a'), 0], [0, 5, append('b'), 0], [6, 7, r as LogInput, ['b']]]],
    ['one there twice', 'refused', [[0, 5, append('a'), 0], [6, 7, r as LogInput, ['a', 'a']]]],
    ['an order that changes', 'refused', [
      [0, 9, append('a'), 0], [0, 9, append('b'), 0], [1, 2, r as LogInput, ['a', 'b']], [3, 4, r as LogInput, ['b', 'a']],
    ]],
    ['a count that lags', 'refused', [[0, 1, append('a'), 0], [2, 3, count as LogInput, 0], [4, 5, r as LogInput, ['a']]]],
    ['appends behind the last read', 'linearizable', [[0, 1, r as LogInput, []], [2, 3, append('a'), 0], [4, 5, count as LogInput, 1]]],
    ['one of unknown outcome that is never seen', 'linearizable', [[0, undefined, append('a')], [1, 2, append('b'), 0], [3, 4, r as LogInput, ['b']]]],
    ['one of unknown outcome that is seen late', 'linearizable', [
      [0, undefined, append('a')], [1, 2, append('b'), 0], [3, 4, r as LogInput, ['b']], [5, 6, r as LogInput, ['b', 'a']],
    ]],
    ['one of unknown outcome that comes and goes', 'refused', [
      [0, undefined, append('a')], [3, 4, r as LogInput, ['a']], [5, 6, r as LogInput, []],
    ]],
    ['a longer size by one of unknown outcome', 'linearizable', [[0, undefined, append('a')], [1, 2, count as LogInput, 1]]],
  ]; // prettier-ignore
  test.each(cases)('%s is %s', (_title, expected, of) => {
    expect(verdict(log, history(...of))).toBe(expected);
  });
});

describe('locks and counters', () => {
  const acquire = (owner: string): LockInput => ({ kind: 'acquire', owner });
  const release = (owner: string): LockInput => ({ kind: 'release', owner });
  type Case = [title: string, expected: string, of: Short<LockInput, LockOutput>[]];
  const cases: Case[] = [
    ['one after the other', 'linearizable', [[0, 1, acquire('a'), 'ok'], [0, 5, acquire('b'), 'ok'], [2, 3, release('a'), 'ok']]],
    ['two holders', 'refused', [[0, 1, acquire('a'), 'ok'], [2, 5, acquire('b'), 'ok'], [6, 7, release('a'), 'ok']]],
    ['a holder that died', 'linearizable', [[0, 1, acquire('a'), 'ok'], [2, undefined, release('a')], [2, 5, acquire('b'), 'ok']]],
    ['a try of what is free that fails', 'refused', [[0, 1, { kind: 'try', owner: 'a' }, 'busy']]],
    ['a try of what is held that fails', 'linearizable', [[0, 1, acquire('b'), 'ok'], [2, 3, { kind: 'try', owner: 'a' }, 'busy']]],
  ]; // prettier-ignore
  test.each(cases)('%s is %s', (_title, expected, of) => {
    expect(verdict(lock, history(...of))).toBe(expected);
  });

  test('an increment that is lost is refused', () => {
    const twice = history<'increment', number>([0, 5, 'increment', 0], [1, 6, 'increment', 0]);
    expect(verdict(counter, twice)).toBe('refused');
    expect(
      verdict(counter, history<'increment', number>([0, 5, 'increment', 1], [1, 6, 'increment', 0])),
    ).toBe('linearizable');
  });
});

describe('against every order there is', () => {
  /** All orders in which all that returned, and any of the rest, may have happened. */
  function someOrder<S extends string | number, I, O>(
    step: (state: S, input: I, output: O | undefined) => readonly S[],
    state: S,
    left: Operation<I, O>[],
  ): boolean {
    const firstEnd = Math.min(...left.map((each) => each.returnNs));
    if (firstEnd === Infinity) return true;
    return left.some((each) => {
      if (each.callNs > firstEnd) return false;
      const rest = left.filter((other) => other !== each);
      return step(state, each.input, each.output).some((after) => someOrder(step, after, rest));
    });
  }

  const times = fc.tuple(fc.integer({ min: 0, max: 12 }), fc.integer({ min: 0, max: 5 }), fc.boolean());
  const value = fc.constantFrom('a', 'b', 'c');
  const anything = fc.record({
    times,
    input: fc.oneof(
      value.map((v): RegisterInput => ({ kind: 'write', value: v })),
      fc.constant<RegisterInput>({ kind: 'read' }),
    ),
    seen: fc.oneof(value, fc.constant('nothing')),
  });

  test('the search says the same as trying all', () => {
    fc.assert(
      fc.property(fc.array(anything, { maxLength: 7 }), (parts) => {
        const of = parts.map(({ times: [callNs, ms, lost], input, seen }, index) => ({
          process: `p${index}`,
          input,
          output: lost && ms > 3 ? undefined : seen,
          callNs,
          returnNs: lost && ms > 3 ? Infinity : callNs + ms,
        }));
        const { model } = register.prepare(of);
        const expected = someOrder((s, i, o) => model.step(s, i, o), model.initial, of);
        expect(search(model, of)).toBe(expected ? 'linearizable' : 'refused');
        // Values that are written more than once are not for `prepare`: it takes them to be distinct.
        const written = of.flatMap(({ input }) => (input.kind === 'write' ? [input.value] : []));
        if (new Set(written).size === written.length)
          expect(verdict(register, of) === 'linearizable').toBe(expected);
      }),
      { seed, numRuns: 5_000 },
    );
  });
});

describe('thousands of operations of a simulated store', () => {
  /** Names cost more: what happened to one of unknown outcome shows late, or never. */
  const stores: [SimulatedStore, operations: number][] = [
    ['register', 5_000],
    ['directory', 1_500],
    ['log', 5_000],
    ['lock', 5_000],
  ];

  test.each(stores)(
    '%s: a correct history is accepted, with operations of unknown outcome',
    (store, operations) => {
      for (let run = 0; run < 3; run++) {
        const made = simulated(store, new Random(seed + run), { operations, processes: 8 });
        expect({ run, ...made.judge() }).toEqual({ run, verdict: 'linearizable' });
      }
    },
  );

  test.each(stores)('%s: one wrong answer among them is found', (store, operations) => {
    for (let run = 0; run < 4; run++) {
      const made = simulated(store, new Random(seed + run), { operations: operations / 5, processes: 6 });
      made.spoil();
      expect({ run, verdict: made.judge().verdict }).toEqual({ run, verdict: 'refused' });
    }
  });

  test('a search that grows beyond its bound says so', () => {
    const concurrent = Array.from({ length: 40 }, (_, i): Operation<RegisterInput, string> => {
      return {
        process: `p${i}`,
        input: { kind: 'write', value: String(i) },
        output: '',
        callNs: 0,
        returnNs: 100,
      };
    });
    const read = {
      process: 'r',
      input: { kind: 'read' } as const,
      output: 'missing',
      callNs: 101,
      returnNs: 102,
    };
    expect(search(register.prepare([]).model, [...concurrent, read], 10_000)).toBe('unknown');
  });
});
