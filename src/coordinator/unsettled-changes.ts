import type { Ino, Name } from '../core/index.js';
import type { InFlightCommand } from './in-flight-command.js';
import type { Session } from './session.js';

/**
 * Changes that some session has not forgotten the past of. Whoever is shown such a change could tell that session,
 * which would then look, and see what was before: so it is shown to nobody yet (linearizability).
 */
export class UnsettledChanges {
  readonly #inodes = new Map<Ino, Set<InFlightCommand>>();
  readonly #entries = new Map<string, Set<InFlightCommand>>();

  add(command: InFlightCommand): void {
    for (const change of command.executed.invalidations) {
      if (change.kind === 'inode') put(this.#inodes, change.ino, command);
      else put(this.#entries, entryKey(change.parent, change.name), command);
    }
  }

  remove(command: InFlightCommand): void {
    for (const change of command.executed.invalidations) {
      if (change.kind === 'inode') take(this.#inodes, change.ino, command);
      else take(this.#entries, entryKey(change.parent, change.name), command);
    }
  }

  /** Commands that hide an inode from the reader. */
  ofInode(ino: Ino, reader: Session): readonly InFlightCommand[] {
    return this.#inodes.size === 0 ? NONE : hiding(this.#inodes.get(ino), reader);
  }

  ofEntry(parent: Ino, name: Name, reader: Session): readonly InFlightCommand[] {
    return this.#entries.size === 0 ? NONE : hiding(this.#entries.get(entryKey(parent, name)), reader);
  }
}

const NONE: readonly InFlightCommand[] = [];

const entryKey = (parent: Ino, name: Name): string => `${parent}/${name}`;

function put<K>(index: Map<K, Set<InFlightCommand>>, key: K, command: InFlightCommand): void {
  const present = index.get(key);
  if (present === undefined) index.set(key, new Set([command]));
  else present.add(command);
}

function take<K>(index: Map<K, Set<InFlightCommand>>, key: K, command: InFlightCommand): void {
  const present = index.get(key);
  present?.delete(command);
  if (present?.size === 0) index.delete(key);
}

function hiding(commands: Set<InFlightCommand> | undefined, reader: Session): readonly InFlightCommand[] {
  return commands === undefined ? NONE : [...commands].filter((command) => command.hiddenFrom(reader));
}
