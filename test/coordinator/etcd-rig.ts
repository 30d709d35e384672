import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EtcdServer, type EtcdServerOptions } from '../../src/cli/dev/etcd-server.js';
import { EtcdClient, type EtcdClientOptions } from '../../src/coordinator/etcd/etcd-client.js';
import { EtcdElection, type EtcdTerm } from '../../src/coordinator/etcd/etcd-election.js';
import { EtcdKeys } from '../../src/coordinator/etcd/etcd-keys.js';
import { EtcdMirror } from '../../src/coordinator/etcd/etcd-mirror.js';
import { EtcdStore, type EtcdStoreOptions } from '../../src/coordinator/etcd/etcd-store.js';
import { type Clock, type GfsError, silentLogger, systemClock } from '../../src/core/index.js';
import { type KvStore, MemoryStore } from '../../src/namespace/index.js';
import { Reaper } from '../support/reaper.js';
import { TcpProxy } from '../support/tcp-proxy.js';

/** Tests that are no test of leases have terms that outlast any pause of a busy machine. */
export const LONG_TTL_MS = 60_000;

/** A process that stands for leader: what a coordinator has of etcd. */
export interface Candidate {
  readonly client: EtcdClient;
  readonly election: EtcdElection;
  readonly mirror: EtcdMirror;
}

/** A leader and its store. */
export interface Reign extends Candidate {
  readonly term: EtcdTerm;
  readonly store: EtcdStore;
}

export interface CandidateOptions {
  readonly cluster: string;
  readonly endpoints?: readonly string[];
  readonly tls?: EtcdClientOptions['tls'];
  readonly ttlMs?: number;
  readonly name?: string;
  readonly callMs?: number;
  readonly clock?: Clock;
  /** Of the mirror. */
  readonly store?: KvStore;
  /** The mirror's way to etcd, when it is not that of the rest: then it can be late. */
  readonly mirrorEndpoints?: readonly string[];
}

export type StoreOptions = Partial<
  Pick<EtcdStoreOptions, 'operationsMax' | 'pipelineMax' | 'clock' | 'compactMs'>
>;

/** Real etcd, proxies before it, and whoever talks to it; all gone at the end. */
export class EtcdRig {
  readonly server: EtcdServer;
  readonly directory: string;
  readonly #reaper: Reaper;
  readonly #ends: (() => Promise<void> | void)[] = [];

  static async start(options: Partial<EtcdServerOptions> = {}): Promise<EtcdRig> {
    const directory = mkdtempSync(join(tmpdir(), 'globalfs-etcd-'));
    const reaper = new Reaper();
    reaper.directory(directory);
    const server = await EtcdServer.start({
      ...options,
      directory: join(directory, 'etcd'),
      onProcess: (pid) => reaper.process(pid),
    });
    return new EtcdRig(server, directory, reaper);
  }

  private constructor(server: EtcdServer, directory: string, reaper: Reaper) {
    this.server = server;
    this.directory = directory;
    this.#reaper = reaper;
  }

  async stop(): Promise<void> {
    for (const end of this.#ends.splice(0).reverse()) await end();
    const { pids } = this.server;
    await this.server.stop();
    for (const pid of pids) this.#reaper.processGone(pid);
    rmSync(this.directory, { recursive: true, force: true });
    await this.#reaper.finish();
  }

  /** One proxy for each member. */
  async proxies(): Promise<TcpProxy[]> {
    return Promise.all(
      this.server.endpoints.map(async (endpoint) => {
        const proxy = await TcpProxy.start({ port: Number(new URL(endpoint).port) });
        this.#ends.push(() => proxy.close());
        return proxy;
      }),
    );
  }

  /** What is to be done before etcd stops, whether the test succeeds or fails. */
  atEnd(end: () => Promise<void> | void): void {
    this.#ends.push(end);
  }

  client(options: Partial<EtcdClientOptions> = {}): EtcdClient {
    const client = new EtcdClient({ endpoints: this.server.endpoints, ...options });
    this.#ends.push(() => client.close());
    return client;
  }

  candidate(options: CandidateOptions): Candidate {
    const { cluster, endpoints, tls, callMs, ttlMs = LONG_TTL_MS, name = 'a' } = options;
    const client = this.client({
      ...(endpoints && { endpoints }),
      ...(tls && { tls }),
      ...(callMs !== undefined && { callMs }),
    });
    const common = { client, clock: options.clock ?? systemClock, logger: silentLogger };
    const self = { address: `${name}:7400`, software: 'test' };
    const election = new EtcdElection({ ...common, cluster, self, ttlMs });
    const store = options.store ?? new MemoryStore();
    const mirror = new EtcdMirror({
      ...common,
      keys: new EtcdKeys(cluster),
      store,
      ...(options.mirrorEndpoints && { client: this.client({ endpoints: options.mirrorEndpoints }) }),
    });
    this.#ends.push(() => election.stop());
    this.#ends.push(() => mirror.stop());
    return { client, election, mirror };
  }

  /** Waits until the candidate is elected and its mirror has caught up. */
  async reign(candidate: Candidate, cluster: string, options: StoreOptions = {}): Promise<Reign> {
    const term = await candidate.election.campaign(AbortSignal.timeout(60_000));
    const mirror = await candidate.mirror.handOver(term);
    const store = new EtcdStore({
      client: candidate.client,
      keys: new EtcdKeys(cluster),
      term,
      mirror,
      clock: systemClock,
      logger: silentLogger,
      ...options,
    });
    this.#ends.push(() => term.resign());
    return { ...candidate, term, store };
  }
}

/** Polls; for what no event tells. */
export async function until(claim: () => boolean | Promise<boolean>, timeoutMs = 60_000): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  while (!(await claim())) {
    if (performance.now() > endMs) throw new Error(`not so after ${timeoutMs} ms: ${claim.toString()}`);
    await systemClock.sleep(10);
  }
}

/** For what may be repeated: a client tries each call once, and the member it tries may be down. */
export async function retried<T>(work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (thrown) {
      if (!(thrown as GfsError).retryable) throw thrown;
      await systemClock.sleep(50);
    }
  }
}
