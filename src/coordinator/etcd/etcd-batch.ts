import { GfsError } from '../../core/index.js';
import type { KvKey, KvStore, KvWrite, LazyValue } from '../../namespace/index.js';
import { deletionRanges, type KeyRange } from './deletion-ranges.js';
import type { EtcdKeys } from './etcd-keys.js';
import type { EtcdWrite } from './etcd-types.js';

export interface BatchLimits {
  /** Writes in one transaction, ours to the chain record not counted. */
  readonly operations: number;
  readonly bytes: number;
}

type Value = Uint8Array | LazyValue | undefined;

/**
 * What a value that is not yet encoded is taken for. The largest are symlinks' records, 72 bytes and a target
 * of 4,095; so 127 of them are less than 1 MiB, and what is above by more sources than usual has the 512 KiB
 * between that and etcd's own bound.
 */
const LAZY_BYTES = 8192;
/** Of protobuf's framing of a key and a value. */
const FRAME_BYTES = 16;

/** One commit, ready to be joined with others. */
export interface PreparedCommit {
  readonly writes: ReadonlyMap<KvKey, Value>;
  /** Instead of deleting key by key; then the commit does not share its transaction. */
  readonly ranges: readonly KeyRange[] | undefined;
}

/**
 * Later writes of a key replace earlier ones. Values are encoded at most once, whoever needs them first.
 * @param kept keys beside the store's contents, which no range of deletions may cover
 * @param kv the store as the commit finds it
 * @throws GfsError E2BIG for a commit that no transaction can hold
 */
export function prepareCommit(
  writes: readonly KvWrite[],
  limits: BatchLimits,
  kept: readonly KvKey[],
  kv: Pick<KvStore, 'range'>,
): PreparedCommit {
  const collapsed = new Map<KvKey, Value>();
  let bytes = 0;
  for (const { key, value } of writes) {
    bytes += costOf(key, value) - (collapsed.has(key) ? costOf(key, collapsed.get(key)) : 0);
    collapsed.set(key, typeof value === 'function' ? encodedOnce(value) : value);
  }
  const ranges = collapsed.size > limits.operations ? rangesOf(collapsed, kept, kv) : undefined;
  const operations = ranges === undefined ? collapsed.size : countPuts(collapsed) + ranges.length;
  if (operations > limits.operations || bytes > limits.bytes) {
    throw new GfsError(
      'E2BIG',
      `a commit of ${operations} operations and ${bytes} bytes does not fit in one transaction of etcd, ` +
        `which takes ${limits.operations} and ${limits.bytes} here (see --max-txn-ops)`,
    );
  }
  return { writes: collapsed, ranges };
}

function rangesOf(
  writes: ReadonlyMap<KvKey, Value>,
  kept: readonly KvKey[],
  kv: Pick<KvStore, 'range'>,
): KeyRange[] {
  const deleted: KvKey[] = [];
  const stays = [...kept];
  for (const [key, value] of writes) (value === undefined ? deleted : stays).push(key);
  return deletionRanges(deleted, stays, kv);
}

function countPuts(writes: ReadonlyMap<KvKey, Value>): number {
  let count = 0;
  for (const value of writes.values()) if (value !== undefined) count++;
  return count;
}

function costOf(key: KvKey, value: Value): number {
  const bytes = typeof value === 'function' ? LAZY_BYTES : (value?.length ?? 0);
  return FRAME_BYTES + key.length + bytes;
}

function encodedOnce(value: LazyValue): LazyValue {
  let encoded: Uint8Array | undefined;
  return () => (encoded ??= value());
}

/** Commits that become one transaction, in order: later writes of a key replace earlier ones. */
export class EtcdBatch {
  readonly done: Promise<void>;
  /** Its place in the chain, given when it is first sent. */
  number = 0;
  readonly #writes = new Map<KvKey, Value>();
  readonly #limits: BatchLimits;
  #ranges: readonly KeyRange[] | undefined;
  #bytes = 0;
  #operations: EtcdWrite[] | undefined;
  #settle: { resolve: () => void; reject: (error: Error) => void } | undefined;

  constructor(limits: BatchLimits) {
    this.#limits = limits;
    this.done = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    // Whoever commits need not wait for it: that the store has failed is told by `EtcdStore.failed`.
    this.done.catch(() => undefined);
  }

  get size(): number {
    return this.#writes.size;
  }

  keys(): Iterable<KvKey> {
    return this.#writes.keys();
  }

  /** @returns false when the commit does not fit beside what is there, and nothing was added */
  add({ writes, ranges }: PreparedCommit): boolean {
    if (this.#writes.size > 0 && (ranges !== undefined || this.#ranges !== undefined)) return false;
    let count = this.#writes.size;
    let bytes = this.#bytes;
    for (const [key, value] of writes) {
      const present = this.#writes.has(key);
      if (!present) count++;
      bytes += costOf(key, value) - (present ? costOf(key, this.#writes.get(key)) : 0);
    }
    const { operations, bytes: bytesMax } = this.#limits;
    if (this.#writes.size > 0 && (count > operations || bytes > bytesMax)) return false;
    for (const [key, value] of writes) this.#writes.set(key, value);
    this.#bytes = bytes;
    this.#ranges = ranges;
    return true;
  }

  /** Encodes; the same for each attempt to send it. */
  operations(keys: EtcdKeys): readonly EtcdWrite[] {
    this.#operations ??= this.#encode(keys);
    return this.#operations;
  }

  #encode(keys: EtcdKeys): EtcdWrite[] {
    const operations: EtcdWrite[] = (this.#ranges ?? []).map(({ start, end }) => ({
      delete: keys.toEtcd(start),
      end: keys.toEtcd(end),
    }));
    for (const [key, value] of this.#writes) {
      if (value !== undefined) {
        operations.push({
          put: keys.toEtcd(key),
          value: typeof value === 'function' ? value() : value,
        });
      } else if (this.#ranges === undefined) {
        operations.push({ delete: keys.toEtcd(key) });
      }
    }
    return operations;
  }

  resolve(): void {
    this.#settle?.resolve();
  }

  reject(error: Error): void {
    this.#settle?.reject(error);
  }
}
