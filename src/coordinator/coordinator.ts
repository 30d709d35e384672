import {
  type Clock,
  type GfsError,
  type Logger,
  errorFields,
  silentLogger,
  systemClock,
  toGfsError,
} from '../core/index.js';
import { type KvStore, Namespace } from '../namespace/index.js';
import type { SiteSpec } from '../sites/index.js';
import type { AdminApi } from './admin-api.js';
import { Admission } from './admission.js';
import { ClusterKeys } from './cluster-keys.js';
import { CommandExecutor } from './command-executor.js';
import { Connection, type ConnectionParts } from './connection.js';
import { type CoordinatorFacts, LeaderAdmin, memoryFacts } from './leader-admin.js';
import { Grace } from './grace.js';
import { LeaseDesk } from './lease-desk.js';
import { LockRequests } from './lock-requests.js';
import type { OpenRequest } from './open-request.js';
import { Orphans } from './orphans.js';
import { Reader } from './reader.js';
import { RequestHandlers } from './request-handlers.js';
import type { Session } from './session.js';
import { SessionRegistry } from './session-registry.js';
import { SiteRegistry } from './site-registry.js';
import { StoreWaits } from './store-waits.js';
import { UnsettledChanges } from './unsettled-changes.js';
import type { ServerStream, StreamHandler } from './wire/index.js';

/** How long a mount may be silent before its leases go to others. */
const TTL_MS = 10_000;
/** Silent sessions are looked for this often per time to live. */
const SWEEPS_PER_TTL = 10;

export interface CoordinatorOptions {
  /** Whose only writer this process is. */
  readonly kv: KvStore;
  /** What all keys start with; '' in a store of one's own. */
  readonly prefix?: string;
  /** Owner of the root directory, when the store is made now. */
  readonly root?: { readonly uid: number; readonly gid: number };
  /** Of a store that is made now; a random one when absent. */
  readonly clusterId?: string;
  /** Bound of the caches of decoded inodes and entries. */
  readonly cacheInodesMax?: number;
  readonly ttlMs?: number;
  readonly clock?: Clock;
  readonly logger?: Logger;
  /**
   * Whether nobody else can lead yet, by the clock. It is asked before anything is said: a process that was
   * stopped wakes up with requests to answer before it learns that its term has passed.
   */
  readonly leads?: () => boolean;
  /** What administration is told of this process and its store. */
  readonly facts?: CoordinatorFacts;
}

interface CoordinatorParts extends ConnectionParts {
  readonly namespace: Namespace;
  readonly sites: SiteRegistry;
}

/**
 * The leading coordinator over one store: serves mounts' streams, whatever carries them. What it holds in memory
 * only (leases, locks) the mounts claim again when another one takes over; everything else is in the store.
 */
export class Coordinator {
  readonly admin: AdminApi;
  readonly #parts: CoordinatorParts;
  readonly #leads: () => boolean;
  readonly #streams = new Set<ServerStream>();
  readonly #stopped = new AbortController();

  /**
   * Takes over the store, makes it a filesystem if it is empty, and waits (in the background) for the sessions
   * that an earlier leader has left.
   * @throws GfsError CONFIG for a store of another schema; CORRUPT; what the store cannot do
   */
  static async open(options: CoordinatorOptions): Promise<Coordinator> {
    const { kv, prefix = '', root = { uid: 0, gid: 0 }, clock = systemClock } = options;
    const opened: { coordinator?: Coordinator } = {};
    const namespace = await Namespace.open({
      kv,
      prefix,
      root,
      clock,
      ...(options.clusterId === undefined ? {} : { clusterId: options.clusterId }),
      ...(options.cacheInodesMax === undefined ? {} : { cacheInodesMax: options.cacheInodesMax }),
      onCommitError: (error) => opened.coordinator?.storeFailed(error),
    });
    opened.coordinator = new Coordinator(options, namespace);
    return opened.coordinator;
  }

  private constructor(options: CoordinatorOptions, namespace: Namespace) {
    const { clock = systemClock, logger = silentLogger, ttlMs = TTL_MS } = options;
    this.#leads = options.leads ?? (() => true);
    this.#parts = this.#compose(options, namespace);
    const { sessions, desk, locks, sites, grace } = this.#parts;
    const facts = options.facts ?? memoryFacts;
    this.admin = new LeaderAdmin({ namespace, sessions, desk, locks, sites, grace, clock, facts });
    grace.start();
    if (!grace.isOver) {
      logger.info('Waiting for the mounts of an earlier leader', {
        sessions: sessions.size,
        longestMs: Math.round(grace.leftMs(clock.monotonicMs())),
      });
    }
    void this.#sweep(clock, ttlMs, logger);
  }

  #compose(options: CoordinatorOptions, namespace: Namespace): CoordinatorParts {
    const { kv, clock = systemClock, logger = silentLogger, ttlMs = TTL_MS } = options;
    const keys = new ClusterKeys(options.prefix ?? '');
    const waits = new StoreWaits(kv);
    const unsettled = new UnsettledChanges();
    const session = (id: string): Session | undefined => sessions.get(id);
    const resume = (request: OpenRequest): void => requests.evaluate(request);

    const sites = new SiteRegistry(kv, keys, (changed) => this.#tellSites(changed));
    const sessions = new SessionRegistry({
      kv,
      keys,
      waits,
      clock,
      logger,
      ttlMs,
      ended: (ended) => this.#ended(ended),
    });
    const desk = new LeaseDesk({
      session,
      resume,
      settled: (command) => executor.settled(command),
      claimRefused: (refused) => sessions.end(refused, 'its claims contradict those of another mount'),
      logger,
    });
    const locks = new LockRequests();
    const orphans = new Orphans(namespace, desk, logger);
    const reader = new Reader({ namespace, desk, waits, unsettled, session, resume });
    const executor = new CommandExecutor({ namespace, desk, waits, unsettled, orphans, reader, resume });
    const requests = new RequestHandlers({ namespace, desk, reader, executor, locks, logger });
    const grace = new Grace(sessions.all(), () => orphans.begin());
    const admission = new Admission({
      namespace,
      sessions,
      sites,
      desk,
      locks,
      orphans,
      grace,
      ttlMs,
      logger,
    });
    return { namespace, sessions, sites, desk, locks, orphans, grace, admission, requests, logger };
  }

  /** A new stream of a mount. */
  accept(stream: ServerStream): StreamHandler {
    if (this.#stopped.signal.aborted) {
      stream.send({ kind: 'refused', code: 'UNAVAILABLE', message: 'this coordinator is stopping' });
      stream.close();
      return { message: () => undefined, closed: () => undefined };
    }
    const guarded: ServerStream = {
      peer: stream.peer,
      close: () => stream.close(),
      send: (message) => {
        if (this.#leads()) stream.send(message);
        else this.abandon();
      },
    };
    const connection = new Connection(this.#parts, guarded);
    this.#streams.add(stream);
    return {
      message: (message) => connection.message(message),
      closed: () => {
        this.#streams.delete(stream);
        connection.closed();
      },
    };
  }

  /** Ends all streams, stores everything, and closes the store. The sessions go on at the next leader. */
  async stop(): Promise<void> {
    this.abandon();
    await this.#parts.namespace.close();
  }

  /** Ends all streams at once and writes nothing more: another one leads. The store is the caller's to close. */
  abandon(): void {
    this.#stopped.abort();
    for (const stream of this.#streams) stream.close();
    this.#streams.clear();
  }

  async #sweep(clock: Clock, ttlMs: number, logger: Logger): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      try {
        await clock.sleep(ttlMs / SWEEPS_PER_TTL, signal);
        this.#parts.sessions.sweep();
      } catch (thrown) {
        if (!signal.aborted)
          logger.error('Silent sessions could not be ended', errorFields(toGfsError(thrown)));
      }
    }
  }

  #ended(session: Session): void {
    const { desk, locks, orphans, grace } = this.#parts;
    if (desk.machine.isOpen(session.id)) desk.end(session);
    locks.claim(session, []);
    orphans.reapUnknown();
    grace.resolved(session);
  }

  /** The store has gone back. Nobody has been shown what was undone: only its authors are told. */
  storeFailed(error: GfsError): void {
    this.#parts.logger.error('The metadata store could not keep the last changes', errorFields(error));
    this.#parts.orphans.reload();
  }

  #tellSites(sites: readonly SiteSpec[]): void {
    const { sessions, desk } = this.#parts;
    for (const session of sessions.all()) {
      if (desk.machine.isOpen(session.id)) session.send({ kind: 'sites', sites });
    }
  }
}
