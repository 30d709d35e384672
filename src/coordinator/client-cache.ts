import type { Ino, Name } from '../core/index.js';
import {
  type Command,
  InodeFlag,
  type InodeRecord,
  type NamedDentry,
  type RecordWrite,
  S_IFMT,
  S_IFREG,
} from '../namespace/index.js';
import { RecordCompactor } from './client-compact.js';
import { CachedDirectory, type Meaning, type NameCount } from './client-directory.js';
import { LeaseCaps } from './client-lease-caps.js';
import { type Xattrs, XattrCache } from './client-xattrs.js';
import type { Claim, SentInode } from './wire/index.js';

/** Lease modes as numbers that can be compared. */
export const LeaseLevel = { none: 0, known: 1, read: 2, write: 3 } as const;
export type LeaseLevel = (typeof LeaseLevel)[keyof typeof LeaseLevel];

/** 200,000 files with their names take some 120 MB (measured: 610 bytes each with one block); the same again for names alone 30 MB. */
const INODES_MAX = 200_000;
const NAMES_MAX = 400_000;

/** This part of the bound is freed at a time: a Map walks over what was deleted at its front. */
const EVICTED_PART = 1 / 32;

interface CachedInode {
  level: LeaseLevel;
  /** Since the eviction looked last. */
  used: boolean;
  /** Only under a lease of at least `read`, and only as long as it is exact. */
  record: InodeRecord | undefined;
}

/** What became of a record that was sent: kept; exact as of its sending only; or sent under a lease that was let go of. */
export type Taken = 'kept' | 'shown' | 'void';

export interface LeaseCacheOptions {
  /** Bounds; what the host uses counts, but is not evicted. */
  readonly inodesMax?: number;
  readonly namesMax?: number;
  readonly inUse: (ino: Ino) => boolean;
  /** Leases that were evicted: the coordinator is to be told. */
  readonly evicted: (inos: readonly Ino[]) => void;
}

/**
 * What a mount holds leases on, and what it keeps under them: records, xattrs, entries. All methods are
 * synchronous: what is here is exact at every moment between two messages. Knows nothing of deadlines.
 */
export class LeaseCache {
  readonly caps = new LeaseCaps();
  readonly #options: LeaseCacheOptions;
  readonly #inodesMax: number;
  readonly #namesMax: number;
  readonly #inodes = new Map<Ino, CachedInode>();
  /** Of inodes with a read lease only. */
  readonly #directories = new Map<Ino, CachedDirectory>();
  readonly #xattrs = new XattrCache();
  /** Write leases under which nothing new may begin: they are being let go of, or it is not certain that they are held. */
  readonly #parting = new Set<Ino>();
  readonly #count: NameCount = { names: 0 };
  readonly #compactor = new RecordCompactor();
  #evictAbove: number;

  constructor(options: LeaseCacheOptions) {
    this.#options = options;
    this.#inodesMax = options.inodesMax ?? INODES_MAX;
    this.#namesMax = options.namesMax ?? NAMES_MAX;
    this.#evictAbove = this.#inodesMax;
  }

  get size(): { readonly inodes: number; readonly names: number; readonly xattrBytes: number } {
    return { inodes: this.#inodes.size, names: this.#count.names, xattrBytes: this.#xattrs.bytes };
  }

  level(ino: Ino): LeaseLevel {
    return this.#inodes.get(ino)?.level ?? LeaseLevel.none;
  }

  /** The write lease may be used for something new. */
  mayWrite(ino: Ino): boolean {
    return this.level(ino) === LeaseLevel.write && !this.#parting.has(ino);
  }

  /** The record, when it is exact. */
  record(ino: Ino): InodeRecord | undefined {
    const inode = this.#inodes.get(ino);
    if (inode === undefined) return undefined;
    inode.used = true;
    return inode.record;
  }

  /** All xattrs of an inode, when they are known to be these. */
  xattrs(ino: Ino): Xattrs | undefined {
    return this.level(ino) < LeaseLevel.read ? undefined : this.#xattrs.get(ino);
  }

  /** For reading. */
  directory(ino: Ino): CachedDirectory | undefined {
    const directory = this.#directories.get(ino);
    if (directory !== undefined) directory.used = true;
    return directory;
  }

  meaning(parent: Ino, name: Name): Meaning {
    return this.directory(parent)?.meaning(name);
  }

  /** Takes in a record that a request's answer brought. */
  take({ record, leased }: SentInode, request: number): Taken {
    const { ino } = record;
    const cap = this.caps.of(ino, request);
    if (cap === LeaseLevel.none) return 'void';
    if (!leased || cap === LeaseLevel.known) {
      this.#raise(ino, LeaseLevel.known);
      this.forgetRecord(ino);
      return 'shown';
    }
    this.#raise(ino, LeaseLevel.read).record = this.#compactor.compact(record);
    return 'kept';
  }

  /** The lease on an inode that an answer granted. @returns whether the coordinator and we agree on it */
  grant(ino: Ino, level: LeaseLevel, request: number): boolean {
    const cap = this.caps.of(ino, request);
    if (cap !== undefined && cap < level) return false;
    this.#raise(ino, level);
    if (level === LeaseLevel.write) this.#parting.delete(ino);
    return true;
  }

  learnEntry(parent: Ino, name: Name, meaning: NamedDentry | 'absent', request: number): void {
    if (this.grant(parent, LeaseLevel.read, request)) {
      this.#directoryOf(parent).learn(name, meaning);
      this.#evictNames();
    } else this.forgetEntry(parent, name);
  }

  /** @param entries after `after`, without a gap */
  learnPage(
    ino: Ino,
    after: Name | '',
    entries: readonly NamedDentry[],
    complete: boolean,
    request: number,
  ): void {
    if (!this.grant(ino, LeaseLevel.read, request)) return;
    this.#directoryOf(ino).learnPage(after, entries, complete);
    this.#evictNames();
  }

  learnXattrs(ino: Ino, xattrs: Xattrs, request: number): void {
    if (this.grant(ino, LeaseLevel.read, request)) this.#xattrs.set(ino, xattrs);
  }

  /** What a command of ours has written, and which of it may be kept. */
  takeWrites(
    command: Command,
    writes: readonly RecordWrite[],
    leased: readonly boolean[],
    request: number,
  ): void {
    const made = inodeMadeBy(command);
    writes.forEach((write, i) => this.#takeWrite(write, leased[i] === true, made, request));
  }

  #takeWrite(write: RecordWrite, leased: boolean, made: Ino | undefined, request: number): void {
    switch (write.kind) {
      case 'inode':
        if (write.record === undefined) this.remove(write.ino);
        else if (leased) this.#takeOwn(write.record, made, request);
        else this.forgetRecord(write.ino);
        return;
      case 'dentry':
      case 'no-dentry': {
        const { parent, name } = write;
        if (!leased) this.forgetEntry(parent, name);
        else if (write.kind === 'no-dentry') this.learnEntry(parent, name, 'absent', request);
        else this.learnEntry(parent, name, { name, ino: write.ino, type: write.type }, request);
        return;
      }
      case 'xattr':
        if (leased) this.#takeOwnXattr(write, made);
        else this.#xattrs.delete(write.ino);
        return;
      case 'orphan':
        return;
    }
  }

  #takeOwn(record: InodeRecord, made: Ino | undefined, request: number): void {
    const { ino } = record;
    if (ino === made && (record.mode & S_IFMT) === S_IFREG) this.grant(ino, LeaseLevel.write, request);
    if (this.grant(ino, LeaseLevel.read, request))
      this.#raise(ino, LeaseLevel.read).record = this.#compactor.compact(record);
    else this.forgetRecord(ino);
  }

  /** The lease that covers it is that of the inode's record, which is written with it. */
  #takeOwnXattr(write: Extract<RecordWrite, { kind: 'xattr' }>, made: Ino | undefined): void {
    const { ino, name, value } = write;
    const record = this.#inodes.get(ino)?.record;
    const hadNone = ino === made || (record !== undefined && (record.flags & InodeFlag.hasXattr) === 0);
    const before = this.#xattrs.get(ino) ?? (hadNone ? new Map<string, Uint8Array>() : undefined);
    if (before === undefined) return;
    const after = new Map(before);
    if (value === undefined) after.delete(name);
    else after.set(name, value);
    this.#xattrs.set(ino, after);
  }

  /** Somebody has changed it, or may have. The lease stays. */
  forgetRecord(ino: Ino): void {
    this.#xattrs.delete(ino);
    const inode = this.#inodes.get(ino);
    if (inode !== undefined) inode.record = undefined;
  }

  forgetEntry(parent: Ino, name: Name): void {
    this.#directories.get(parent)?.forget(name);
  }

  /** Nothing new may begin under the write lease. */
  part(ino: Ino): void {
    if (this.level(ino) === LeaseLevel.write) this.#parting.add(ino);
  }

  /** Keeps at most this much of a lease, and what it covers. */
  lower(ino: Ino, level: 'known' | 'read'): void {
    const inode = this.#inodes.get(ino);
    this.#parting.delete(ino);
    if (inode === undefined || inode.level <= LeaseLevel[level]) return;
    inode.level = LeaseLevel[level];
    if (level === 'known') this.#forgetContent(ino);
  }

  /** Nothing is left of the inode. @returns whether there was anything */
  remove(ino: Ino): boolean {
    this.#forgetContent(ino);
    this.#parting.delete(ino);
    return this.#inodes.delete(ino);
  }

  /**
   * What a connection's end leaves: write leases, if the host goes on with them, and what the host uses. Nothing
   * is kept under them.
   * @param committing write leases that end when a command under way is done: whether it is, nobody knows
   *   here. They are claimed, but not relied on.
   */
  keepClaims(keepsWrite: (ino: Ino) => boolean, committing: ReadonlyMap<Ino, number>): void {
    this.#xattrs.clear();
    for (const directory of this.#directories.values()) directory.clear();
    this.#directories.clear();
    this.caps.clear();
    for (const [ino, inode] of this.#inodes) {
      inode.record = undefined;
      const goesOn = committing.has(ino);
      if (inode.level === LeaseLevel.write && !goesOn && keepsWrite(ino)) continue;
      this.#parting.delete(ino);
      if (goesOn || this.#options.inUse(ino)) inode.level = LeaseLevel.known;
      else this.#inodes.delete(ino);
    }
  }

  /** Nothing is held any more. */
  clear(): void {
    this.keepClaims(() => false, new Map());
    this.#inodes.clear();
  }

  /** @param committing as for `keepClaims`: the numbers of those commands */
  *claims(committing: ReadonlyMap<Ino, number>): Iterable<Claim> {
    for (const [ino, { level }] of this.#inodes) {
      const number = committing.get(ino);
      if (number !== undefined) yield { ino, mode: 'write', committing: number };
      else yield { ino, mode: level === LeaseLevel.write ? 'write' : 'known' };
    }
  }

  #forgetContent(ino: Ino): void {
    this.forgetRecord(ino);
    this.#directories.get(ino)?.clear();
    this.#directories.delete(ino);
  }

  #raise(ino: Ino, level: LeaseLevel): CachedInode {
    let inode = this.#inodes.get(ino);
    if (inode === undefined) {
      inode = { level, used: false, record: undefined };
      this.#inodes.set(ino, inode);
      if (this.#inodes.size > this.#evictAbove) this.#evict();
    } else if (inode.level < level) inode.level = level;
    return inode;
  }

  #directoryOf(ino: Ino): CachedDirectory {
    let directory = this.#directories.get(ino);
    if (directory === undefined) this.#directories.set(ino, (directory = new CachedDirectory(this.#count)));
    directory.used = true;
    return directory;
  }

  /** Frees the inodes that were not used for longest; each that was used since the last time gets another round. */
  #evict(): void {
    const slack = Math.ceil(this.#inodesMax * EVICTED_PART);
    const target = this.#inodesMax - slack;
    const evicted: Ino[] = [];
    let left = this.#inodes.size;
    for (const [ino, inode] of this.#inodes) {
      if (this.#inodes.size <= target || left-- === 0) break;
      const directory = this.#directories.get(ino);
      const used = inode.used || directory?.used === true;
      if (used || this.#parting.has(ino) || this.#options.inUse(ino)) {
        inode.used = false;
        if (directory !== undefined) directory.used = false;
        this.#inodes.delete(ino);
        this.#inodes.set(ino, inode);
        continue;
      }
      this.remove(ino);
      evicted.push(ino);
    }
    this.#evictAbove = Math.max(this.#inodesMax, this.#inodes.size + slack);
    if (evicted.length > 0) this.#options.evicted(evicted);
  }

  /** Frees the entries of the directories that were not read for longest. Their leases stay. */
  #evictNames(): void {
    if (this.#count.names <= this.#namesMax) return;
    for (const [ino, directory] of this.#directories) {
      if (this.#count.names <= this.#namesMax * (1 - EVICTED_PART)) break;
      this.#directories.delete(ino);
      if (directory.used) {
        directory.used = false;
        this.#directories.set(ino, directory);
      } else directory.clear();
    }
  }
}

export function inodeMadeBy(command: Command): Ino | undefined {
  switch (command.kind) {
    case 'create':
    case 'mkdir':
    case 'mknod':
    case 'symlink':
    case 'tmpfile':
      return command.ino;
    case 'link':
    case 'unlink':
    case 'rmdir':
    case 'rename':
    case 'setattr':
    case 'setxattr':
    case 'removexattr':
    case 'commit':
    case 'reap':
      return undefined;
  }
}
