import { GfsError } from '../../src/core/index.js';
import {
  type KvEntry,
  type KvKey,
  type KvRange,
  type KvStore,
  type KvWrite,
  MemoryStore,
} from '../../src/namespace/index.js';

interface Group {
  readonly keys: Set<KvKey>;
  readonly undo: KvWrite[];
  readonly done: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: GfsError) => void;
}

/** A store in memory that, while `holding`, keeps what is committed back until the test lets it go. */
export class HoldingStore implements KvStore {
  readonly stored: MemoryStore;
  holding = false;
  readonly #groups: Group[] = [];

  constructor(stored = new MemoryStore()) {
    this.stored = stored;
  }

  get(key: KvKey): Uint8Array | undefined {
    return this.stored.get(key);
  }

  range(range: KvRange): KvEntry[] {
    return this.stored.range(range);
  }

  commit(writes: readonly KvWrite[]): Promise<void> {
    if (!this.holding) return this.stored.commit(writes);
    const undo = writes.map(({ key }) => ({ key, value: this.stored.get(key) }));
    void this.stored.commit(writes);
    let resolve = (): void => undefined;
    let reject = (_error: GfsError): void => undefined;
    const done = new Promise<void>((yes, no) => {
      resolve = yes;
      reject = no;
    });
    this.#groups.push({ keys: new Set(writes.map(({ key }) => key)), undo, done, resolve, reject });
    return done;
  }

  pendingCommit(key: KvKey): Promise<void> | undefined {
    return this.#groups.findLast(({ keys }) => keys.has(key))?.done;
  }

  get held(): number {
    return this.#groups.length;
  }

  /** The oldest `count` commits become stored. */
  letGo(count = Infinity): void {
    for (const group of this.#groups.splice(0, count)) group.resolve();
  }

  /** Nothing that is held can be stored. */
  fail(): void {
    const groups = this.#groups.splice(0);
    for (const { undo } of [...groups].reverse()) void this.stored.commit(undo);
    for (const { reject } of groups) reject(new GfsError('ENOSPC', 'the disk of the metadata store is full'));
  }

  sync(): Promise<void> {
    return this.#groups.at(-1)?.done ?? Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
