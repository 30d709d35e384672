import { randomUUID } from 'node:crypto';
import {
  type Clock,
  GfsError,
  type Ino,
  type Name,
  type TimeNs,
  systemClock,
  toGfsError,
  ROOT_INO,
} from '../core/index.js';
import { apply } from './apply.js';
import {
  ORPHAN_VALUE,
  decodeCounter,
  decodeDentry,
  decodeInode,
  encodeCounter,
  encodeDentry,
  encodeInode,
} from './codec.js';
import type { Applied, Command, CommandResult, RecordWrite } from './commands.js';
import { ABSENT, DentryCache } from './dentry-cache.js';
import { inodesAdded, takesSpace } from './command-effects.js';
import { checkNamespace } from './fsck.js';
import type { NamespaceCheck } from './fsck-context.js';
import { findPath } from './find-path.js';
import { InodeCache } from './inode-cache.js';
import { InoAllocator } from './ino-allocator.js';
import { Keys } from './keys.js';
import { type KvStore, type KvWrite, endOfPrefix } from './kv-store.js';
import { type Dentry, type InodeRecord, InodeFlag, type NamedDentry } from './records.js';
import { initialise, readIdentity } from './store-schema.js';
import type { NamespaceView } from './view.js';

/**
 * A file of one block takes some 350 bytes with its name when it was not used lately (bench/RESULTS.md): 23 MB; the
 * decoded ones, 7 MB more. The store keeps the rest: 2 µs away when its pages are in memory.
 */
const CACHE_INODES_MAX = 65_536;

export interface NamespaceOptions {
  readonly kv: KvStore;
  /** What all keys start with; '' in a store of one's own. */
  readonly prefix?: string;
  /** Bound of the cache of decoded inodes, and of the one of dentries. */
  readonly cacheInodesMax?: number;
  /**
   * A group of commands that `execute` had accepted could not be stored: they are undone, all of them and
   * what came after; caches above (the kernel's) are wrong now.
   */
  readonly onCommitError?: (error: GfsError) => void;
}

export interface OpenOptions extends NamespaceOptions {
  /** Owner of the root directory of a store that is made now. */
  readonly root: { readonly uid: number; readonly gid: number };
  readonly clock?: Clock;
  readonly clusterId?: string;
}

export type Executed = CommandResult & Pick<Applied, 'writes' | 'invalidations'>;

/**
 * The namespace over a KV store: reads from bounded caches, `apply` for every change, writes handed to the
 * store in order. All methods are synchronous but those that wait for the store. One per store.
 */
export class Namespace implements NamespaceView {
  readonly clusterId: string;
  readonly #kv: KvStore;
  readonly #prefix: string;
  readonly #keys: Keys;
  readonly #inodes: InodeCache;
  readonly #dentries: DentryCache;
  readonly #inos: InoAllocator;
  readonly #onCommitError: ((error: GfsError) => void) | undefined;
  #inodeCount: number;
  /** The promise of the group that is being filled: one handler per group, not per command. */
  #watched: Promise<void> | undefined;
  #failure: GfsError | undefined;

  /** Makes an empty store into a filesystem, if need be. @throws GfsError CONFIG for a store of another schema */
  static async open(options: OpenOptions): Promise<Namespace> {
    const { kv, root, clock = systemClock, clusterId = randomUUID() } = options;
    const keys = new Keys(options.prefix ?? '');
    if (readIdentity(kv, keys) === undefined) {
      await initialise(kv, keys, { clusterId, ...root, timeNs: clock.wallNs() });
    }
    const namespace = new Namespace(options);
    await namespace.flush(); // the raised mark of inode numbers, before any of them is used
    return namespace;
  }

  /** For a store that `open` has initialised. @throws GfsError CONFIG, CORRUPT */
  private constructor(options: NamespaceOptions) {
    const cacheMax = options.cacheInodesMax ?? CACHE_INODES_MAX;
    this.#kv = options.kv;
    this.#prefix = options.prefix ?? '';
    this.#keys = new Keys(this.#prefix);
    this.#onCommitError = options.onCommitError;
    this.#inodes = new InodeCache(cacheMax);
    this.#dentries = new DentryCache(cacheMax);
    const identity = readIdentity(this.#kv, this.#keys);
    if (identity === undefined) throw new GfsError('CONFIG', 'the metadata store was not initialised');
    this.clusterId = identity.clusterId;
    this.#inodeCount = this.#readCounter(this.#keys.inodeCount);
    this.#inos = new InoAllocator(this.#kv, this.#keys, (committed) => this.#watch(committed));
  }

  /**
   * Decides a command and makes it visible. It is stored within the store's group interval, and survives
   * a power cut once a later `flush` resolves.
   * @param alongside further keys to write in the same transaction; asked only when the command writes
   * @throws GfsError as `apply` does; ENOSPC for what needs space when the store has none
   */
  execute(command: Command, alongside?: (result: CommandResult) => readonly KvWrite[]): Executed {
    if (takesSpace(command) && this.#kv.hasRoom?.() === false) {
      throw new GfsError('ENOSPC', 'the disk of the metadata store is full');
    }
    const { writes, invalidations, result } = apply(this, command);
    if (writes.length > 0) this.#stage(command, writes, alongside?.(result));
    return result.orphaned === undefined
      ? { inode: result.inode, writes, invalidations }
      : { inode: result.inode, orphaned: result.orphaned, writes, invalidations };
  }

  /** While an inode as it is now is not stored: what to wait for before somebody else is shown it. */
  pendingCommit(ino: Ino): Promise<void> | undefined {
    return this.#kv.pendingCommit === undefined ? undefined : this.#kv.pendingCommit(this.#keys.inode(ino));
  }

  /** The same of what a name means. (All entries of a directory: its inode changes with each of them.) */
  pendingEntryCommit(parent: Ino, name: Name): Promise<void> | undefined {
    return this.#kv.pendingCommit === undefined
      ? undefined
      : this.#kv.pendingCommit(this.#keys.dentry(parent, name));
  }

  inode(ino: Ino): InodeRecord | undefined {
    const cached = this.#inodes.get(ino);
    if (cached !== undefined) return cached;
    const bytes = this.#kv.get(this.#keys.inode(ino));
    if (bytes === undefined) return undefined;
    const inode = decodeInode(ino, bytes);
    this.#inodes.learn(ino, inode, bytes);
    return inode;
  }

  dentry(parent: Ino, name: Name): Dentry | undefined {
    const cached = this.#dentries.get(parent, name);
    if (cached !== undefined) return cached === ABSENT ? undefined : cached;
    const bytes = this.#kv.get(this.#keys.dentry(parent, name));
    const dentry = bytes === undefined ? undefined : decodeDentry(bytes);
    this.#dentries.set(parent, name, dentry ?? ABSENT);
    return dentry;
  }

  /** @throws GfsError CORRUPT for an entry without inode */
  lookup(parent: Ino, name: Name): InodeRecord | undefined {
    const dentry = this.dentry(parent, name);
    if (dentry === undefined) return undefined;
    const inode = this.inode(dentry.ino);
    if (inode === undefined) {
      throw new GfsError('CORRUPT', 'a directory entry has no inode', {
        context: { parent, name, ino: dentry.ino },
      });
    }
    return inode;
  }

  /**
   * Entries in the order of their names' bytes, as they are now. To go on, pass the last name: what was
   * there all the time is then returned exactly once, whatever changed in between.
   * @param afterName '' for the first entries
   */
  readDirectory(ino: Ino, afterName: Name | '', limit: number): NamedDentry[] {
    const prefix = this.#keys.dentriesOf(ino);
    const range = { start: prefix + afterName, afterStart: true, end: endOfPrefix(prefix), limit };
    return this.#kv
      .range(range)
      .map(({ key, value }) => ({ name: key.slice(prefix.length) as Name, ...decodeDentry(value) }));
  }

  xattr(ino: Ino, name: string): Uint8Array | undefined {
    if (!this.#hasXattr(ino)) return undefined;
    return this.#kv.get(this.#keys.xattr(ino, name));
  }

  xattrNames(ino: Ino): string[] {
    if (!this.#hasXattr(ino)) return [];
    const prefix = this.#keys.xattrsOf(ino);
    return this.#kv
      .range({ start: prefix, end: endOfPrefix(prefix) })
      .map(({ key }) => key.slice(prefix.length));
  }

  isOrphan(ino: Ino): boolean {
    return this.#kv.get(this.#keys.orphan(ino)) !== undefined;
  }

  /** Inodes without a name: at a start nobody has them open, and they can be reaped. */
  orphans(): Ino[] {
    const prefix = this.#keys.orphans;
    return this.#kv
      .range({ start: prefix, end: endOfPrefix(prefix) })
      .flatMap(({ key }) => Keys.parse(key, prefix)?.ino ?? []);
  }

  /**
   * Every inode, orphans included, each as it is when it is reached; other work goes on in between.
   * @param pageSize inodes decoded in one turn: 1,000 take some 3 ms
   */
  async *inodes(pageSize = 1000): AsyncGenerator<InodeRecord> {
    const prefix = this.#keys.inodes;
    let start = prefix;
    for (;;) {
      const page = this.#kv.range({ start, afterStart: true, end: endOfPrefix(prefix), limit: pageSize });
      for (const { key, value } of page) {
        const parsed = Keys.parse(key, prefix);
        if (parsed !== undefined) yield decodeInode(parsed.ino, value);
      }
      const last = page.at(-1);
      if (last === undefined || page.length < pageSize) return;
      start = last.key;
      await new Promise(setImmediate);
    }
  }

  /** One path of an inode, from the root: see findPath. Slow: for log lines and reports. */
  pathOf(ino: Ino): Promise<string | undefined> {
    return findPath(this.#kv, this.#keys, ROOT_INO, ino);
  }

  /**
   * Paths as far as the names that are cached at the moment tell them, for reports on many inodes: undefined
   * for what they do not.
   */
  cachedPaths(): (ino: Ino) => string | undefined {
    const places = this.#dentries.places();
    return (ino) => {
      const names: Name[] = [];
      for (let at = ino; at !== ROOT_INO;) {
        const place = places.get(at);
        if (place === undefined || this.dentry(place.parent, place.name)?.ino !== at) return undefined;
        names.unshift(place.name);
        at = place.parent;
      }
      return `/${names.join('/')}`;
    };
  }

  /** `count` consecutive inode numbers for commands that make inodes; never given twice. */
  reserveInos(count: number): { readonly first: Ino; readonly count: number } {
    return { first: this.#inos.reserve(count), count };
  }

  /** @returns `inodes`: how many there are, the root and orphans included */
  stats(): { readonly inodes: number } {
    return { inodes: this.#inodeCount };
  }

  /** Compares all records, and repairs on request: see checkNamespace. The kernel's caches are the caller's. */
  async check(options: { readonly repair: boolean; readonly timeNs: TimeNs }): Promise<NamespaceCheck> {
    const nextIno = (): Ino => this.#inos.reserve(1);
    const check = await checkNamespace(this.#kv, { ...options, prefix: this.#prefix, nextIno });
    if (options.repair) this.#forgetCaches();
    return check;
  }

  /** While the store is behind by more than its bound: what to wait for before the next `execute`. */
  congestion(): Promise<void> | undefined {
    return this.#kv.congestion?.();
  }

  /** Resolves when all that was executed is stored, whenever its group is. @throws GfsError when it was undone */
  stored(): Promise<void> {
    return this.#watched ?? Promise.resolve();
  }

  /** Resolves when all that was executed survives a power cut. @throws GfsError what the store could not do */
  async flush(): Promise<void> {
    try {
      await this.#kv.sync();
    } catch (thrown) {
      this.#failure ??= toGfsError(thrown);
    }
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) throw failure;
  }

  /** Stores everything and closes the store. */
  async close(): Promise<void> {
    this.#inos.release();
    try {
      await this.flush();
    } finally {
      await this.#kv.close();
    }
  }

  #hasXattr(ino: Ino): boolean {
    const inode = this.inode(ino);
    return inode !== undefined && (inode.flags & InodeFlag.hasXattr) !== 0;
  }

  #stage(command: Command, writes: readonly RecordWrite[], alongside: readonly KvWrite[] = []): void {
    const staged: KvWrite[] = [...alongside];
    for (const write of writes) staged.push(this.#stageOne(write));
    const change = inodesAdded(command);
    if (change !== 0) {
      this.#inodeCount += change;
      const count = this.#inodeCount;
      staged.push({ key: this.#keys.inodeCount, value: () => encodeCounter(count) });
    }
    this.#watch(this.#kv.commit(staged));
  }

  /** Brings the caches up to date with one write, and says how it is stored. */
  #stageOne(write: RecordWrite): KvWrite {
    switch (write.kind) {
      case 'inode': {
        const { ino, record } = write;
        if (record === undefined) {
          this.#inodes.delete(ino);
          return { key: this.#keys.inode(ino), value: undefined };
        }
        this.#inodes.set(ino, record);
        return { key: this.#keys.inode(ino), value: () => encodeInode(record) };
      }
      case 'dentry': {
        const key = this.#keys.dentry(write.parent, write.name);
        const dentry = { ino: write.ino, type: write.type };
        this.#dentries.set(write.parent, write.name, dentry);
        return { key, value: () => encodeDentry(dentry) };
      }
      case 'no-dentry': {
        this.#dentries.set(write.parent, write.name, ABSENT);
        return { key: this.#keys.dentry(write.parent, write.name), value: undefined };
      }
      case 'xattr':
        return { key: this.#keys.xattr(write.ino, write.name), value: write.value };
      case 'orphan':
        return { key: this.#keys.orphan(write.ino), value: write.present ? ORPHAN_VALUE : undefined };
    }
  }

  #watch(committed: Promise<void>): void {
    if (committed === this.#watched) return;
    this.#watched = committed;
    committed.catch((thrown: unknown) => this.#commitFailed(toGfsError(thrown)));
  }

  /** The store has gone back to what it last stored: what was decided since is undone here too. */
  #commitFailed(error: GfsError): void {
    this.#forgetCaches();
    this.#failure = error;
    this.#onCommitError?.(error);
  }

  #forgetCaches(): void {
    this.#inodes.clear();
    this.#dentries.clear();
    this.#inodeCount = this.#readCounter(this.#keys.inodeCount);
  }

  #readCounter(key: string): number {
    const bytes = this.#kv.get(key);
    if (bytes === undefined) throw new GfsError('CORRUPT', `the store has no ${key}`);
    return decodeCounter(bytes);
  }
}
