import { mkdirSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { EmbeddedClient, LmdbStore } from '../coordinator/index.js';
import { errorFields, GfsError, kernelClock, type Logger } from '../core/index.js';
import { recover } from '../fuse/index.js';
import { type ManifestRef, Namespace } from '../namespace/index.js';
import { DirectoryStore } from '../sites/index.js';
import {
  BlockStore,
  collectGarbage,
  type CommitSealed,
  GarbageCollector,
  type GarbageReport,
  NodeContentCache,
} from '../transfer/index.js';
import { Maintenance } from './maintenance.js';
import { MountedFilesystem, type ServedNode } from './mounted-filesystem.js';
import type { MountControl, MountSettings, OpenState, RunningMount } from './mount-service.js';
import type { MountFacts } from './node-report.js';

/** Of the disk that holds the state directory, when no --cache-size says otherwise. */
const CACHE_SHARE = 0.1;
/**
 * A closed file is sealed after this part of the flush interval; the rest of it is for the seal itself.
 */
export const SEAL_DELAY_SHARE = 0.4;

/** How long an orderly end may go on sealing: about 2 GiB on a local disk. */
const SEAL_AT_END_MS = 10_000;

/** Everything of one state directory, open: what a mount, and maintenance without a mount, work with. */
export interface NodeParts {
  readonly stateDir: string;
  readonly namespace: Namespace;
  readonly client: EmbeddedClient;
  readonly store: DirectoryStore;
  readonly blocks: BlockStore;
  readonly content: NodeContentCache;
  readonly cacheBytes: number;
  readonly storePath: string;
  readonly shared: false;
  maintain(mount: MountFacts | undefined): MountControl;
  /** Finds, and with `delete` deletes, the blocks that no inode refers to. */
  collect(options: { delete: boolean; graceMs: number; signal?: AbortSignal }): Promise<GarbageReport>;
  /** Seals what is closed, and lets go of everything. */
  close(): Promise<void>;
}

interface NodeSettings {
  readonly stateDir: string;
  readonly cacheBytes: number | undefined;
  readonly flushIntervalMs: number;
  readonly logger: Logger;
  readonly onCommitError: (error: GfsError) => void;
}

/**
 * The composition root: metadata in LMDB, content in a directory that is the only site, the cache beside
 * it. What the last mount left behind is brought in order first.
 * @throws GfsError EBUSY when another process has the state open; CONFIG for another schema; EIO
 */
export async function openNode(settings: NodeSettings): Promise<NodeParts> {
  const { stateDir, logger } = settings;
  const clock = kernelClock;
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const metadata = LmdbStore.open({ path: join(stateDir, 'meta') });
  const root = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  const namespace = await Namespace.open({
    kv: metadata,
    root,
    clock,
    onCommitError: settings.onCommitError,
  });

  const store = new DirectoryStore(join(stateDir, 'store'));
  const blocks = new BlockStore(store, { compression: 'none' });
  const collect = (options: {
    delete: boolean;
    graceMs: number;
    signal?: AbortSignal;
  }): Promise<GarbageReport> =>
    collectGarbage({ blocks, clock, manifests: storedManifests(namespace), ...options });
  const garbage = new GarbageCollector({
    logger,
    collect: (signal) => collect({ delete: true, graceMs: 0, signal }),
    freeShare: async () => {
      const disk = await statfs(stateDir);
      return disk.bavail / disk.blocks;
    },
  });
  const client = new EmbeddedClient(namespace, () => garbage.contentFreed());
  const index = LmdbStore.open({ path: join(stateDir, 'node') });
  const cacheBytes = settings.cacheBytes ?? (await defaultCacheBytes(stateDir));
  const content = new NodeContentCache({
    directory: join(stateDir, 'content'),
    blocks,
    index,
    clock,
    logger,
    cacheBytes,
    sealDelayMs: settings.flushIntervalMs * SEAL_DELAY_SHARE,
    commit: (sealed) => commitSealed(client, sealed),
  });
  await content.start();
  await recover(client, content, logger);
  const node: NodeParts = {
    stateDir,
    shared: false,
    storePath: store.root,
    maintain: (mount) => new Maintenance(node, mount),
    namespace,
    client,
    store,
    blocks,
    content,
    cacheBytes,
    collect,
    close: async () => {
      await garbage.stop();
      await sealBeforeTheEnd(content, logger);
      await content.stop();
      await index.close();
      await namespace.close();
    },
  };
  return node;
}

/**
 * The manifests of all inodes, and then a flush: nothing may be deleted that only a power cut would bring
 * back into use.
 */
async function* storedManifests(namespace: Namespace): AsyncIterable<ManifestRef> {
  for await (const inode of namespace.inodes()) yield inode.manifest;
  await namespace.flush();
}

/** Only when it has ended may the staged file become a clean one: it is the only copy until the commit is stored. */
async function commitSealed(
  client: EmbeddedClient,
  sealed: Parameters<CommitSealed>[0],
): ReturnType<CommitSealed> {
  try {
    // Times were published when the file was closed.
    const { ino, baseVersion, manifest, size, allocatedBytes } = sealed;
    await client.execute({ kind: 'commit', ino, baseVersion, manifest, size, allocatedBytes });
  } catch (thrown) {
    if (thrown instanceof GfsError && thrown.code === 'ENOENT') return 'gone';
    throw thrown;
  }
  await client.flush();
  return 'committed';
}

/** What cannot be sealed in time, or at all, stays staged: the next mount goes on with it. */
export async function sealBeforeTheEnd(
  content: NodeContentCache,
  logger: Logger,
  withinMs = SEAL_AT_END_MS,
): Promise<void> {
  try {
    await content.flushAll(AbortSignal.timeout(withinMs));
  } catch (thrown) {
    logger.warn('staged files are left for the next mount', errorFields(thrown));
  }
}

export async function defaultCacheBytes(stateDir: string): Promise<number> {
  const disk = await statfs(stateDir);
  return Math.floor(disk.blocks * disk.bsize * CACHE_SHARE);
}

export async function startMount(settings: MountSettings): Promise<RunningMount> {
  if (settings.cluster !== undefined) {
    const { openClusterNode } = await import('./compose-cluster.js');
    return served(await openClusterNode(settings, settings.cluster), settings);
  }
  const started: { mounted?: MountedFilesystem } = {};
  const node = await openNode({
    ...settings,
    onCommitError: (error) => started.mounted?.metadataLost(error),
  });
  started.mounted = await served(node, settings);
  return started.mounted;
}

async function served(node: ServedNode, settings: MountSettings): Promise<MountedFilesystem> {
  try {
    return await MountedFilesystem.start(node, settings);
  } catch (thrown) {
    await node.close();
    throw thrown;
  }
}

export async function openState(stateDir: string, logger: Logger): Promise<OpenState> {
  const node = await openNode({
    stateDir,
    cacheBytes: undefined,
    flushIntervalMs: 0,
    logger,
    onCommitError: (error) => logger.error('the metadata store failed', { error: error.message }),
  });
  const maintenance = new Maintenance(node, undefined);
  return {
    status: () => maintenance.status(),
    fsck: (options) => maintenance.fsck(options),
    gc: (options) => maintenance.gc(options),
    close: () => node.close(),
  };
}
