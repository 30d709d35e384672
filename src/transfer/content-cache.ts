import * as fs from 'node:fs';
import { errorFields, type Ino, invariant, native, toGfsError } from '../core/index.js';
import { EMPTY_MANIFEST, type ManifestRef, NO_SOURCES } from '../namespace/index.js';
import { describeBlocks } from './block-states.js';
import { BlockFetcher } from './block-fetcher.js';
import { BlockHasher } from './block-hasher.js';
import { CacheIndex, fingerprintOf } from './cache-index.js';
import { takeCleanMarker, writeCleanMarker } from './clean-marker.js';
import { CacheLayout, removeFile, removeFiles } from './cache-layout.js';
import { countConflicts, putAside } from './conflicts.js';
import type { CommitOutcome, ContentCache, ContentInode, OpenContent } from './content.js';
import { refreshContent } from './content-refresh.js';
import { ContentOpener } from './content-opener.js';
import { DiskRoom } from './disk-room.js';
import { deleteUnindexed } from './leftovers.js';
import { contentStatOf } from './file-calls.js';
import { Evictor } from './evictor.js';
import { type ContentBase, type ContentHost, NodeContent } from './node-content.js';
import type {
  BlockState,
  ContentStats,
  NodeContentCacheOptions,
  RecoveredContent,
} from './node-cache-options.js';
import { LOCAL_PARALLELISM } from './node-cache-options.js';
import { FileSealer } from './seal-file.js';
import { Sealer } from './sealer.js';
import { StagingRoom } from './staging-room.js';
import { readStagingBase, removeStagingBase, writeStagingBase } from './staging-base.js';

const GIB = 1024 ** 3;
/** The documented flush interval is 5 s: 2 s of quiet, and time for a batch before it and its own. */
const SEAL_DELAY_MS = 2_000;

type Intent = 'read' | 'write' | 'truncate';

/**
 * The contents of all inodes on this node, over a directory of sparse files and a store of blocks. Memory
 * is used for what is open or waits to be sealed only; the index of the clean files is in `index`.
 */
export class NodeContentCache implements ContentCache {
  readonly #options: NodeContentCacheOptions;
  readonly #layout: CacheLayout;
  readonly #index: CacheIndex;
  readonly #opener: ContentOpener;
  readonly #sealer: Sealer;
  readonly #evictor: Evictor;
  readonly #hasher = new BlockHasher();
  readonly #room: DiskRoom;
  readonly #host: ContentHost;
  readonly #live = new Map<Ino, NodeContent>();
  /** Found in staging at start; who it belongs to is not known yet. */
  readonly #recovered = new Set<Ino>();
  readonly #stagedBytesMax: number;
  readonly #staging: StagingRoom;
  #clean: (ino: Ino) => void = () => undefined;

  constructor(options: NodeContentCacheOptions) {
    const { directory, blocks, commit, clock, logger, cacheBytes } = options;
    this.#options = options;
    this.#layout = new CacheLayout(directory);
    this.#room = new DiskRoom(directory);
    this.#stagedBytesMax = options.stagedBytesMax ?? Math.max(GIB, cacheBytes / 2);
    this.#staging = new StagingRoom({
      bytesMax: this.#stagedBytesMax,
      sealer: () => this.#sealer,
      clock,
      shared: options.shared,
    });
    this.#index = new CacheIndex(options.index, clock, (thrown) =>
      logger.warn('the index of the content cache could not be written', errorFields(thrown)),
    );
    const parallel = options.parallel ?? LOCAL_PARALLELISM;
    const fetcher = new BlockFetcher(blocks, logger, parallel.fetches);
    this.#opener = new ContentOpener({ layout: this.#layout, index: this.#index, blocks, fetcher, logger });
    this.#evictor = new Evictor(this.#index, cacheBytes, (ino) => this.#evict(ino));
    this.#host = {
      layout: this.#layout,
      fetcher,
      roomToWrite: () => this.#staging.wait(),
      stage: (content) => this.#stage(content),
      settle: (content) => this.#settle(content),
    };
    this.#sealer = new Sealer({
      files: new FileSealer(blocks, this.#hasher, {
        kernelWrites: options.shared === undefined,
        blocksAtOnce: parallel.blocks,
      }),
      blocks,
      commit,
      filesAtOnce: parallel.files,
      shared: options.shared,
      clock,
      logger,
      sealDelayMs: options.sealDelayMs ?? SEAL_DELAY_MS,
      sealed: (content, outcome) => this.#sealed(content, outcome),
      committedBeneath: (content) => this.#committedBeneath(content),
      hasRoom: (bytes) => this.#hasRoom(bytes),
      batchEnded: () => this.#batchEnded(),
    });
  }

  /** Prepares the directory, learns whether the last run ended in an orderly way, and begins to seal. */
  async start(): Promise<void> {
    try {
      this.#layout.prepare();
      const clean = takeCleanMarker(this.#layout.cleanMarker);
      await this.#index.start(clean);
      for (const inos of this.#layout.inodes('staging')) for (const ino of inos) this.#recovered.add(ino);
      if (clean === undefined) await deleteUnindexed(this.#layout, this.#index, this.#recovered);
    } catch (thrown) {
      throw toGfsError(thrown);
    }
    this.#sealer.start();
  }

  /**
   * What lies in staging since before the start. The caller answers each with `resume` (its inode is there
   * still) or `discard`, before it serves requests.
   */
  recover(): RecoveredContent[] {
    return [...this.#recovered].map((ino) => ({
      ino,
      stat: contentStatOf(fs.statSync(this.#layout.staging(ino), { bigint: true })),
      baseVersion: readStagingBase(this.#layout, ino),
    }));
  }

  /** Recovered content is this inode's: it will be sealed. */
  resume(inode: ContentInode): void {
    invariant(this.#recovered.delete(inode.ino), 'only recovered content is resumed', { ino: inode.ino });
    // Always committed: whether its size or allocation was ever published is not known.
    const content = this.#enter({ ...inode, allocatedBytes: undefined });
    content.moved(true);
    const { shared } = this.#options;
    content.suspect = shared !== undefined && readStagingBase(this.#layout, inode.ino) !== inode.version;
    this.#opener.loadPresence(content);
    this.#staging.account(content);
    this.#sealer.enqueue(content);
  }

  create(ino: Ino): OpenContent {
    const content = new NodeContent(ino, this.#host, NO_BASE);
    try {
      content.fd = this.#opener.createStaging(ino);
    } catch (thrown) {
      throw toGfsError(thrown);
    }
    content.staged = true;
    content.writers = 1;
    this.#live.set(ino, content);
    return content;
  }

  async open(inode: ContentInode, intent: Intent): Promise<OpenContent> {
    if (this.#recovered.has(inode.ino)) this.resume(inode);
    if (intent !== 'read') await this.#staging.wait();
    let content = this.#live.get(inode.ino);
    while (content?.busy !== undefined) {
      await content.busy.catch(() => undefined); // its own opener is told
      content = this.#live.get(inode.ino);
    }
    if (content !== undefined && !content.isOpen && content.version < inode.version) {
      content = await this.#overtaken(content, inode);
    }
    content ??= this.#enter(inode);
    const preparing = this.#prepare(content, intent);
    content.busy = preparing;
    try {
      await preparing;
    } catch (thrown) {
      content.busy = undefined;
      this.#settle(content);
      throw toGfsError(thrown);
    }
    content.busy = undefined;
    if (intent === 'read') content.readers++;
    else content.writers++;
    return content;
  }

  /**
   * Seals and commits one inode's content now, also while it is open; see Sealer.checkpoint. Shared only.
   * @throws GfsError when it could not be stored or committed; it stays staged
   */
  async checkpoint(ino: Ino, keepWrite: boolean): Promise<void> {
    const content = this.#live.get(ino);
    if (content !== undefined) await this.#sealer.checkpoint(content, keepWrite);
  }

  /**
   * Makes open content the version that `inode` has. Nobody may use it meanwhile. Shared only.
   * @returns where what was staged was put, when it cannot be published any more
   * @throws GfsError as `open`
   */
  async refresh(open: OpenContent, inode: ContentInode): Promise<string | undefined> {
    const content = open as NodeContent;
    await this.#sealer.abandon(content); // what is being published now may be that very version
    if (content.version >= inode.version) return undefined;
    const aside = content.staged ? this.#putAside(content) : undefined;
    try {
      this.#index.delete(content.ino);
      await refreshContent(content, baseOf(inode), { blocks: this.#options.blocks, layout: this.#layout });
    } catch (thrown) {
      throw toGfsError(thrown);
    }
    return aside;
  }

  peek(ino: Ino): OpenContent | undefined {
    const content = this.#live.get(ino);
    return content !== undefined && (content.staged || content.isOpen) ? content : undefined;
  }

  async prefetch(inode: ContentInode): Promise<void> {
    this.close(await this.open(inode, 'read'), 'read');
  }

  isCached(ino: Ino): boolean {
    return this.#live.has(ino) || this.#index.get(ino) !== undefined;
  }

  versionOf(ino: Ino): number {
    return this.#live.get(ino)?.version ?? this.#index.get(ino)?.version ?? 0;
  }

  whenClean(listener: (ino: Ino) => void): void {
    this.#clean = listener;
  }

  *staged(): Iterable<Ino> {
    for (const content of this.#live.values()) if (content.staged) yield content.ino;
  }

  close(open: OpenContent, intent: Intent): void {
    this.#closeOne(open as NodeContent, intent);
  }

  discard(ino: Ino): Promise<void> | undefined {
    const content = this.#live.get(ino);
    invariant(content?.isOpen !== true, 'content that is open is not discarded', { ino });
    const recovered = this.#recovered.delete(ino);
    const known = this.#index.get(ino);
    const bytes = Math.max(content?.stagedBytes ?? 0, known?.bytes ?? 0);
    const paths: string[] = content?.staged === true || recovered ? [this.#layout.staging(ino)] : [];
    if (recovered || content?.presence !== undefined || known !== undefined) {
      paths.push(...this.#opener.forgetClean(ino));
    }
    if (content !== undefined) {
      content.discarded = true;
      void this.#sealer.abandon(content);
      this.#forget(content);
    }
    return removeFiles(paths, bytes);
  }

  /**
   * Seals everything that is closed, now.
   * @throws GfsError when something could not be sealed; it stays staged
   */
  flushAll(signal?: AbortSignal): Promise<void> {
    return this.#sealer.flushAll(signal);
  }

  /** Ends the cache in an orderly way. What is staged stays so, and is recovered at the next start. */
  async stop(): Promise<void> {
    await this.#sealer.stop();
    await this.#evictor.stop();
    for (const content of this.#live.values()) {
      await Promise.allSettled(content.inFlight.values());
      this.#indexClean(content);
      if (content.fd >= 0) fs.closeSync(content.fd);
      content.fd = -1;
      content.presence?.close();
    }
    this.#live.clear();
    await this.#hasher.close();
    await this.#index.flush();
    await this.#options.index.sync();
    await writeCleanMarker(this.#layout.cleanMarker, this.#index.totalBytes);
  }

  stats(): ContentStats {
    return {
      cachedBytes: this.#index.totalBytes,
      cacheBytesMax: this.#options.cacheBytes,
      stagedBytes: this.#staging.bytes,
      stagedBytesMax: this.#stagedBytesMax,
      live: this.#live.size,
      queued: this.#sealer.queued,
      conflicts: countConflicts(this.#layout),
    };
  }

  /** The blocks of a version, and what this node has of them. */
  async describe(ino: Ino, manifest: ManifestRef, sources = NO_SOURCES): Promise<BlockState[]> {
    const loaded = await this.#options.blocks.loadManifest(manifest, sources);
    return describeBlocks(loaded, {
      content: this.#live.get(ino),
      cached: this.#index.get(ino),
      presencePath: this.#layout.presence(ino),
    });
  }

  #closeOne(content: NodeContent, intent: Intent): void {
    if (intent === 'read') content.readers--;
    else content.writers--;
    invariant(content.readers >= 0 && content.writers >= 0, 'content is closed as often as it was opened', {
      ino: content.ino,
    });
    if (!content.isOpen) this.#settle(content);
    else if (intent !== 'read' && content.writers === 0 && content.staged) {
      this.#staging.account(content);
      this.#sealer.enqueue(content);
    }
  }

  #enter(inode: ContentInode): NodeContent {
    const content = new NodeContent(inode.ino, this.#host, baseOf(inode));
    this.#live.set(inode.ino, content);
    return content;
  }

  async #prepare(content: NodeContent, intent: Intent): Promise<void> {
    const write = intent !== 'read';
    if (write && content.staged) await this.#sealer.abandon(content);
    if (content.fd < 0) {
      if (content.staged) await this.#openStaged(content);
      else if (intent === 'truncate') {
        this.#opener.stageEmpty(content);
        return;
      } else await this.#opener.openClean(content);
    }
    if (!write) return;
    if (this.#options.shared !== undefined) {
      if (intent === 'truncate') await content.truncate(0);
      return;
    }
    if (content.staged) await this.#opener.separate(content, intent === 'truncate');
    else await this.#opener.stage(content, intent === 'truncate');
    if (intent === 'truncate') await content.truncate(0);
  }

  /** The first change of content that is open; see NodeContentCacheOptions.shared. */
  #stage(content: NodeContent): Promise<void> {
    invariant(this.#options.shared !== undefined, 'content is staged when it is opened', {
      ino: content.ino,
    });
    content.staging ??= this.#opener.stage(content, false).finally(() => (content.staging = undefined));
    return content.staging;
  }

  /** What was committed is written on already: from now on it is to replace the version that it made. */
  #committedBeneath({ ino, base }: NodeContent): void {
    if (this.#options.shared !== undefined) writeStagingBase(this.#layout, ino, base.version);
  }

  /** Closed content of an older version than the inode has: kept aside if it is staged, unless it is just being published. */
  async #overtaken(content: NodeContent, { version }: ContentInode): Promise<NodeContent | undefined> {
    await this.#sealer.abandon(content);
    if (content.version >= version) return this.#live.get(content.ino);
    if (content.staged) this.#putAside(content);
    else this.#forget(content);
    return this.#live.get(content.ino);
  }

  /** Staged content that somebody else's version has overtaken: it is kept aside, and clean from now on. */
  #putAside(content: NodeContent): string {
    const { ino, version } = content;
    const partial = content.presence !== undefined;
    const wallMs = this.#options.clock.wallMs();
    const path = putAside(this.#layout, { ino, version, partial }, { copy: content.isOpen, wallMs });
    this.#staging.unaccount(content);
    content.suspect = false;
    if (content.isOpen) {
      fs.renameSync(this.#layout.staging(ino), this.#layout.cache(ino));
      removeStagingBase(this.#layout, ino);
      content.moved(false);
    } else {
      content.staged = false;
      this.#forget(content);
    }
    this.#options.shared?.keptAside(ino, path);
    return path;
  }

  async #openStaged(content: NodeContent): Promise<void> {
    if (!this.#opener.openStaged(content)) return;
    await this.#sealer.abandon(content);
    await this.#opener.separate(content, false);
  }

  /** Puts away what nobody has open any more. */
  #settle(content: NodeContent): void {
    if (content.isOpen || content.busy !== undefined || content.discarded) return;
    if (content.inFlight.size > 0) return; // `fetchEnded` comes back
    if (this.#live.get(content.ino) !== content) return;
    if (content.staged) {
      this.#staging.account(content);
      this.#closeFd(content);
      this.#sealer.enqueue(content);
      return;
    }
    if (content.fd >= 0) {
      if (content.sealedMtimeNs !== undefined && this.#restageIfWritten(content)) return;
      this.#indexClean(content);
    }
    this.#forget(content);
    if (this.#evictor.due) this.#evictLater();
  }

  /** It was sealed while open. Had somebody a mapping that could be written, what was sealed may be old. */
  #restageIfWritten(content: NodeContent): boolean {
    const { mtimeNs } = fs.fstatSync(content.fd, { bigint: true });
    const written = mtimeNs !== content.sealedMtimeNs;
    content.sealedMtimeNs = undefined;
    this.#closeFd(content);
    content.fd = fs.openSync(content.path, 'r');
    if (!written && !native.hasWriters(content.fd)) return false;
    this.#index.delete(content.ino);
    fs.renameSync(this.#layout.cache(content.ino), this.#layout.staging(content.ino));
    content.moved(true);
    this.#settle(content);
    return true;
  }

  #indexClean(content: NodeContent): void {
    if (content.staged) return;
    if (!content.unindexed) {
      this.#index.touch(content.ino);
      return;
    }
    const stat =
      content.fd >= 0
        ? fs.fstatSync(content.fd, { bigint: true })
        : fs.statSync(content.path, { bigint: true });
    this.#index.put(content.ino, {
      version: content.base.version,
      size: content.base.size,
      fingerprint: fingerprintOf(stat),
      bytes: stat.nlink > 1n ? 0 : Number(stat.blocks) * 512,
      partial: content.presence !== undefined,
    });
    content.unindexed = false;
  }

  /** Sealed content becomes clean, in the same turn in which its file moves. */
  #sealed(content: NodeContent, outcome: CommitOutcome): void {
    if (content.discarded) return;
    this.#makeClean(content, outcome);
    if (this.#options.shared !== undefined) this.#clean(content.ino);
  }

  #makeClean(content: NodeContent, outcome: CommitOutcome): void {
    if (outcome === 'conflict') {
      this.#putAside(content);
      return;
    }
    this.#staging.unaccount(content);
    content.suspect = false;
    if (this.#options.shared !== undefined) removeStagingBase(this.#layout, content.ino);
    if (outcome === 'gone') {
      removeFile(this.#layout.staging(content.ino));
      content.discarded = !content.isOpen;
      if (!content.isOpen) this.#forget(content);
      return;
    }
    fs.renameSync(this.#layout.staging(content.ino), this.#layout.cache(content.ino));
    content.moved(false);
    content.unindexed = true;
    this.#indexClean(content);
    if (!content.isOpen && content.busy === undefined) this.#forget(content);
  }

  async #batchEnded(): Promise<void> {
    await this.#index.flush();
    if (this.#evictor.due) this.#evictLater();
  }

  #evictLater(bytes = 0): void {
    this.#evictor
      .run(bytes)
      .catch((thrown: unknown) =>
        this.#options.logger.warn('the content cache could not be trimmed', errorFields(thrown)),
      );
  }

  #evict(ino: Ino): boolean {
    if (this.#live.has(ino)) return false;
    this.#opener.dropClean(ino);
    return true;
  }

  #forget(content: NodeContent): void {
    this.#staging.unaccount(content);
    this.#closeFd(content);
    content.presence?.close();
    content.presence = undefined;
    this.#live.delete(content.ino);
  }

  #closeFd(content: NodeContent): void {
    if (content.fd >= 0) fs.closeSync(content.fd);
    content.fd = -1;
  }

  /** Copies that can be fetched again make room for copies that are wanted. */
  #hasRoom(bytes: number): boolean {
    const missingBytes = bytes - this.#room.spareBytes();
    if (missingBytes <= 0) return true;
    this.#evictLater(missingBytes);
    return false;
  }
}

const baseOf = ({ version, manifest, size, allocatedBytes, sources }: ContentInode): ContentBase => ({
  version,
  manifest,
  size,
  allocatedBytes,
  sources: sources ?? NO_SOURCES,
});

const NO_BASE = baseOf({ ino: 0 as Ino, version: 0, manifest: EMPTY_MANIFEST, size: 0 });
