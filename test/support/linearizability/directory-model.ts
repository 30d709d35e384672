import type { Kind } from './judge.js';
import type { Model, Operation } from './operation.js';

/**
 * Names of one directory: who renames needs several of them. An object is told by its inode number, which is
 * never used again: `f12` is a file, `d13` a directory (empty for ever). link(2) is not among the operations:
 * a kernel looks at the old name first and makes the new one later, on a local disk too, so it is not one step.
 */
export type DirectoryInput =
  /** `token` is the operation's own: it names the object while nobody has seen its number. */
  | { readonly kind: 'create' | 'mkdir'; readonly name: string; readonly token: string }
  | { readonly kind: 'unlink' | 'rmdir' | 'look'; readonly name: string }
  | {
      readonly kind: 'rename' | 'exchange';
      readonly name: string;
      readonly to: string;
      /**
       * While it ran, others moved something from the one name to the other. A kernel looks up both names, one
       * after the other, and does nothing, with success, when it has found one object twice (rename(2)): that
       * may be what was moved between its two looks.
       */
      readonly mayDoNothing?: boolean;
    };
/** The object of `look`, and of `create` and `mkdir` when they tell it; `ok`; or an errno's name. */
export type DirectoryOutput = string;

/** `a=f12;b=d13`: what there is, in order of names. */
type Names = ReadonlyMap<string, string>;

const read = (state: string): Map<string, string> =>
  new Map(state === '' ? [] : state.split(';').map((each) => each.split('=') as [string, string]));
const write = (names: Names): string =>
  [...names]
    .map(([name, object]) => `${name}=${object}`)
    .sort()
    .join(';');

/** The objects that are known by number because the one who made them was told it. */
type Made = ReadonlySet<string>;

export const directory: Kind<string, DirectoryInput, DirectoryOutput> = {
  prepare(history) {
    const made = new Set(
      history.flatMap(({ input, output }) =>
        (input.kind === 'create' || input.kind === 'mkdir') && output !== undefined ? [output] : [],
      ),
    );
    const told = history.filter((each) => each.returnNs !== Infinity || each.input.kind !== 'look');
    return { history: withDoubts(told), model: model(made) };
  },
  shown(input, output) {
    const target = 'to' in input ? ` ${input.to}` : '';
    return `${input.kind} ${input.name}${target} -> ${output ?? 'unknown'}`;
  },
};

function model(made: Made): Model<string, DirectoryInput, DirectoryOutput> {
  return {
    initial: '',
    step(state, input, output) {
      const names = read(state);
      const after = stepOn(names, input, output, made);
      const states = after === undefined ? [] : [write(after)];
      const doubtful = 'to' in input && input.mayDoNothing === true && output === 'ok';
      return doubtful && read(state).has(input.to) ? [...states, state] : states;
    },
  };
}

type DirectoryOperation = Operation<DirectoryInput, DirectoryOutput>;

/** Marks those that may have done nothing. */
function withDoubts(history: readonly DirectoryOperation[]): DirectoryOperation[] {
  const moves = history.flatMap((each) => movesOf(each).map((way) => ({ each, ...way })));
  return history.map((each) => {
    const { input } = each;
    if (!('to' in input) || each.output !== 'ok') return each;
    const meanwhile = moves.filter(
      ({ each: other }) => other !== each && other.callNs <= each.returnNs && each.callNs <= other.returnNs,
    );
    const isMoved = (from: string, to: string): boolean =>
      meanwhile.some((move) => move.from === from && move.to === to);
    const mayDoNothing =
      isMoved(input.name, input.to) ||
      meanwhile.some(({ from, to }) => from === input.name && isMoved(to, input.to));
    return mayDoNothing ? { ...each, input: { ...input, mayDoNothing } } : each;
  });
}

/** From which name to which it moves an object, if it did. */
function movesOf({ input, output }: DirectoryOperation): { from: string; to: string }[] {
  if (!('to' in input) || (output !== undefined && output !== 'ok')) return [];
  const there = { from: input.name, to: input.to };
  return input.kind === 'rename' ? [there] : [there, { from: input.to, to: input.name }];
}

/** @returns undefined when the output does not fit */
function stepOn(
  names: Map<string, string>,
  input: DirectoryInput,
  output: DirectoryOutput | undefined,
  made: Made,
): Names | undefined {
  switch (input.kind) {
    case 'create':
    case 'mkdir':
      return make(names, input, output);
    case 'look':
      return look(names, input.name, output, made);
    case 'unlink':
    case 'rmdir':
      return remove(names, input.kind, input.name, output);
    case 'rename':
    case 'exchange':
      return moveOn(names, input.kind, input.name, input.to, output);
  }
}

function make(
  names: Map<string, string>,
  input: DirectoryInput & { token: string },
  output: string | undefined,
): Names | undefined {
  if (names.has(input.name)) return output === undefined || output === 'EEXIST' ? names : undefined;
  if (output === 'EEXIST') return undefined;
  const isTold = output !== undefined && output !== 'ok';
  return names.set(input.name, isTold ? output : `${input.kind === 'create' ? 'f' : 'd'}?${input.token}`);
}

/** An object whose maker was told nothing gets its number from the first who sees it. */
function look(
  names: Map<string, string>,
  name: string,
  output: string | undefined,
  made: Made,
): Names | undefined {
  const object = names.get(name);
  if (output === undefined || output === (object ?? 'ENOENT')) return names;
  if (object?.[1] !== '?' || object[0] !== output[0] || made.has(output)) return undefined;
  for (const [other, its] of names) if (its === object) names.set(other, output);
  return names;
}

function remove(
  names: Map<string, string>,
  kind: 'unlink' | 'rmdir',
  name: string,
  output: string | undefined,
): Names | undefined {
  const type = names.get(name)?.[0];
  let expected = 'ok';
  if (type === undefined) expected = 'ENOENT';
  else if (kind === 'unlink' && type === 'd') expected = 'EISDIR';
  else if (kind === 'rmdir' && type === 'f') expected = 'ENOTDIR';
  if (output !== undefined && output !== expected) return undefined;
  if (expected === 'ok') names.delete(name);
  return names;
}

/**
 * Errors that depend on two names (a directory onto a file) come from the caller's kernel, which looks at one
 * after the other: they are not one moment's truth on any network filesystem, and change nothing. So they are
 * taken at any time; what succeeds is the server's word, and must be exact.
 */
const OF_TWO_NAMES = new Set(['EISDIR', 'ENOTDIR']);

function moveOn(
  names: Names,
  kind: 'rename' | 'exchange',
  name: string,
  to: string,
  output: string | undefined,
): Names | undefined {
  if (output !== undefined && OF_TWO_NAMES.has(output)) return names;
  const after = moved(names, kind, name, to);
  if (output === undefined) return after ?? names;
  if (output === 'ok') return after;
  const [from, target] = [names.get(name), names.get(to)];
  const isMissing = from === undefined || (kind === 'exchange' && target === undefined);
  return isMissing && output === 'ENOENT' ? names : undefined;
}

/** What it leaves; undefined when it fails. */
function moved(names: Names, kind: 'rename' | 'exchange', name: string, to: string): Names | undefined {
  const [from, target] = [names.get(name), names.get(to)];
  if (from === undefined) return undefined;
  const after = new Map(names);
  if (kind === 'exchange') return target === undefined ? undefined : after.set(name, target).set(to, from);
  if (target !== undefined && target[0] !== from[0]) return undefined;
  after.delete(name);
  return after.set(to, from);
}
