import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Ino, type LogFields, type Logger, systemClock } from '../../src/core/index.js';
import { EMPTY_MANIFEST, type KvStore, MemoryStore } from '../../src/namespace/index.js';
import { DirectoryStore } from '../../src/sites/index.js';
import {
  BlockStore,
  type BlockStoreOptions,
  type ContentInode,
  NodeContentCache,
  type NodeContentCacheOptions,
  type OpenContent,
} from '../../src/transfer/index.js';

export interface LogLine extends LogFields {
  readonly message: string;
}

/** Inodes as the namespace would keep them: commits go in, opens come out. */
export class Inodes {
  readonly records = new Map<number, ContentInode>();
  /** Called before a commit is recorded; may throw. */
  beforeCommit: () => Promise<void> | void = () => undefined;
  commits = 0;

  readonly commit: NodeContentCacheOptions['commit'] = async (sealed) => {
    await this.beforeCommit();
    const record = this.records.get(sealed.ino);
    if (record === undefined) return 'gone';
    if (record.version !== sealed.baseVersion) {
      throw new Error(`commit of ${sealed.ino} on ${sealed.baseVersion}, but it is ${record.version}`);
    }
    this.commits++;
    const { ino, manifest, size, allocatedBytes } = sealed;
    this.records.set(ino, { ino, manifest, size, allocatedBytes, version: record.version + 1 });
    return 'committed';
  };

  get(ino: number): ContentInode {
    const record = this.records.get(ino);
    if (record === undefined) throw new Error(`no inode ${ino}`);
    return record;
  }
}

type RigOptions = Partial<NodeContentCacheOptions> & Partial<BlockStoreOptions>;

/** A content cache on a real directory over a real directory store. */
export class Rig {
  readonly base: string;
  readonly inodes = new Inodes();
  readonly log: LogLine[] = [];
  readonly index: KvStore = new MemoryStore();
  store: DirectoryStore;
  blocks: BlockStore;
  cache: NodeContentCache;
  readonly #options: RigOptions;

  private constructor(options: RigOptions, base: string) {
    this.#options = options;
    this.base = base;
    [this.store, this.blocks, this.cache] = this.#build();
  }

  static async make(options: RigOptions = {}, parent = tmpdir()): Promise<Rig> {
    const rig = new Rig(options, fs.mkdtempSync(join(parent, 'gfs-transfer-')));
    await rig.cache.start();
    return rig;
  }

  /** `unclean`: as after a crash. Recovered content is resumed or discarded as a filesystem would. */
  async restart(how: 'clean' | 'unclean' = 'clean'): Promise<void> {
    await this.cache.stop();
    this.store.close();
    if (how === 'unclean') fs.rmSync(join(this.directory, 'clean-shutdown'));
    [this.store, this.blocks, this.cache] = this.#build();
    await this.cache.start();
    for (const { ino, stat } of this.cache.recover()) {
      const record = this.inodes.records.get(ino);
      if (record === undefined) await this.cache.discard(ino);
      else this.cache.resume({ ...record, size: stat.size });
    }
  }

  async end(): Promise<void> {
    await this.cache.stop();
    this.store.close();
    fs.rmSync(this.base, { recursive: true });
  }

  get directory(): string {
    return join(this.base, 'node');
  }

  staging(ino: number): string {
    return this.#file('staging', ino);
  }

  cached(ino: number): string {
    return this.#file('cache', ino);
  }

  objectPath(hash = ''): string {
    return join(this.base, 'site/blocks', hash.slice(0, 2), hash.slice(2, 4), hash);
  }

  create(ino: number): OpenContent {
    this.inodes.records.set(ino, { ino: ino as Ino, size: 0, version: 0, manifest: EMPTY_MANIFEST });
    return this.cache.create(ino as Ino);
  }

  /** A new file, written, closed and sealed. */
  async sealed(ino: number, bytes: Uint8Array): Promise<ContentInode> {
    const content = this.create(ino);
    fs.writeSync(content.fd, bytes, 0, bytes.length, 0);
    this.cache.close(content, 'write');
    await this.cache.flushAll();
    return this.inodes.get(ino);
  }

  /** Everything, read as the process path reads. */
  async read(ino: number): Promise<Buffer> {
    const content = await this.cache.open(this.inodes.get(ino), 'read');
    try {
      const { size } = content.stat();
      await content.ensure(0, size);
      const bytes = Buffer.alloc(size);
      fs.readSync(content.fd, bytes, 0, size, 0);
      return bytes;
    } finally {
      this.cache.close(content, 'read');
    }
  }

  async write(ino: number, bytes: Uint8Array, offset: number): Promise<void> {
    const content = await this.cache.open(this.inodes.get(ino), 'write');
    try {
      await content.ensureForWrite(offset, bytes.length);
      fs.writeSync(content.fd, bytes, 0, bytes.length, offset);
    } finally {
      this.cache.close(content, 'write');
    }
  }

  /** Removes what the node has of a clean file, as eviction does. */
  async evict(ino: number): Promise<void> {
    await this.cache.discard(ino as Ino);
  }

  #file(kind: string, ino: number): string {
    return join(this.directory, kind, (ino % 256).toString(16).padStart(2, '0'), String(ino));
  }

  #build(): [DirectoryStore, BlockStore, NodeContentCache] {
    const { compression = 'none', ...options } = this.#options;
    const store = new DirectoryStore(join(this.base, 'site'));
    const blocks = new BlockStore(store, { compression });
    const note = (message: string, fields: LogFields = {}): void =>
      void this.log.push({ message, ...fields });
    const logger: Logger = { error: note, warn: note, info: note, debug: note };
    const cache = new NodeContentCache({
      directory: this.directory,
      blocks,
      index: this.index,
      commit: this.inodes.commit,
      clock: systemClock,
      logger,
      cacheBytes: 1024 ** 3,
      sealDelayMs: 20,
      ...options,
    });
    return [store, blocks, cache];
  }
}

/** Bytes that differ from place to place, and repeat for the same seed. */
export function pattern(length: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(length);
  let state = seed * 2_654_435_761;
  for (let at = 0; at + 4 <= length; at += 4) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes.writeUInt32LE(state, at);
  }
  return bytes;
}

export function hashesOf(inode: ContentInode): string[] {
  return inode.manifest.kind === 'inline' ? inode.manifest.blocks.map(({ hash }) => hash) : [];
}

/** Waits up to 10 s for something to become true. */
export async function until(holds: () => boolean): Promise<void> {
  for (let waitedMs = 0; !holds(); waitedMs += 5) {
    if (waitedMs > 10_000) throw new Error(`never became true: ${holds.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
