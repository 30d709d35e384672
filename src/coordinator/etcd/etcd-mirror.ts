import { type Clock, GfsError, type Logger, errorFields, toGfsError } from '../../core/index.js';
import type { KvStore, KvWrite } from '../../namespace/index.js';
import type { EtcdClient } from './etcd-client.js';
import type { EtcdTerm } from './etcd-election.js';
import { type ChainLink, type EtcdKeys, decodeChainLink } from './etcd-keys.js';
import { pause } from './etcd-lease.js';
import { loadFromEtcd } from './etcd-load.js';
import type { EtcdEvent, Revision } from './etcd-types.js';
import { EtcdWatch } from './etcd-watch.js';

export interface EtcdMirrorOptions {
  readonly client: EtcdClient;
  readonly keys: EtcdKeys;
  /** What it holds is made to agree with etcd, whatever it was. Nobody else writes to it until `handOver`. */
  readonly store: KvStore;
  readonly clock: Clock;
  readonly logger: Logger;
}

export type MirrorStatus =
  | { readonly state: 'loading'; readonly entries: number }
  /** Warm: at most the way from etcd behind, and the time it takes to notice that it is silent (some 3 s). */
  | { readonly state: 'following'; readonly revision: Revision }
  /** It holds what etcd held at this revision, and tries to connect. */
  | { readonly state: 'cut off'; readonly revision: Revision; readonly sinceMs: number }
  | { readonly state: 'stopped' };

const RETRY_MS = 500;

/**
 * A copy of a cluster's keys that follows etcd: kept warm by a standby, and handed to the store of the one
 * that is elected. What it was sent is checked against the chain record, which every transaction of a leader
 * counts up by one: a gap means that events were lost, and everything is read anew.
 */
export class EtcdMirror {
  readonly #options: EtcdMirrorOptions;
  readonly #stopped = new AbortController();
  #watch: EtcdWatch | undefined;
  #state: 'loading' | 'following' | 'cut off' = 'loading';
  #loadedEntries = 0;
  #cutOffMs = 0;
  /** Everything up to this revision is in the store. */
  #revision: Revision = 0n;
  #chain: ChainLink | undefined;
  #loading: Promise<void> | undefined;
  #failure: GfsError | undefined;
  readonly #waiting = new Set<() => void>();

  constructor(options: EtcdMirrorOptions) {
    this.#options = options;
    void this.#load();
  }

  status(): MirrorStatus {
    if (this.#stopped.signal.aborted) return { state: 'stopped' };
    switch (this.#state) {
      case 'loading':
        return { state: 'loading', entries: this.#loadedEntries };
      case 'following':
        return { state: 'following', revision: this.#revision };
      case 'cut off': {
        const sinceMs = Math.round(this.#options.clock.monotonicMs() - this.#cutOffMs);
        return { state: 'cut off', revision: this.#revision, sinceMs };
      }
    }
  }

  /** True while a take-over would have to wait for more than the last few milliseconds. */
  behind(): boolean {
    return this.#state !== 'following';
  }

  /** Resolves when the mirror holds at least what etcd held at the revision. @throws GfsError CANCELLED; of the store */
  reached(revision: Revision, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const either = AbortSignal.any([signal, this.#stopped.signal]);
      const check = (): void => {
        const done = this.#failure === undefined && this.#revision >= revision;
        if (!done && this.#failure === undefined && !either.aborted) return;
        this.#waiting.delete(check);
        either.removeEventListener('abort', check);
        if (done) resolve();
        else reject(this.#failure ?? new GfsError('CANCELLED', 'the mirror need not catch up any more'));
      };
      this.#waiting.add(check);
      either.addEventListener('abort', check);
      check();
    });
  }

  /**
   * After the election was won: catches up with the revision at which the leader key was made, after which no
   * earlier leader can have written, and follows no longer. The store then is that of an EtcdStore.
   * @throws GfsError UNAVAILABLE when the term is lost meanwhile; CANCELLED when stopped
   */
  async handOver(term: EtcdTerm): Promise<KvStore> {
    const { client, keys, store, logger, clock } = this.#options;
    const startedMs = clock.monotonicMs();
    for (;;) {
      await this.#reachedIn(term);
      const { entry } = await this.#retrying(() => client.get(keys.chain), term.lost);
      const link = entry === undefined ? undefined : decodeChainLink(entry.value);
      if (link?.term === this.#chain?.term && link?.number === this.#chain?.number) break;
      logger.error('the mirror has missed writes, and is read anew', { revision: String(this.#revision) });
      await this.#load();
    }
    this.stop();
    logger.info('the mirror has caught up', { tookMs: Math.round(clock.monotonicMs() - startedMs) });
    return store;
  }

  /** Follows no longer. The store stays as it is. */
  stop(): void {
    this.#stopped.abort();
    this.#watch?.stop();
  }

  async #reachedIn(term: EtcdTerm): Promise<void> {
    try {
      await this.reached(term.fence.createRevision, term.lost);
    } catch (thrown) {
      throw term.lost.aborted ? (term.lost.reason as GfsError) : thrown;
    }
  }

  /** Makes the store agree with etcd, then follows. Whoever asks while that is under way waits for the same. */
  #load(): Promise<void> {
    this.#loading ??= this.#loadOnce().finally(() => (this.#loading = undefined));
    return this.#loading;
  }

  async #loadOnce(): Promise<void> {
    this.#watch?.stop();
    const { client, keys, store, logger, clock } = this.#options;
    const signal = this.#stopped.signal;
    const startedMs = clock.monotonicMs();
    this.#state = 'loading';
    this.#revision = 0n;
    try {
      const loaded = await this.#retrying(() => {
        this.#loadedEntries = 0;
        const onPage = (entries: number): void => void (this.#loadedEntries += entries);
        return loadFromEtcd({ client, keys, store, signal, onPage });
      }, signal);
      this.#chain = loaded.chain;
      logger.info('the mirror of etcd is loaded', {
        entries: this.#loadedEntries,
        tookMs: Math.round(clock.monotonicMs() - startedMs),
      });
      this.#follow(loaded.revision);
    } catch (thrown) {
      if (!signal.aborted) this.#fail(toGfsError(thrown));
    }
  }

  #follow(revision: Revision): void {
    const { client, keys, clock, logger } = this.#options;
    this.#state = 'following';
    this.#advance(revision);
    this.#watch = new EtcdWatch({
      client,
      start: keys.start,
      end: keys.end,
      fromRevision: revision + 1n,
      clock,
      logger,
      onEvents: (events, last) => this.#apply(events, last),
      onCompacted: () => {
        logger.warn('the mirror is behind the history that etcd keeps, and is read anew');
        void this.#load();
      },
      onConnection: (connected) => {
        if (!connected) this.#cutOffMs = clock.monotonicMs();
        this.#state = connected ? 'following' : 'cut off';
      },
    });
  }

  #apply(events: readonly EtcdEvent[], revision: Revision): void {
    const { keys, store, logger } = this.#options;
    const writes: KvWrite[] = [];
    let whole = true;
    for (const event of events) {
      const etcdKey = event.kind === 'put' ? event.entry.key : event.key;
      const value = event.kind === 'put' ? event.entry.value : undefined;
      const key = keys.fromEtcd(etcdKey);
      if (key !== undefined) writes.push({ key, value });
      else if (etcdKey === keys.chain && value !== undefined) whole = this.#continues(value) && whole;
    }
    if (!whole) {
      logger.error('events of etcd were lost: the mirror is read anew', { revision: String(revision) });
      void this.#load();
      return;
    }
    // Not waited for: etcd sends less than the store takes (some 20,000 writes/s against LMDB's 70,000).
    store.commit(writes).catch((thrown: unknown) => this.#fail(toGfsError(thrown)));
    this.#advance(revision);
  }

  /** Whether the next link of the chain follows the last one that was seen. */
  #continues(value: Uint8Array): boolean {
    const last = this.#chain;
    const next = decodeChainLink(value);
    this.#chain = next;
    return next.number === (last?.term === next.term ? last.number + 1 : 1);
  }

  #advance(revision: Revision): void {
    this.#revision = revision;
    for (const check of [...this.#waiting]) check();
  }

  /** The store cannot be written: whoever waits is told, and nobody else is served from it. */
  #fail(error: GfsError): void {
    this.#options.logger.error('the mirror of etcd has failed', errorFields(error));
    this.#failure = error;
    this.#state = 'cut off';
    this.#cutOffMs = this.#options.clock.monotonicMs();
    this.#watch?.stop();
    for (const check of [...this.#waiting]) check();
  }

  /** @throws the first error that trying again does not help, ESTALE (compacted meanwhile) not being one */
  async #retrying<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const { clock, logger } = this.#options;
    for (;;) {
      if (signal.aborted) throw new GfsError('CANCELLED', 'the mirror is not needed any more');
      try {
        return await work();
      } catch (thrown) {
        const error = toGfsError(thrown);
        if (signal.aborted || !(error.retryable || error.code === 'ESTALE')) throw error;
        logger.warn('the mirror cannot be read from etcd, trying again', errorFields(error));
        await pause(clock, RETRY_MS, signal);
      }
    }
  }
}
