import type { Ino } from '../../../src/core/index.js';
import { type ModelEntry, type ModelRecord, type ModelSession } from './protocol.js';
import type { Simulation } from './simulation.js';

const COMMIT_MIN_MS = 1;
const COMMIT_MAX_MS = 120;

/** What a command that was applied has touched. */
export interface Applied {
  readonly names: readonly string[];
  readonly ino?: Ino;
}

/** The namespace, the sessions, and the numbers of applied commands: at the store, and in a leader's memory. */
export class State {
  readonly inodes = new Map<Ino, ModelRecord>();
  readonly names = new Map<string, ModelEntry>();
  /** By `<session>/<number>`. */
  readonly applied = new Map<string, Applied>();
  readonly sessions = new Map<string, ModelSession>();

  entry(name: string): ModelEntry {
    return this.names.get(name) ?? { change: 0 };
  }

  copy(): State {
    const copy = new State();
    for (const [key, value] of this.inodes) copy.inodes.set(key, value);
    for (const [key, value] of this.names) copy.names.set(key, value);
    for (const [key, value] of this.applied) copy.applied.set(key, value);
    for (const [key, value] of this.sessions) copy.sessions.set(key, value);
    return copy;
  }
}

interface Commit {
  readonly keys: readonly string[];
  readonly apply: (state: State) => void;
  /** For the oracle: the world's truth has changed. Comes before `stored`. */
  readonly applied: () => void;
  readonly stored: () => void;
}

/** The replicated store: outlives leaders, and takes writes only from the one that is elected. */
export class Store {
  readonly state = new State();
  term = 0;
}

/** A leader's way to the store: commits are stored in order, each some time after it was handed over. */
export class StoreWriter {
  readonly #simulation: Simulation;
  readonly #store: Store;
  readonly #term: number;
  readonly #pending: Commit[] = [];
  readonly #waiting: { keys: readonly string[]; then: () => void }[] = [];
  #lastStoredMs = 0;
  #cut = false;

  constructor(simulation: Simulation, store: Store) {
    this.#simulation = simulation;
    this.#store = store;
    this.#term = ++store.term;
  }

  /** Nothing more is stored, except perhaps what is on its way now, up to some commit of it. The leader is not told. */
  cut(): void {
    this.#cut = true;
    const last = this.#simulation.random.int(this.#pending.length + 1);
    for (const commit of this.#pending.slice(0, last)) this.#apply(commit);
  }

  commit(commit: Commit): void {
    this.#pending.push(commit);
    if (this.#cut) return;
    this.#lastStoredMs = Math.max(
      this.#lastStoredMs,
      this.#simulation.nowMs + this.#simulation.delay(COMMIT_MIN_MS, COMMIT_MAX_MS),
    );
    this.#simulation.at(this.#lastStoredMs, () => {
      if (this.#cut) return;
      this.#pending.shift();
      this.#apply(commit);
      commit.stored();
      this.#wake();
    });
  }

  isPending(keys: readonly string[]): boolean {
    return this.#pending.some((commit) => commit.keys.some((key) => keys.includes(key)));
  }

  /** Once, when nothing of these keys is pending any more. */
  whenStored(keys: readonly string[], then: () => void): void {
    this.#waiting.push({ keys, then });
  }

  #apply(commit: Commit): void {
    if (this.#term !== this.#store.term) return;
    this.#simulation.note(() => `stored: ${commit.keys.join(', ')}`);
    commit.apply(this.#store.state);
    commit.applied();
  }

  #wake(): void {
    for (const waiter of [...this.#waiting]) {
      if (this.isPending(waiter.keys)) continue;
      this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
      waiter.then();
    }
  }
}
