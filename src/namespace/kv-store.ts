/** A key: bytes, one per character (latin1), so that comparing strings compares bytes. */
export type KvKey = string;

export interface KvEntry {
  readonly key: KvKey;
  readonly value: Uint8Array;
}

/**
 * A value that is encoded when it is needed: a record that changes many times before its group is written
 * (a directory, at each create in it) is then encoded once. Pure; the store calls it at most once, before
 * the `commit` that brought it resolves.
 */
export type LazyValue = () => Uint8Array;

/** `value: undefined` deletes the key. */
export interface KvWrite {
  readonly key: KvKey;
  readonly value: Uint8Array | LazyValue | undefined;
}

export interface KvRange {
  /** First key that may be returned; with `afterStart` only keys greater than it. */
  readonly start: KvKey;
  readonly afterStart?: boolean;
  /** Keys returned are less than this. */
  readonly end: KvKey;
  readonly limit?: number;
}

/**
 * An ordered key-value store with transactions: etcd's model, without what one writer does not need.
 * The process that holds it is its only writer.
 */
export interface KvStore {
  /** The value as of the last call of `commit`, committed or not. The bytes must not be changed. */
  get(key: KvKey): Uint8Array | undefined;
  /** Entries in key order, as of the last call of `commit`. */
  range(range: KvRange): KvEntry[];
  /**
   * Applies all writes or none, and after every earlier commit. Visible to `get` and `range` at once;
   * resolves when a killed process (not a lost machine) would find them again.
   * Rejects with ENOSPC when the disk is full: then none of the writes are in the store, and `get` no
   * longer shows them, nor what was committed after them. Calls that share a transaction may share a promise.
   */
  commit(writes: readonly KvWrite[]): Promise<void>;
  /** Resolves when everything committed before the call survives a power cut (fsync). */
  sync(): Promise<void>;
  /** Commits, syncs, and lets go of the store. */
  close(): Promise<void>;
  /** Optional: false when so little space is left that only what frees space may still be committed. */
  hasRoom?(): boolean;
  /** Optional: while more is pending than the store's bound, a promise to wait for before more is committed. */
  congestion?(): Promise<void> | undefined;
  /**
   * Optional: while the last write of this key is handed over but not stored, the promise of its `commit`.
   * Who shows values to others waits for it, so that nothing is shown that a crash would undo. Absent where
   * `commit` stores at once.
   */
  pendingCommit?(key: KvKey): Promise<void> | undefined;
}

/** The least key that is greater than every key with this prefix. */
export function endOfPrefix(prefix: KvKey): KvKey {
  return prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1);
}
