import { type Clock, GfsError, type Logger, errorFields, toGfsError } from '../../core/index.js';
import type { EtcdClient } from './etcd-client.js';
import { EtcdKeys } from './etcd-keys.js';
import { EtcdLease, pause } from './etcd-lease.js';
import type { EtcdEntry, EtcdEvent, EtcdKey, LeaseId, Revision } from './etcd-types.js';
import { EtcdWatch } from './etcd-watch.js';

/** What a leader says of itself in its key. */
export interface Leader {
  /** Where it serves: `host:port`. */
  readonly address: string;
  readonly software: string;
}

/** What every write of a leader compares: its key must still be the one that it made. */
export interface Fence {
  readonly key: EtcdKey;
  readonly createRevision: Revision;
}

/** Leadership, from the election that was won until it is lost. */
export interface EtcdTerm {
  readonly fence: Fence;
  /** Monotonic: nobody else can lead before. Moves on with each renewal. */
  deadlineMs(): number;
  /** By the clock: to be asked before each answer that relies on being the only leader. */
  held(): boolean;
  /** Aborts when the term is over, with a GfsError UNAVAILABLE that says why. */
  readonly lost: AbortSignal;
  /** For whoever learns first that the term is over. */
  end(reason: GfsError): void;
  /** Gives the leadership up: a standby takes over at once. */
  resign(): Promise<void>;
}

export interface EtcdElectionOptions {
  readonly client: EtcdClient;
  readonly cluster: string;
  readonly self: Leader;
  /** etcd rounds it up to seconds, and to its own least TTL (1.5 election timeouts). */
  readonly ttlMs?: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A leader that dies is replaced after this. An election of etcd's own (1 to 2 s) fits in twice. */
const TTL_MS = 5000;
const RETRY_MS = 200;

interface Observed {
  readonly revision: Revision;
  readonly entry: EtcdEntry | undefined;
}

/**
 * One leader at a time: whoever creates the leader key, which is bound to its lease. Losing is noticed by the
 * holder's own deadline, which is earlier than etcd's; whatever slips through is refused by the fence.
 */
export class EtcdElection {
  readonly #options: EtcdElectionOptions;
  readonly #key: EtcdKey;
  readonly #stopped = new AbortController();
  readonly #listeners = new Set<(leader: Leader | undefined) => void>();
  #observed: Observed | undefined;
  #vacantSinceMs = 0;
  #watch: EtcdWatch | undefined;
  #term: { readonly fence: Fence; readonly end: (reason: GfsError) => void } | undefined;

  /** Observes at once; stands for election when told to. @throws GfsError CONFIG */
  constructor(options: EtcdElectionOptions) {
    this.#options = options;
    this.#key = new EtcdKeys(options.cluster).leader;
    void this.#follow();
  }

  /** Who leads, as far as is known here. */
  leader(): Leader | undefined {
    const entry = this.#observed?.entry;
    return entry === undefined ? undefined : decodeLeader(entry.value);
  }

  /**
   * Calls the listener with each new leader, and with undefined when there is none; at once with the present one,
   * if that is known.
   * @returns ends it
   */
  observe(listener: (leader: Leader | undefined) => void): () => void {
    this.#listeners.add(listener);
    if (this.#observed !== undefined) listener(this.leader());
    return () => this.#listeners.delete(listener);
  }

  /**
   * Resolves when this process leads; waits while another one does.
   * @throws GfsError CANCELLED when the signal aborts or the election is stopped; EACCES
   */
  async campaign(signal: AbortSignal): Promise<EtcdTerm> {
    const { clock, logger } = this.#options;
    const either = AbortSignal.any([signal, this.#stopped.signal]);
    for (;;) {
      await this.#vacancy(either);
      try {
        const term = await this.#stand(either);
        if (term !== undefined) return term;
      } catch (thrown) {
        const error = toGfsError(thrown);
        if (!error.retryable) throw error;
        logger.warn('standing for leader failed, trying again', errorFields(error));
        await pause(clock, RETRY_MS, either);
      }
    }
  }

  /** Ends observation and campaigns; a term goes on until it is resigned. */
  stop(): void {
    this.#stopped.abort();
    this.#watch?.stop();
    this.#listeners.clear();
  }

  /** Resolves when no leader is known of. */
  #vacancy(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (): void => {
        forget();
        signal.removeEventListener('abort', aborted);
        resolve();
      };
      const aborted = (): void => {
        forget();
        reject(new GfsError('CANCELLED', 'the campaign was given up'));
      };
      let forget = (): void => undefined;
      if (signal.aborted) {
        aborted();
        return;
      }
      signal.addEventListener('abort', aborted, { once: true });
      forget = this.observe((leader) => {
        // The first call comes before `forget` is there.
        if (leader === undefined) queueMicrotask(done);
      });
    });
  }

  /** One attempt. @returns undefined when another one was first */
  async #stand(signal: AbortSignal): Promise<EtcdTerm | undefined> {
    const { client, self, clock, logger, ttlMs = TTL_MS } = this.#options;
    const lease = await EtcdLease.grant({ client, ttlMs, clock, logger });
    let won: Revision | undefined;
    try {
      won = await this.#createKey(lease, signal);
    } finally {
      if (won === undefined) void lease.revoke(new GfsError('CANCELLED', 'the lease is not needed'));
    }
    if (won === undefined) return undefined;
    logger.info('this coordinator leads', {
      address: self.address,
      term: String(won),
      // From when the key was seen to be gone: what of a failover is this process's own doing.
      afterVacantMs: Math.round(clock.monotonicMs() - this.#vacantSinceMs),
    });
    return this.#termOf(lease, won);
  }

  /**
   * Creates the leader key. When it is not known whether it was created, the key itself tells: it carries our lease.
   * @returns the revision that created it; undefined when another's is there
   */
  async #createKey(lease: EtcdLease, signal: AbortSignal): Promise<Revision | undefined> {
    const { client, self, clock, logger } = this.#options;
    const value = Buffer.from(JSON.stringify(self));
    while (lease.held() && !signal.aborted) {
      try {
        const { succeeded, revision, found } = await client.transaction({
          compare: [{ key: this.#key, createRevision: 0n }],
          writes: [{ put: this.#key, value, lease: lease.id }],
          otherwiseGet: [this.#key],
        });
        const entry = succeeded ? ourEntry(this.#key, value, revision, lease.id) : found[0];
        this.#learn({ revision, entry });
        return entry?.lease === lease.id ? entry.createRevision : undefined;
      } catch (thrown) {
        const error = toGfsError(thrown);
        if (!error.retryable) throw error;
        logger.debug('the leader key could not be created, trying again', errorFields(error));
        await pause(clock, RETRY_MS, signal);
      }
    }
    return undefined;
  }

  #termOf(lease: EtcdLease, createRevision: Revision): EtcdTerm {
    const { logger } = this.#options;
    const fence = { key: this.#key, createRevision };
    const end = (reason: GfsError): void => lease.end(reason);
    const over = new Promise<void>((resolve) => {
      const ended = (): void => {
        const reason = lease.ended.reason as GfsError;
        if (this.#term?.fence === fence) this.#term = undefined;
        logger.info('this coordinator leads no longer', {
          term: String(createRevision),
          why: reason.message,
        });
        // The key may still be there: without it a standby need not wait until the lease lapses.
        resolve(lease.revoke(reason));
      };
      if (lease.ended.aborted) ended();
      else lease.ended.addEventListener('abort', ended, { once: true });
    });
    this.#term = { fence, end };
    return {
      fence,
      deadlineMs: () => lease.deadlineMs(),
      held: () => lease.held(),
      lost: lease.ended,
      end,
      resign: () => {
        end(new GfsError('UNAVAILABLE', 'this coordinator has resigned'));
        return over;
      },
    };
  }

  /** Reads the key, then watches it from there on; again when the history in between is gone. */
  async #follow(): Promise<void> {
    const { client, clock, logger } = this.#options;
    const signal = this.#stopped.signal;
    while (!signal.aborted) {
      try {
        const { entry, revision } = await client.get(this.#key);
        if (signal.aborted) return;
        this.#learn({ revision, entry });
        this.#watch = new EtcdWatch({
          client,
          start: this.#key,
          end: `${this.#key}\0`,
          fromRevision: revision + 1n,
          clock,
          logger,
          onEvents: (events) => events.forEach((event) => this.#learn(observedOf(event))),
          onCompacted: () => void this.#follow(),
        });
        return;
      } catch (thrown) {
        logger.warn('etcd does not say who leads, trying again', errorFields(toGfsError(thrown)));
        await pause(clock, RETRY_MS, signal);
      }
    }
  }

  /** From reads, transactions and the watch, in whatever order they come. */
  #learn(observed: Observed): void {
    const before = this.#observed;
    if (before !== undefined && observed.revision <= before.revision) return;
    this.#observed = observed;
    const createRevision = observed.entry?.createRevision;
    const fence = this.#term?.fence.createRevision;
    if (fence !== undefined && createRevision !== fence && observed.revision > fence) {
      this.#term?.end(new GfsError('UNAVAILABLE', 'the leader key was taken away'));
    }
    if (before !== undefined && before.entry?.createRevision === createRevision) return;
    const leader = this.leader();
    if (leader === undefined) {
      this.#vacantSinceMs = this.#options.clock.monotonicMs();
      this.#options.logger.info('no coordinator leads', { revision: String(observed.revision) });
    }
    for (const listener of [...this.#listeners]) listener(leader);
  }
}

function observedOf(event: EtcdEvent): Observed {
  return event.kind === 'put'
    ? { revision: event.entry.modRevision, entry: event.entry }
    : { revision: event.revision, entry: undefined };
}

function ourEntry(key: EtcdKey, value: Uint8Array, revision: Revision, lease: LeaseId): EtcdEntry {
  return { key, value, createRevision: revision, modRevision: revision, lease };
}

/** A key that somebody wrote by hand still is a leader, of an address that nobody knows. */
function decodeLeader(value: Uint8Array): Leader {
  const text = Buffer.from(value).toString();
  try {
    const { address, software } = (JSON.parse(text) ?? {}) as Partial<Leader>;
    return { address: address ?? '', software: software ?? '' };
  } catch (thrown) {
    if (thrown instanceof SyntaxError) return { address: '', software: text };
    throw thrown;
  }
}
