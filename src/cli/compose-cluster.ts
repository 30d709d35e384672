import { mkdirSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { availableParallelism, loadavg } from 'node:os';
import { join } from 'node:path';
import {
  GrpcDialer,
  LmdbStore,
  type NodeHealth,
  readTlsMaterial,
  RemoteClient,
  type RemoteClientOptions,
  type TlsMaterial,
} from '../coordinator/index.js';
import { errorFields, GfsError, type Ino, kernelClock } from '../core/index.js';
import { recoverShared } from '../fuse/index.js';
import { type SiteSpec, StoreHealth } from '../sites/index.js';
import {
  BlockStore,
  type CommitOutcome,
  NodeContentCache,
  type Parallelism,
  type Sealed,
} from '../transfer/index.js';
import { ClusterMaintenance } from './cluster-maintenance.js';
import { ClusterSites } from './cluster-sites.js';
import { defaultCacheBytes, SEAL_DELAY_SHARE, sealBeforeTheEnd } from './compose.js';
import type { ServedNode } from './mounted-filesystem.js';
import type { ClusterSettings, MountSettings } from './mount-service.js';
import type { MountFacts } from './node-report.js';
import { readSession, removeSession, writeSession } from './session-file.js';
import { VERSION } from './version.js';

/**
 * A store that is a round trip away: 32 small files are stored at once (with 50 ms, 600 a second), and 16
 * blocks are fetched (64 MiB, what 10 Gbit/s bring in 50 ms).
 */
const STORE_PARALLELISM: Parallelism = { files: 32, blocks: 8, fetches: 16 };
/** What `df` shows: object stores have no size. One PiB, as other filesystems on object stores show. */
const SPACE_BYTES = 2 ** 50;
/** What is not in the site's store nobody else can read: an orderly end takes its time. */
const SEAL_AT_END_MS = 120_000;
/** How long a mount looks for a coordinator before it gives up, where calls would wait for ever. */
const START_MS = 30_000;

/**
 * The composition of a mount in a cluster: the namespace is the coordinator's, blocks are in the site's store,
 * what was staged when the last mount ended is stored first.
 * @throws GfsError UNAVAILABLE without a coordinator; CONFIG for a site that is not known, or credentials that are not
 *   there; EBUSY when another process has the state open
 */
export async function openClusterNode(
  settings: MountSettings,
  cluster: ClusterSettings,
): Promise<ServedNode> {
  const { stateDir, logger } = settings;
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const tls = cluster.tls === undefined ? undefined : await readTlsMaterial(cluster.tls);
  const node = new ClusterNode(settings, cluster, tls);
  try {
    await node.open();
  } catch (thrown) {
    await node.close();
    throw thrown;
  }
  logger.info('joined the cluster', { site: cluster.site, session: node.client.report().session?.id });
  return node;
}

/** Everything of one mount in a cluster. */
export class ClusterNode implements ServedNode {
  readonly shared = true;
  readonly spaceBytes = SPACE_BYTES;
  readonly stateDir: string;
  readonly client: RemoteClient;
  readonly settings: MountSettings;
  readonly cluster: ClusterSettings;
  readonly #sites: ClusterSites;
  readonly #session: RemoteClientOptions;
  #specs: readonly SiteSpec[] = [];
  #storeHealth: StoreHealth | undefined;
  #content: NodeContentCache | undefined;
  #index: LmdbStore | undefined;
  #facts: MountFacts | undefined;
  #freeBytes = 0;

  constructor(settings: MountSettings, cluster: ClusterSettings, tls: TlsMaterial | undefined) {
    const { logger, mountpoint } = settings;
    const clock = kernelClock;
    this.settings = settings;
    this.cluster = cluster;
    this.stateDir = settings.stateDir;
    this.#sites = new ClusterSites(cluster.site, () => this.#specs, { clock, logger });
    this.#session = {
      dialer: new GrpcDialer({ ...(tls === undefined ? {} : { tls }), logger }),
      addresses: cluster.coordinators,
      facts: { software: VERSION, site: cluster.site, member: cluster.member, mountpoint, pid: process.pid },
      clock,
      logger,
      unreachable: cluster.unreachable,
    };
    this.client = new RemoteClient({
      ...this.#session,
      health: () => this.#health(),
      joined: (session) => writeSession(settings.stateDir, session),
      sitesChanged: (sites) => (this.#specs = sites),
    });
  }

  get content(): NodeContentCache {
    if (this.#content === undefined) throw new GfsError('INTERNAL', 'the node is not open');
    return this.#content;
  }

  get storePath(): string {
    const store = this.#specs.find(({ name }) => name === this.cluster.site)?.store;
    if (store === undefined) return this.cluster.site;
    return store.kind === 'directory' ? store.path : `s3://${store.bucket}/${store.prefix}`;
  }

  async open(): Promise<void> {
    const { settings, cluster } = this;
    const { logger, stateDir } = settings;
    // Who owns the state is settled before anybody is asked for anything.
    this.#index = LmdbStore.open({ path: join(stateDir, 'node') });
    await this.#connect();
    const store = await this.#sites.ownStore();
    const blocks = new BlockStore(store, { compression: 'zstd', adopt: false, sites: this.#sites });
    this.#storeHealth = new StoreHealth({ store: store.bare, clock: kernelClock, logger });
    this.#storeHealth.start();
    const { storeUnreachable } = cluster;
    this.#content = new NodeContentCache({
      directory: join(stateDir, 'content'),
      blocks,
      index: this.#index,
      clock: kernelClock,
      logger,
      cacheBytes: settings.cacheBytes ?? (await defaultCacheBytes(stateDir)),
      sealDelayMs: settings.flushIntervalMs * SEAL_DELAY_SHARE,
      commit: (sealed) => this.#commit(sealed),
      parallel: STORE_PARALLELISM,
      shared: {
        exists: async (ino) => (await this.client.inode(ino)) !== undefined,
        fullAfterMs: storeUnreachable.kind === 'wait' ? undefined : storeUnreachable.afterMs,
        keptAside: (ino, path) => void this.#keptAside(ino, path),
      },
    });
    await this.#content.start();
    await recoverShared(this.client, this.#content, logger);
  }

  maintain(mount: MountFacts | undefined): ClusterMaintenance {
    this.#facts = mount;
    return new ClusterMaintenance(this, mount);
  }

  async close(): Promise<void> {
    if (this.#content !== undefined) {
      await sealBeforeTheEnd(this.#content, this.settings.logger, SEAL_AT_END_MS);
      await this.#content.stop();
    }
    await this.#storeHealth?.stop();
    await this.client.stop();
    removeSession(this.stateDir);
    await this.#sites.close();
    await this.#index?.close();
  }

  async #connect(): Promise<void> {
    const signal = AbortSignal.timeout(START_MS);
    try {
      await this.#endLeft(signal);
      await this.client.start(signal);
    } catch (thrown) {
      if (!(thrown instanceof GfsError) || thrown.code !== 'CANCELLED') throw thrown;
      const where = this.cluster.coordinators.join(', ');
      throw new GfsError('UNAVAILABLE', `no coordinator answers at ${where}; is one running?`, {
        cause: thrown,
      });
    }
  }

  /** The session that a killed process has left: what it holds is free when it is ended, not when it expires. */
  async #endLeft(signal: AbortSignal): Promise<void> {
    const left = readSession(this.stateDir);
    if (left === undefined) return;
    const before = new RemoteClient({ ...this.#session, left });
    await before.start(signal);
    await before.stop();
    removeSession(this.stateDir);
  }

  /** Content that cannot be published any more is told from a store or coordinator that fails. */
  async #commit({ keepWrite, ...sealed }: Sealed): Promise<CommitOutcome> {
    const nowNs = kernelClock.wallNs();
    const ctimeNs = sealed.mtimeNs < nowNs ? sealed.mtimeNs : nowNs;
    try {
      await this.client.execute({ kind: 'commit', ...sealed, ctimeNs }, { keepWrite });
      return 'committed';
    } catch (thrown) {
      if (thrown instanceof GfsError && thrown.code === 'ENOENT') return 'gone';
      if (thrown instanceof GfsError && thrown.code === 'ESTALE') return 'conflict';
      throw thrown;
    }
  }

  async #keptAside(ino: Ino, path: string): Promise<void> {
    const { logger } = this.settings;
    let file: string | undefined;
    try {
      file = await this.client.pathOf(ino);
    } catch (thrown) {
      logger.warn('the path of an inode could not be found', { ino, ...errorFields(thrown) });
    }
    logger.error(
      'a file was changed elsewhere while this mount had lost its lease; what was written here is kept aside',
      {
        ino,
        ...(file === undefined ? {} : { file: Buffer.from(file, 'latin1').toString() }),
        keptAside: path,
      },
    );
  }

  #health(): NodeHealth | undefined {
    if (this.#content === undefined) return undefined;
    void this.#measureDisk();
    const reach = this.#storeHealth?.now;
    const { cachedBytes, stagedBytes, conflicts } = this.#content.stats();
    return {
      cpuLoad: (loadavg()[0] ?? 0) / availableParallelism(),
      freeBytes: this.#freeBytes,
      storeReachable: reach?.state !== 'unreachable',
      storeLatencyMs: reach?.state === 'reachable' ? reach.latencyMs : -1,
      cachedBytes,
      stagedBytes,
      conflicts,
      requests: this.#facts?.session().requests ?? {},
    };
  }

  /** For the next heartbeat. */
  async #measureDisk(): Promise<void> {
    try {
      const disk = await statfs(this.stateDir);
      this.#freeBytes = disk.bavail * disk.bsize;
    } catch (thrown) {
      this.settings.logger.warn('the disk of the state directory cannot be asked', errorFields(thrown));
    }
  }
}
