import type { Ino, Name, TimeNs } from '../core/index.js';
import type { LockFamily, LockRange, LockRequest } from '../leases/index.js';
import type { Command, CommandResult, InodeRecord, NamedDentry } from '../namespace/index.js';

/** Now, where it is known here; later, where somebody must be asked. */
export type Awaitable<T> = T | Promise<T>;

/**
 * What the client needs of the mount that it serves, when others change things or need them. The calls that
 * return a promise are waited for before the coordinator is told.
 */
export interface LeaseHost {
  /** Forget a name, in the kernel too. Resolves when nobody on this node can be shown the old one. */
  forgetEntry(parent: Ino, name: Name): Promise<void> | undefined;
  /** Forget an inode's attributes (of a directory also its list of entries), in the kernel too. */
  forgetInode(ino: Ino): Promise<void> | undefined;
  /** Somebody else will change the content: nothing of it may be shown from now on without asking. */
  yieldRead(ino: Ino): Promise<void> | undefined;
  /**
   * Somebody else needs a file that is written here: take no more writes, seal, commit (`keepWrite` false).
   * It is tried until it succeeds; what fails is for the host to report.
   */
  yieldWrite(ino: Ino): Promise<void>;
  /** Size and times of a file that is written here; undefined when the inode's record says it all. */
  liveAttributes(ino: Ino): LiveAttributes | undefined;
  /** Open, or known to the kernel. */
  inUse(ino: Ino): boolean;
  /** Everything that was cached may be wrong: the kernel must ask again for all of it. */
  forgetAll(): void;
  /** Of the inodes that are in use: those whose content was written here and is not committed. */
  uncommitted(): Iterable<Ino>;
  /** The session was lost: what is uncommitted can be stored only if nobody else has committed since. */
  sessionLost(): void;
}

/** Size and times of a file as its writer sees them. */
export interface LiveAttributes {
  readonly size: number;
  readonly allocatedBytes: number;
  readonly atimeNs: TimeNs;
  readonly mtimeNs: TimeNs;
  readonly ctimeNs: TimeNs;
}

export interface NamespaceStatistics {
  /** Inodes of every type that exist, orphans included. */
  readonly inodes: number;
}

/**
 * A mount's view of the namespace. Its answers are coherent with every other mount's; errors are
 * GfsErrors. The embedded client answers at once, from the coordinator in its own process.
 */
export interface NamespaceClient {
  /** `keepWrite`: after a commit the file is written on; else the write lease becomes a read lease. */
  execute(command: Command, options?: { readonly keepWrite: boolean }): Awaitable<CommandResult>;
  inode(ino: Ino): Awaitable<InodeRecord | undefined>;
  lookup(parent: Ino, name: Name): Awaitable<InodeRecord | undefined>;
  /** Entries after `after` ('' for the first) in name order; at most `limit`. */
  readDirectory(ino: Ino, after: Name | '', limit: number): Awaitable<NamedDentry[]>;
  xattr(ino: Ino, name: string): Awaitable<Uint8Array | undefined>;
  xattrNames(ino: Ino): Awaitable<readonly string[]>;
  /**
   * The record of an inode under a lease of at least this mode; at once where it is held.
   * @throws GfsError ESTALE when the inode is no more; EIO, UNAVAILABLE
   */
  acquire(ino: Ino, mode: 'read' | 'write'): Awaitable<InodeRecord>;
  /** Whether the lease is held at this moment, and not being recalled in a way that forbids new use. */
  holds(ino: Ino, mode: 'read' | 'write'): boolean;
  /**
   * Whether the kernel may keep an inode's attributes: it will be told when they change.
   * @param shown the record that it is about to be told; one that another has replaced since may not be kept
   */
  attributesLeased(ino: Ino, shown?: InodeRecord): boolean;
  /**
   * Whether the kernel may keep what a name means, or that it means nothing.
   * @param shown what it is about to be told that the name means
   */
  entryLeased(parent: Ino, name: Name, shown?: Ino | 'absent'): boolean;
  /** The inode is neither open nor known to the kernel any more: an orphan that nobody else uses is deleted. */
  unused(ino: Ino): void;
  /** To be called once, before the first request. */
  serve(host: LeaseHost): void;
  /** An inode number for this session alone, never used before or again. */
  nextIno(): Awaitable<Ino>;
  /** One path of an inode, bytes as characters; undefined when it has none. Slow: for log lines. */
  pathOf(ino: Ino): Awaitable<string | undefined>;
  orphans(): Awaitable<readonly Ino[]>;
  statistics(): Awaitable<NamespaceStatistics>;
  /** The lock that stands in the way of `request`, if any (fcntl's F_GETLK). */
  lockConflict(ino: Ino, family: LockFamily, request: LockRequest): Awaitable<LockRange | undefined>;
  /** Sets or clears a lock; false, and nothing changed, when somebody else holds what conflicts. */
  tryLock(ino: Ino, family: LockFamily, request: LockRequest): Awaitable<boolean>;
  /** Waits until the lock is held. @throws GfsError EDEADLK; EINTR when `signal` aborts */
  waitLock(ino: Ino, family: LockFamily, request: LockRequest, signal: AbortSignal): Promise<void>;
  /** Resolves when everything executed before the call is stored: a crash does not undo it. Hurries nobody. */
  stored(): Promise<void>;
  /** Like `stored`, as soon as possible, and a power cut does not undo it either (fsync). */
  flush(): Promise<void>;
}
