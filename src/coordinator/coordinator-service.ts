import { mkdirSync } from 'node:fs';
import { type Clock, type Logger, systemClock } from '../core/index.js';
import type { CoordinatorReport } from './admin-api.js';
import type { CoordinatorFacts } from './leader-admin.js';
import type { CoordinatorOptions } from './coordinator.js';
import { EtcdReign } from './etcd-reign.js';
import { EtcdClient } from './etcd/index.js';
import { EtcdRoster } from './etcd/etcd-roster.js';
import { GrpcServer } from './grpc/grpc-server.js';
import type { TlsMaterial } from './grpc/tls-material.js';
import { HealthServer } from './health-server.js';
import { LocalReign } from './local-reign.js';
import type { Reign } from './reign.js';
import { refuseAsStandby, standbyAdmin } from './standby.js';
import { PROTOCOL_MAX, PROTOCOL_MIN } from './wire/index.js';

export type CoordinatorStore =
  | {
      readonly kind: 'etcd';
      readonly endpoints: readonly string[];
      readonly tls?: TlsMaterial | undefined;
      /** A leader that dies is replaced after this. */
      readonly electionTtlMs?: number;
    }
  | { readonly kind: 'lmdb' }
  | { readonly kind: 'memory' };

export interface CoordinatorServiceOptions {
  readonly cluster: string;
  /** `host:port` of gRPC; port 0 takes one that is free. */
  readonly listen: string;
  /** Where others reach it; the address that is listened on when absent, or the same. */
  readonly advertise?: string;
  /** `host:port` of /healthz and /readyz. */
  readonly http?: string | undefined;
  /** The mirror of etcd, or the LMDB store; made if need be. */
  readonly stateDir: string;
  readonly store: CoordinatorStore;
  /** With it, TLS, and only clients with a certificate of `tls.ca`. */
  readonly tls?: TlsMaterial | undefined;
  readonly sessionTtlMs: number;
  readonly cacheInodes: number;
  /** GlobalFS version. */
  readonly software: string;
  readonly logger: Logger;
  readonly clock?: Clock;
}

export interface CoordinatorService {
  /** Where clients reach it. */
  readonly address: string;
  readonly role: 'leader' | 'standby';
  /** Resolves after `stop`; rejects with what makes it pointless to go on. */
  readonly ended: Promise<void>;
  /** Stores everything, lets another one lead, and ends. */
  stop(): Promise<void>;
}

/**
 * One coordinator process: listens, and serves as the leader whenever it is that; else it sends mounts and
 * administration to the leader.
 * @throws GfsError CONFIG for an address that cannot be listened on, or another schema; EBUSY for a state
 *   directory that another process uses; UNAVAILABLE
 */
export async function startCoordinator(options: CoordinatorServiceOptions): Promise<CoordinatorService> {
  mkdirSync(options.stateDir, { recursive: true });
  const process = new CoordinatorProcess(options);
  await process.start();
  return process;
}

/** What is closed at the end, in the reverse of the order in which it was opened. */
type Closing = () => Promise<void> | void;

class CoordinatorProcess implements CoordinatorService {
  readonly #options: CoordinatorServiceOptions;
  readonly #clock: Clock;
  readonly #startedMs: number;
  readonly #closings: Closing[] = [];
  #reign: Reign | undefined;
  #address = '';
  #stopping: Promise<void> | undefined;
  #ended: Promise<void> | undefined;

  constructor(options: CoordinatorServiceOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#startedMs = this.#clock.monotonicMs();
  }

  get address(): string {
    return this.#address;
  }

  get role(): 'leader' | 'standby' {
    return this.#reign?.role ?? 'standby';
  }

  get ended(): Promise<void> {
    return this.#ended ?? Promise.resolve();
  }

  async start(): Promise<void> {
    try {
      await this.#listen();
      this.#reign = await this.#begin();
    } catch (thrown) {
      await this.#close();
      throw thrown;
    }
    this.#ended = this.#reign.ended.finally(() => this.#close());
    this.#options.logger.info('serving', { address: this.#address, role: this.role });
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    await this.#reign?.stop();
    await this.ended;
  }

  async #close(): Promise<void> {
    for (const close of this.#closings.splice(0).reverse()) await close();
  }

  async #listen(): Promise<void> {
    const { listen, advertise = listen, http, tls, logger } = this.#options;
    const leader = (): string | undefined => this.#reign?.leader();
    const standby = standbyAdmin(leader);
    const server = await GrpcServer.listen({
      listen,
      ...(tls === undefined ? {} : { tls }),
      accept: (stream) => this.#reign?.coordinator?.accept(stream) ?? refuseAsStandby(stream, leader),
      admin: () => this.#reign?.coordinator?.admin ?? standby,
      logger,
    });
    this.#closings.push(() => server.close());
    this.#address = advertise === listen ? server.address : advertise;
    if (http === undefined) return;
    const health = await HealthServer.listen(
      http,
      () => this.#reign?.readiness ?? { ready: false, state: 'starting' },
    );
    this.#closings.push(() => health.close());
  }

  async #begin(): Promise<Reign> {
    const { cluster, stateDir, store, software, logger } = this.#options;
    if (store.kind !== 'etcd') {
      const facts = this.#facts(store.kind, {});
      const coordinator = this.#coordinatorOptions(facts);
      return await LocalReign.begin({ kind: store.kind, stateDir, coordinator });
    }
    const { endpoints, tls, electionTtlMs } = store;
    const client = new EtcdClient({ endpoints, ...(tls === undefined ? {} : { tls }) });
    this.#closings.push(() => client.close());
    const roster = new EtcdRoster({ client, cluster, clock: this.#clock, logger });
    const reign = new EtcdReign({
      client,
      cluster,
      address: this.#address,
      software,
      stateDir,
      coordinator: this.#coordinatorOptions(this.#facts('etcd', { client, roster })),
      clock: this.#clock,
      logger,
      ...(electionTtlMs === undefined ? {} : { electionTtlMs }),
    });
    roster.announce(async () => this.#report(reign.role, await reign.behind()));
    this.#closings.push(() => roster.stop());
    return reign;
  }

  #coordinatorOptions(facts: CoordinatorFacts): Omit<CoordinatorOptions, 'kv'> {
    const { sessionTtlMs, cacheInodes, logger } = this.#options;
    return {
      ttlMs: sessionTtlMs,
      cacheInodesMax: cacheInodes,
      clock: this.#clock,
      logger,
      facts,
    };
  }

  #facts(
    store: CoordinatorStore['kind'],
    etcd: { readonly client?: EtcdClient; readonly roster?: EtcdRoster },
  ): CoordinatorFacts {
    const { cluster, software } = this.#options;
    return {
      cluster,
      address: this.#address,
      software,
      store,
      members: () => etcd.client?.memberStates() ?? Promise.resolve([]),
      standbys: async () => {
        const listed = (await etcd.roster?.list()) ?? [];
        return listed.filter(({ address, role }) => address !== this.#address && role === 'standby');
      },
    };
  }

  #report(role: 'leader' | 'standby', behind: number): CoordinatorReport {
    return {
      address: this.#address,
      role,
      software: this.#options.software,
      protocol: { min: PROTOCOL_MIN, max: PROTOCOL_MAX },
      uptimeMs: Math.round(this.#clock.monotonicMs() - this.#startedMs),
      behind,
    };
  }
}
