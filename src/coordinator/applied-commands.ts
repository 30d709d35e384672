import { GfsError, type Ino } from '../core/index.js';
import { type CommandResult, type KvStore, type KvWrite, endOfPrefix } from '../namespace/index.js';
import type { ClusterKeys } from './cluster-keys.js';
import type { InFlightCommand } from './in-flight-command.js';

/** What is known of a command that was applied; `orphaned` as in CommandResult. */
export type Outcome =
  | { readonly state: 'in-flight'; readonly command: InFlightCommand }
  | { readonly state: 'answered'; readonly ino: Ino; readonly orphaned: Ino | undefined };

/**
 * What one session's commands have done, as long as the session may ask again: `applied/<session>/<number>`,
 * written in the transaction of the command itself. So a command that is sent again, be it to another leader,
 * is applied once. Commands that failed have changed nothing, and may be decided again.
 */
export class AppliedCommands {
  readonly #session: string;
  readonly #keys: ClusterKeys;
  readonly #outcomes = new Map<number, Outcome>();
  #answeredBelow = 0;

  constructor(session: string, keys: ClusterKeys) {
    this.#session = session;
    this.#keys = keys;
  }

  /** What an earlier leader has recorded. @throws GfsError CORRUPT */
  load(kv: KvStore): void {
    const prefix = this.#keys.appliedOf(this.#session);
    for (const { key, value } of kv.range({ start: prefix, end: endOfPrefix(prefix) })) {
      this.#outcomes.set(Number(key.slice(prefix.length)), decodeOutcome(key, value));
    }
  }

  get(number: number): Outcome | undefined {
    return this.#outcomes.get(number);
  }

  start(number: number, command: InFlightCommand): void {
    this.#outcomes.set(number, { state: 'in-flight', command });
  }

  answered(number: number, { inode, orphaned }: CommandResult): void {
    this.#outcomes.set(number, { state: 'answered', ino: inode.ino, orphaned: orphaned?.ino });
  }

  undone(number: number): void {
    this.#outcomes.delete(number);
  }

  /** The write that goes into a command's transaction. */
  record(number: number, { inode, orphaned }: CommandResult): KvWrite {
    const key = this.#keys.applied(this.#session, number);
    return { key, value: () => encodeOutcome(inode.ino, orphaned?.ino) };
  }

  /** Everything below has been answered. @returns the writes that delete the records, for a later transaction */
  forget(answeredBelow: number): KvWrite[] {
    if (answeredBelow <= this.#answeredBelow) return [];
    const few = answeredBelow - this.#answeredBelow <= this.#outcomes.size;
    const numbers = few ? range(this.#answeredBelow, answeredBelow) : [...this.#outcomes.keys()];
    this.#answeredBelow = answeredBelow;
    const deletions: KvWrite[] = [];
    for (const number of numbers) {
      if (number >= answeredBelow || !this.#outcomes.delete(number)) continue;
      deletions.push({ key: this.#keys.applied(this.#session, number), value: undefined });
    }
    return deletions;
  }

  /** Inodes that commands from number `from` on have made or changed. */
  *inos(from: number): Generator<Ino> {
    for (const [number, outcome] of this.#outcomes) {
      if (number < from) continue;
      yield outcome.state === 'answered' ? outcome.ino : outcome.command.executed.inode.ino;
    }
  }
}

function range(start: number, end: number): number[] {
  return Array.from({ length: end - start }, (_, index) => start + index);
}

/** Two decimal numbers: the inode, and the one that was orphaned or 0. */
const encodeOutcome = (ino: Ino, orphaned: Ino | undefined): Uint8Array =>
  Buffer.from(`${ino} ${orphaned ?? 0}`, 'latin1');

function decodeOutcome(key: string, value: Uint8Array): Outcome {
  const match = /^([1-9][0-9]*) ([0-9]+)$/.exec(Buffer.from(value).toString('latin1'));
  if (match === null) throw new GfsError('CORRUPT', `the store's ${key} cannot be decoded`);
  const orphaned = Number(match[2]);
  return {
    state: 'answered',
    ino: Number(match[1]) as Ino,
    orphaned: orphaned === 0 ? undefined : (orphaned as Ino),
  };
}
