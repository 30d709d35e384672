import { type Clock, GfsError, type Logger, assertNever, errorFields, toGfsError } from '../../core/index.js';
import type { KvEntry, KvKey, KvRange, KvStore, KvWrite } from '../../namespace/index.js';
import { type BatchLimits, EtcdBatch, prepareCommit } from './etcd-batch.js';
import type { EtcdClient } from './etcd-client.js';
import { compactHistory } from './etcd-compaction.js';
import type { EtcdTerm } from './etcd-election.js';
import { type EtcdKeys, decodeChainLink, encodeChainLink } from './etcd-keys.js';
import { pause } from './etcd-lease.js';
import type { EtcdCompare, EtcdTransactionAnswer } from './etcd-types.js';

export interface EtcdStoreOptions {
  readonly client: EtcdClient;
  readonly keys: EtcdKeys;
  /** Of this process: writes are its, and end with it. */
  readonly term: EtcdTerm;
  /** What etcd holds, as EtcdMirror brings it. It is the store's from now on, and of no use when that fails. */
  readonly mirror: KvStore;
  readonly clock: Clock;
  readonly logger: Logger;
  /** etcd's --max-txn-ops. */
  readonly operationsMax?: number;
  /** Transactions on their way at once. */
  readonly pipelineMax?: number;
  /** How often etcd's history is given up, as long as this leads. */
  readonly compactMs?: number;
}

/** etcd's default. One of them is the chain record. */
const OPERATIONS_MAX = 128;
/** etcd takes 1.5 MiB in one request (--max-request-bytes): a third is left for what is only estimated. */
const TRANSACTION_BYTES_MAX = 1024 * 1024;
/** Where a round trip to etcd and its disk take 10 ms, four store twice as much as one. */
const PIPELINE_MAX = 4;
/**
 * Between one transaction and the next while any is on its way. etcd serves each request in a goroutine of its
 * own, the youngest first: of transactions sent together half come early and are sent again, of these one in
 * ten (measured on two busy cores).
 */
const SPACING_MS = 2;
/** Writes that wait to be sent. More, and callers should wait: 32 transactions, some 50 ms and 4 MB. */
const BACKLOG_WRITES_MAX = 4096;

/** What a standby that was cut off need not read anew is the changes of five to ten minutes. */
const COMPACT_MS = 5 * 60_000;

const RETRY_MS = 50;
const RETRY_MAX_MS = 1000;

type Verdict =
  /** The chain has reached this number. */
  | { readonly kind: 'applied'; readonly number: number }
  /** It came before its predecessor. */
  | { readonly kind: 'early' }
  /** Not applied, or applied and not known to be, or to be applied later. */
  | { readonly kind: 'unknown'; readonly error: GfsError }
  | { readonly kind: 'refused'; readonly error: GfsError };

/**
 * The leader's KvStore on etcd. Reads come from a mirror, at once; commits are shown there, joined to
 * transactions in order, and resolve when etcd has them.
 *
 * Each transaction compares the leader's key, so it is void once somebody else has been elected, and the
 * chain record, which holds the number of the last transaction of this term; and it writes its own number
 * there. So transactions may be under way together and still apply in order; and one whose fate is unknown
 * is sent again as it was: it applies once, and the chain record tells which attempt it was.
 */
export class EtcdStore implements KvStore {
  /** Resolves when the store can store no more: leadership is lost, or etcd refuses. All pending commits have been rejected then. */
  readonly failed: Promise<GfsError>;
  readonly #options: EtcdStoreOptions;
  readonly #limits: BatchLimits;
  readonly #pipelineMax: number;
  /** Not sent; the last one is being filled. */
  #waiting: EtcdBatch[] = [];
  #waitingWrites = 0;
  /** Sent and not acknowledged, in the order of their numbers. */
  #flying: EtcdBatch[] = [];
  readonly #pending = new Map<KvKey, EtcdBatch>();
  #sent = 0;
  #acknowledged = 0;
  #scheduled = false;
  #sentMs = 0;
  /** Some that are on their way will be sent again, one by one: what is sent now would come too early. */
  #stumbled = false;
  #closed = false;
  readonly #ended = new AbortController();
  /** etcd's database is at its quota: nothing is written until its administrator makes room. */
  #full = false;
  #failure: GfsError | undefined;
  #fail: (error: GfsError) => void = () => undefined;

  constructor(options: EtcdStoreOptions) {
    this.#options = options;
    const { operationsMax = OPERATIONS_MAX, pipelineMax = PIPELINE_MAX, term } = options;
    const { compactMs: everyMs = COMPACT_MS } = options;
    this.#limits = { operations: operationsMax - 1, bytes: TRANSACTION_BYTES_MAX };
    this.#pipelineMax = pipelineMax;
    this.failed = new Promise((resolve) => {
      this.#fail = resolve;
    });
    if (term.lost.aborted) this.#termLost();
    else term.lost.addEventListener('abort', this.#termLost, { once: true });
    void compactHistory({ ...options, everyMs }, AbortSignal.any([term.lost, this.#ended.signal]));
  }

  /** After `failed`, too, but then it is of no account: what was refused is in it. */
  get(key: KvKey): Uint8Array | undefined {
    return this.#options.mirror.get(key);
  }

  range(range: KvRange): KvEntry[] {
    return this.#options.mirror.range(range);
  }

  /**
   * Rejects with UNAVAILABLE when leadership is lost before etcd has acknowledged: whether it is stored, the next
   * leader knows. With E2BIG for a commit that fits in no transaction; it is not shown then.
   */
  commit(writes: readonly KvWrite[]): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#closed) return Promise.reject(new GfsError('EIO', 'the metadata store is closed'));
    if (writes.length === 0) return this.sync();
    const { keys, mirror } = this.#options;
    let prepared;
    try {
      prepared = prepareCommit(writes, this.#limits, keys.internal, mirror);
    } catch (thrown) {
      return Promise.reject(toGfsError(thrown));
    }
    const shown = Array.from(prepared.writes, ([key, value]) => ({ key, value }));
    mirror.commit(shown).catch((thrown: unknown) => this.#die(mirrorError(thrown)));
    let batch = this.#waiting.at(-1);
    const before = batch?.size ?? 0;
    if (batch?.add(prepared) === true) {
      this.#waitingWrites += batch.size - before;
    } else {
      batch = new EtcdBatch(this.#limits);
      batch.add(prepared);
      this.#waiting.push(batch);
      this.#waitingWrites += batch.size;
    }
    for (const { key } of shown) this.#pending.set(key, batch);
    this.#schedule();
    return batch.done;
  }

  pendingCommit(key: KvKey): Promise<void> | undefined {
    return this.#pending.get(key)?.done;
  }

  /** etcd acknowledges only what a majority has on disk, so nothing more is to be done than to wait. */
  sync(): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return (this.#waiting.at(-1) ?? this.#flying.at(-1))?.done ?? Promise.resolve();
  }

  /** Waits for what is pending. Mirror, term and client are left to whoever gave them. */
  async close(): Promise<void> {
    this.#closed = true;
    try {
      if (this.#failure === undefined) await this.sync();
    } finally {
      this.#ended.abort();
      this.#options.term.lost.removeEventListener('abort', this.#termLost);
    }
  }

  hasRoom(): boolean {
    return !this.#full && this.#options.mirror.hasRoom?.() !== false;
  }

  congestion(): Promise<void> | undefined {
    if (this.#waitingWrites > BACKLOG_WRITES_MAX) return this.#flying[0]?.done;
    return this.#options.mirror.congestion?.();
  }

  /** At the earliest after this turn of the event loop: what is committed in one turn goes together. */
  #schedule(waitMs = 0): void {
    if (this.#scheduled || this.#flying.length >= this.#pipelineMax) return;
    this.#scheduled = true;
    const pump = (): void => {
      this.#scheduled = false;
      this.#pump();
    };
    if (waitMs === 0) setImmediate(pump);
    else setTimeout(pump, waitMs);
  }

  /** Sends the next batch, unless enough are on their way, or one has just left. */
  #pump(): void {
    if (this.#failure !== undefined || this.#waiting.length === 0) return;
    if (this.#flying.length >= (this.#stumbled ? 1 : this.#pipelineMax)) return;
    const { clock } = this.#options;
    const waitMs = this.#flying.length === 0 ? 0 : this.#sentMs + SPACING_MS - clock.monotonicMs();
    if (waitMs > 0) {
      this.#schedule(waitMs);
      return;
    }
    this.#stumbled = false;
    const batch = this.#waiting.shift() as EtcdBatch;
    this.#waitingWrites -= batch.size;
    batch.number = ++this.#sent;
    this.#sentMs = clock.monotonicMs();
    const predecessor = this.#flying.at(-1)?.done;
    this.#flying.push(batch);
    void this.#send(batch, predecessor);
    this.#pump();
  }

  /** Until the chain has reached the batch, or the store has failed. */
  async #send(batch: EtcdBatch, predecessor: Promise<void> | undefined): Promise<void> {
    const { clock, logger, term } = this.#options;
    for (let retryMs = RETRY_MS; this.#isPending(batch); retryMs = Math.min(2 * retryMs, RETRY_MAX_MS)) {
      const verdict = await this.#attempt(batch);
      if (!this.#isPending(batch)) return;
      switch (verdict.kind) {
        case 'applied':
          this.#acknowledge(verdict.number);
          return;
        case 'refused':
          this.#die(verdict.error);
          return;
        case 'early':
          this.#stumbled = true;
          await settled(predecessor);
          break;
        case 'unknown':
          this.#stumbled = true;
          logger.warn('a transaction is sent again, since its fate is unknown', {
            number: batch.number,
            ...errorFields(verdict.error),
          });
          await pause(clock, retryMs, term.lost);
          await settled(predecessor);
          break;
        default:
          assertNever(verdict);
      }
    }
  }

  #isPending(batch: EtcdBatch): boolean {
    return this.#failure === undefined && batch.number > this.#acknowledged;
  }

  async #attempt(batch: EtcdBatch): Promise<Verdict> {
    const { client, keys, term } = this.#options;
    const { fence } = term;
    if (!term.held()) return { kind: 'refused', error: noLongerLeader() };
    const link = encodeChainLink({ term: fence.createRevision, number: batch.number });
    try {
      const answer = await client.transaction({
        compare: [{ key: fence.key, createRevision: fence.createRevision }, this.#chainBefore(batch)],
        writes: [{ put: keys.chain, value: link }, ...batch.operations(keys)],
        otherwiseGet: [fence.key, keys.chain],
      });
      this.#full = false;
      return answer.succeeded ? { kind: 'applied', number: batch.number } : this.#judge(batch, answer);
    } catch (thrown) {
      const error = toGfsError(thrown);
      this.#full = error.code === 'ENOSPC';
      return { kind: error.retryable || this.#full ? 'unknown' : 'refused', error };
    }
  }

  /** The first of a term finds a record of an earlier one, or none: in any case one older than the term. */
  #chainBefore({ number }: EtcdBatch): EtcdCompare {
    const { keys, term } = this.#options;
    const { createRevision } = term.fence;
    return number === 1
      ? { key: keys.chain, modifiedBefore: createRevision }
      : { key: keys.chain, value: encodeChainLink({ term: createRevision, number: number - 1 }) };
  }

  /** Why a transaction was not applied, from the leader key and the chain record as it found them. */
  #judge(batch: EtcdBatch, { found: [leader, chain] }: EtcdTransactionAnswer): Verdict {
    const { createRevision } = this.#options.term.fence;
    const link = chain === undefined ? undefined : decodeChainLink(chain.value);
    const applied = link?.term === createRevision ? link.number : 0;
    if (applied >= batch.number) return { kind: 'applied', number: applied };
    if (leader?.createRevision !== createRevision) return { kind: 'refused', error: noLongerLeader() };
    if (applied < batch.number - 1) return { kind: 'early' };
    const message = 'the chain record in etcd was changed by somebody else';
    return { kind: 'refused', error: new GfsError('INTERNAL', message) };
  }

  /** A transaction is applied after all before it: the answer to one is the answer to those, too. */
  #acknowledge(number: number): void {
    this.#acknowledged = Math.max(this.#acknowledged, number);
    while (this.#flying[0] !== undefined && this.#flying[0].number <= this.#acknowledged) {
      const batch = this.#flying.shift() as EtcdBatch;
      for (const key of batch.keys()) {
        if (this.#pending.get(key) === batch) this.#pending.delete(key);
      }
      batch.resolve();
    }
    // Whoever waited for these may commit the next in this turn: that goes along.
    setImmediate(() => this.#pump());
  }

  readonly #termLost = (): void => this.#die(this.#options.term.lost.reason as GfsError);

  #die(error: GfsError): void {
    if (this.#failure !== undefined) return;
    const { logger, term } = this.#options;
    this.#failure = error;
    const lost = [...this.#flying, ...this.#waiting];
    this.#flying = [];
    this.#waiting = [];
    this.#pending.clear();
    if (lost.length > 0) {
      const fields = { transactions: lost.length, ...errorFields(error) };
      logger.warn('commits were not acknowledged before the leadership was lost', fields);
    }
    for (const batch of lost) batch.reject(error);
    this.#fail(error);
    term.end(error);
  }
}

function noLongerLeader(): GfsError {
  return new GfsError('UNAVAILABLE', 'this coordinator leads no longer');
}

function mirrorError(thrown: unknown): GfsError {
  const { message } = toGfsError(thrown);
  return new GfsError('UNAVAILABLE', `the mirror of etcd cannot be written: ${message}`, { cause: thrown });
}

/** Either way: whether the predecessor failed is seen by the store. */
async function settled(promise: Promise<void> | undefined): Promise<void> {
  await Promise.allSettled([promise]);
}
