import type { Random } from '../random-steps.js';
import { directory, type DirectoryInput } from './directory-model.js';
import { judge, type Kind } from './judge.js';
import { lock, type LockInput, type LockOutput } from './lock-model.js';
import { log, type LogInput, type LogOutput } from './log-model.js';
import type { Model, Operation, Verdict } from './operation.js';
import { NOTHING, register, type RegisterInput } from './register-model.js';

/**
 * Histories of a store that is linearisable by construction: every operation takes effect at one moment
 * between its call and its return. They are what the checker is checked with.
 */
export type SimulatedStore = 'register' | 'directory' | 'log' | 'lock';

export interface SimulatedHistory {
  judge(): Verdict;
  /** Changes the history so that no order explains it. */
  spoil(): void;
}

export interface SimulatedSize {
  readonly operations: number;
  readonly processes: number;
}

const NAMES = ['a', 'b', 'c'];
/** One of so many operations is of unknown outcome, in a register where that is cheap, and in a directory. */
const LOST_ONE_IN = { register: 50, log: 50, directory: 1000, lock: Infinity };

interface Planned<I> {
  readonly process: string;
  readonly input: I;
  readonly callNs: number;
  readonly effectNs: number;
  readonly returnNs: number;
}

export function simulated(store: SimulatedStore, random: Random, size: SimulatedSize): SimulatedHistory {
  switch (store) {
    case 'register':
      return made(
        register,
        played(store, planned(random, size, registerInput), random, registerStore()),
        stale,
      );
    case 'directory':
      return made(
        directory,
        played(store, planned(random, size, directoryInput), random, directoryStore()),
        vanished,
      );
    case 'log':
      return made(log, played(store, planned(random, size, logInput), random, logStore()), unread);
    case 'lock':
      return made(lock, lockHistory(random, size), unreleased);
  }
}

function made<S extends string | number, I, O>(
  kind: Kind<S, I, O>,
  operations: Operation<I, O>[],
  spoiled: (operations: Operation<I, O>[]) => Operation<I, O>[],
): SimulatedHistory {
  let history = operations;
  return {
    judge: () => judge(kind, history),
    spoil() {
      history = spoiled(history);
    },
  };
}

/** Every process does one operation after the other; who is when is random. */
function planned<I>(random: Random, size: SimulatedSize, input: (r: Random, id: number) => I): Planned<I>[] {
  const freeNs = new Array<number>(size.processes).fill(0);
  return Array.from({ length: size.operations }, (_, id) => {
    const process = random.int(size.processes);
    const callNs = (freeNs[process] as number) + 1 + random.int(50);
    const effectNs = callNs + random.int(100);
    const returnNs = effectNs + random.int(100);
    freeNs[process] = returnNs;
    return { process: `p${process}`, input: input(random, id), callNs, effectNs, returnNs };
  });
}

function played<I, O>(
  store: SimulatedStore,
  plan: Planned<I>[],
  random: Random,
  effect: (input: I, id: number) => O,
): Operation<I, O>[] {
  plan.sort((a, b) => a.effectNs - b.effectNs);
  return plan.map(({ process, input, callNs, returnNs }, id) => {
    const isLost = random.int(1e6) < 1e6 / LOST_ONE_IN[store];
    // The last operations tell what is there: their outcome is known.
    if (!isLost || id > plan.length - 20)
      return { process, input, output: effect(input, id), callNs, returnNs };
    if (random.chance(50)) effect(input, id);
    return { process, input, output: undefined, callNs, returnNs: Infinity };
  });
}

const registerInput = (random: Random, id: number): RegisterInput =>
  random.chance(40) ? { kind: 'write', value: String(id) } : { kind: 'read' };

function registerStore(): (input: RegisterInput) => string {
  let value = NOTHING;
  return (input) => {
    if (input.kind === 'write') value = input.value;
    return value;
  };
}

const logInput = (random: Random, id: number): LogInput =>
  random.chance(10)
    ? { kind: 'append', record: String(id) }
    : { kind: random.of(['read', 'count'] as const) };

function logStore(): (input: LogInput) => LogOutput {
  const records: string[] = [];
  return (input) => {
    if (input.kind === 'append') return records.push(input.record);
    return input.kind === 'read' ? [...records] : records.length;
  };
}

function directoryInput(random: Random, id: number): DirectoryInput {
  const [name, to] = [random.of(NAMES), random.of(NAMES)];
  return random.of<() => DirectoryInput>([
    () => ({ kind: random.chance(70) ? 'create' : 'mkdir', name, token: String(id) }),
    () => ({ kind: random.of(['unlink', 'rmdir', 'look', 'look'] as const), name }),
    () => ({ kind: random.of(['rename', 'exchange'] as const), name, to: to === name ? `${name}2` : to }),
  ])();
}

/** The model itself is the store: it gives the first of the possible outputs that fits. */
function directoryStore(): (input: DirectoryInput, id: number) => string {
  const model: Model<string, DirectoryInput, string> = directory.prepare([]).model;
  let state = model.initial;
  const objects: string[] = [];
  return (input, id) => {
    const own = input.kind === 'mkdir' ? `d${id}` : `f${id}`;
    const makes = input.kind === 'create' || input.kind === 'mkdir';
    const errors = ['EEXIST', 'ENOENT', 'EISDIR', 'ENOTDIR'];
    for (const output of makes ? [own, 'EEXIST'] : ['ok', ...objects, ...errors]) {
      if (input.kind === 'look' && output === 'ok') continue;
      const [after] = model.step(state, input, output);
      if (after === undefined) continue;
      state = after;
      if (output === own && makes) objects.unshift(own);
      return output;
    }
    throw new Error(`nothing fits ${input.kind} in ${state}`);
  };
}

/** Holders one after the other; who waits has called some time before. */
function lockHistory(random: Random, size: SimulatedSize): Operation<LockInput, LockOutput>[] {
  const freeNs = new Array<number>(size.processes).fill(0);
  const operations: Operation<LockInput, LockOutput>[] = [];
  for (let ns = 1000; operations.length < size.operations; ns += 10 + random.int(100)) {
    const who = random.int(size.processes);
    const [process, owner] = [`p${who}`, `o${who}`];
    if ((freeNs[who] as number) >= ns) continue;
    const callNs = Math.max((freeNs[who] as number) + 1, ns - random.int(500));
    const gotNs = ns + random.int(20);
    const letGoNs = gotNs + 1 + random.int(50);
    const returnNs = letGoNs + 1 + random.int(50);
    operations.push({ process, input: { kind: 'acquire', owner }, output: 'ok', callNs, returnNs: gotNs });
    operations.push({ process, input: { kind: 'release', owner }, output: 'ok', callNs: letGoNs, returnNs });
    freeNs[who] = returnNs;
    ns = letGoNs + random.int(returnNs - letGoNs);
  }
  return operations;
}

/** A read that gives what was overwritten before it began, by a write that followed the old one. */
function stale(operations: Operation<RegisterInput, string>[]): Operation<RegisterInput, string>[] {
  const writes = operations.filter(({ input, returnNs }) => input.kind === 'write' && returnNs !== Infinity);
  const index = operations.findIndex(
    (each, i) => i > operations.length / 2 && each.input.kind === 'read' && each.output !== undefined,
  );
  const read = operations[index] as Operation<RegisterInput, string>;
  const newer = writes.findLast((each) => each.returnNs < read.callNs) as Operation<RegisterInput, string>;
  const older = writes.findLast((each) => each.returnNs < newer.callNs) as Operation<RegisterInput, string>;
  const output = (older.input as { value: string }).value;
  return operations.map((each, i) => (i === index ? { ...each, output } : each));
}

/** A name that one process has to itself, made, and then not there. */
function vanished(operations: Operation<DirectoryInput, string>[]): Operation<DirectoryInput, string>[] {
  const ns = (operations[operations.length >> 1] as Operation<DirectoryInput, string>).returnNs;
  const process = 'own';
  const input = { kind: 'create', name: 'own', token: 'own' } as const;
  return [
    ...operations,
    { process, input, output: 'f999999', callNs: ns, returnNs: ns + 10 },
    { process, input: { kind: 'look', name: 'own' }, output: 'ENOENT', callNs: ns + 11, returnNs: ns + 200 },
  ];
}

/** A record that is in no read although its append had ended before the last of them began. */
function unread(operations: Operation<LogInput, LogOutput>[]): Operation<LogInput, LogOutput>[] {
  const lastRead = operations.findLast(({ output }) => Array.isArray(output)) as Operation<
    LogInput,
    LogOutput
  >;
  const lost = operations.findLast(
    ({ input, returnNs }) => input.kind === 'append' && returnNs < lastRead.callNs,
  ) as Operation<LogInput, LogOutput>;
  const { record } = lost.input as { record: string };
  return operations
    .filter(({ input }) => input.kind !== 'count')
    .map((each) =>
      Array.isArray(each.output)
        ? { ...each, output: each.output.filter((other) => other !== record) }
        : each,
    );
}

/** A holder that never let go, and others who got the lock all the same. */
function unreleased(operations: Operation<LockInput, LockOutput>[]): Operation<LockInput, LockOutput>[] {
  const index = operations.findIndex(({ input }, i) => i > operations.length / 2 && input.kind === 'release');
  return operations.filter((_, i) => i !== index);
}
