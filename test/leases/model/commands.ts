import type { Ino } from '../../../src/core/index.js';
import type { LeaseChanges } from '../../../src/leases/index.js';
import type { Name } from '../../../src/core/index.js';
import type { Oracle } from './oracle.js';
import { DIRECTORY, type ModelCommand, type ModelEntry, type ModelRecord } from './protocol.js';
import type { State } from './store.js';

/** What a command does, decided against a leader's memory. */
export interface Plan {
  readonly names: readonly { readonly name: string; readonly entry: ModelEntry }[];
  /** The one that the answer is about comes first. */
  readonly records: readonly ModelRecord[];
  readonly changes: LeaseChanges;
  /** Tells the oracle, once it is stored. */
  readonly applied: (oracle: Oracle) => void;
}

export type Decision =
  | { readonly kind: 'plan'; readonly plan: Plan }
  | { readonly kind: 'failed'; readonly names: readonly string[] }
  | { readonly kind: 'stale' };

export const nameKey = (name: string): string => `name ${name}`;
export const inodeKey = (ino: Ino): string => `inode ${ino}`;

/** Whether nobody else may read or write the file meanwhile. */
export const changesContent = (
  command: ModelCommand,
): command is ModelCommand & { kind: 'commit' | 'restore' | 'truncate' } =>
  command.kind === 'commit' || command.kind === 'restore' || command.kind === 'truncate';

export function decide(state: State, command: ModelCommand): Decision {
  switch (command.kind) {
    case 'create':
      return decideCreate(state, command);
    case 'unlink':
    case 'rename':
      return decideNames(state, command);
    default:
      return decideInode(state, command);
  }
}

function decideCreate(state: State, command: ModelCommand & { kind: 'create' }): Decision {
  const { name, ino, change } = command;
  const before = state.entry(name);
  if (before.ino !== undefined) return { kind: 'failed', names: [name] };
  const record = { ino, attributes: change, content: change, version: 1, named: true };
  const plan: Plan = {
    names: [{ name, entry: { change, ino } }],
    records: [record],
    changes: noticesOf([name], []),
    applied: (oracle) => {
      oracle.name(name).append(change, before.change);
      oracle.addFile(ino, change);
    },
  };
  return { kind: 'plan', plan };
}

/** `unlink`, and `rename` with or without a file that is replaced. */
function decideNames(state: State, command: ModelCommand & { kind: 'unlink' | 'rename' }): Decision {
  const { name, change } = command;
  const source = state.entry(name);
  if (source.ino === undefined) return { kind: 'failed', names: [name] };
  const newName = command.kind === 'rename' ? command.newName : undefined;
  const replaced = newName === undefined ? undefined : state.entry(newName);
  const orphan = newName === undefined ? source.ino : replaced?.ino;
  const record = orphan === undefined ? undefined : state.inodes.get(orphan);
  const names = [{ name, entry: { change } as ModelEntry }];
  if (newName !== undefined) names.push({ name: newName, entry: { change, ino: source.ino } });
  const plan: Plan = {
    names,
    records: record === undefined ? [] : [{ ...record, attributes: change, named: false }],
    changes: noticesOf(
      newName === undefined ? [name] : [name, newName],
      record === undefined ? [] : [record.ino],
      true,
    ),
    applied: (oracle) => {
      oracle.name(name).append(change, source.change);
      if (newName !== undefined) oracle.name(newName).append(change, replaced?.change ?? 0);
      if (record !== undefined) oracle.attributes(record.ino).append(change, record.attributes);
    },
  };
  return { kind: 'plan', plan };
}

function decideInode(
  state: State,
  command: ModelCommand & { kind: 'chmod' | 'truncate' | 'commit' | 'restore' },
): Decision {
  const { ino, change, kind } = command;
  const record = state.inodes.get(ino);
  if (record === undefined) return { kind: 'stale' };
  if ('baseVersion' in command && command.baseVersion !== record.version) return { kind: 'stale' };
  const written =
    kind === 'chmod'
      ? { ...record, attributes: change }
      : { ...record, content: change, version: record.version + 1 };
  const plan: Plan = {
    names: [],
    records: [written],
    changes: noticesOf([], [ino]),
    applied: (oracle) => {
      if (kind === 'chmod') oracle.attributes(ino).append(change, record.attributes);
      else if (kind === 'commit') oracle.content(ino).store(change);
      else oracle.content(ino).append(change, record.content);
    },
  };
  return { kind: 'plan', plan };
}

const noticesOf = (names: readonly string[], inos: readonly Ino[], orphaned = false): LeaseChanges => ({
  entries: names.map((name) => [DIRECTORY, name as Name]),
  inodes: inos.map((ino) => ({ ino, orphaned })),
});
