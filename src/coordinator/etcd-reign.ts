import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Clock, type GfsError, type Logger, errorFields, toGfsError } from '../core/index.js';
import { Coordinator, type CoordinatorOptions } from './coordinator.js';
import {
  type EtcdClient,
  EtcdElection,
  EtcdKeys,
  EtcdMirror,
  EtcdStore,
  type EtcdTerm,
} from './etcd/index.js';
import type { Readiness } from './health-server.js';
import { LmdbStore } from './lmdb-store.js';
import type { Reign } from './reign.js';

/** After a term that could not be begun: etcd is asked no more often than this. */
const RETRY_MS = 500;

export interface EtcdReignOptions {
  readonly client: EtcdClient;
  readonly cluster: string;
  /** Where this process serves. */
  readonly address: string;
  readonly software: string;
  /** The mirror is kept in it, so that a restart reads only what has changed. */
  readonly stateDir: string;
  readonly electionTtlMs?: number;
  readonly coordinator: Omit<CoordinatorOptions, 'kv' | 'leads'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

type ReignState =
  | { readonly kind: 'standby'; readonly mirror: EtcdMirror }
  | { readonly kind: 'taking over' }
  | { readonly kind: 'leader'; readonly coordinator: Coordinator; readonly term: EtcdTerm }
  | { readonly kind: 'ended' };

/**
 * One of several coordinators over etcd: stands by with a warm mirror, leads when it is elected, and stands by
 * again when it has lost its term; what it built on the term it drops.
 */
export class EtcdReign implements Reign {
  readonly ended: Promise<void>;
  readonly #options: EtcdReignOptions;
  readonly #keys: EtcdKeys;
  readonly #election: EtcdElection;
  readonly #mirrorStore: LmdbStore;
  readonly #stopped = new AbortController();
  #state: ReignState;

  /** @throws GfsError EBUSY when another process has the state directory; CONFIG */
  constructor(options: EtcdReignOptions) {
    const { client, cluster, address, software, stateDir, clock, logger, electionTtlMs } = options;
    this.#options = options;
    this.#keys = new EtcdKeys(cluster);
    const path = join(stateDir, 'mirror');
    mkdirSync(path, { recursive: true });
    this.#mirrorStore = LmdbStore.open({ path });
    this.#election = new EtcdElection({
      client,
      cluster,
      self: { address, software },
      clock,
      logger,
      ...(electionTtlMs === undefined ? {} : { ttlMs: electionTtlMs }),
    });
    this.#state = { kind: 'standby', mirror: this.#mirror() };
    this.ended = this.#run();
  }

  get role(): 'leader' | 'standby' {
    return this.#state.kind === 'leader' ? 'leader' : 'standby';
  }

  get coordinator(): Coordinator | undefined {
    return this.#state.kind === 'leader' ? this.#state.coordinator : undefined;
  }

  get readiness(): Readiness {
    switch (this.#state.kind) {
      case 'leader':
        return { ready: true, state: 'leader' };
      case 'standby': {
        const { state } = this.#state.mirror.status();
        return { ready: state === 'following', state: `standby, ${state}` };
      }
      case 'taking over':
      case 'ended':
        return { ready: false, state: this.#state.kind };
    }
  }

  leader(): string | undefined {
    const leader = this.#election.leader()?.address;
    return leader === '' || leader === this.#options.address ? undefined : leader;
  }

  /** How many revisions of etcd the mirror lacks; 0 for a leader. @throws GfsError UNAVAILABLE, TIMEOUT */
  async behind(): Promise<number> {
    if (this.#state.kind !== 'standby') return 0;
    const status = this.#state.mirror.status();
    const { entry } = await this.#options.client.get(this.#keys.chain);
    const here = 'revision' in status ? status.revision : 0n;
    const there = entry?.modRevision ?? 0n;
    return there > here ? Number(there - here) : 0;
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.ended;
  }

  #mirror(): EtcdMirror {
    const { client, clock, logger } = this.#options;
    return new EtcdMirror({ client, keys: this.#keys, store: this.#mirrorStore, clock, logger });
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped;
    try {
      while (!signal.aborted) {
        if (this.#state.kind !== 'standby') this.#state = { kind: 'standby', mirror: this.#mirror() };
        await this.#stand(this.#state.mirror);
      }
    } finally {
      if (this.#state.kind === 'standby') this.#state.mirror.stop();
      this.#state = { kind: 'ended' };
      this.#election.stop();
      await this.#mirrorStore.close();
    }
  }

  /** From standing by to the end of a term. @throws GfsError what another try does not help */
  async #stand(mirror: EtcdMirror): Promise<void> {
    const { logger, clock } = this.#options;
    const { signal } = this.#stopped;
    let term: EtcdTerm | undefined;
    try {
      term = await this.#election.campaign(signal);
      await this.#lead(term, mirror);
    } catch (thrown) {
      const error = toGfsError(thrown);
      if (signal.aborted) return;
      if (!error.retryable && error.code !== 'CANCELLED') throw error;
      logger.warn('a term ended before it had begun', errorFields(error));
      await clock.sleep(RETRY_MS, signal).catch(() => undefined); // stopped: the loop sees it
    } finally {
      mirror.stop();
      await term?.resign();
    }
  }

  async #lead(term: EtcdTerm, mirror: EtcdMirror): Promise<void> {
    const { client, clock, logger } = this.#options;
    this.#state = { kind: 'taking over' };
    const store = new EtcdStore({
      client,
      keys: this.#keys,
      term,
      mirror: await mirror.handOver(term),
      clock,
      logger,
    });
    const leads = (): boolean => term.held();
    const coordinator = await Coordinator.open({ ...this.#options.coordinator, kv: store, leads });
    this.#state = { kind: 'leader', coordinator, term };
    const failure = await Promise.race([store.failed, aborted(this.#stopped.signal)]);
    if (failure === undefined) {
      await coordinator.stop();
      return;
    }
    coordinator.abandon();
    logger.warn('this coordinator stands by again', errorFields(failure));
  }
}

function aborted(signal: AbortSignal): Promise<undefined | GfsError> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    else signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
}
