import type { Ino, Name } from '../core/index.js';
import type { LockFamily, LockRange, LockRequest } from '../leases/index.js';
import type { Command, CommandResult, InodeRecord, NamedDentry } from '../namespace/index.js';

/** Now, where it is known here; later, where somebody must be asked. */
export type Awaitable<T> = T | Promise<T>;

export interface NamespaceStatistics {
  /** Inodes of every type that exist, orphans included. */
  readonly inodes: number;
}

/**
 * A mount's view of the namespace. Its answers are coherent with every other mount's; errors are
 * GfsErrors. The embedded client answers at once, from the coordinator in its own process.
 */
export interface NamespaceClient {
  execute(command: Command): Awaitable<CommandResult>;
  inode(ino: Ino): Awaitable<InodeRecord | undefined>;
  lookup(parent: Ino, name: Name): Awaitable<InodeRecord | undefined>;
  /** Entries after `after` ('' for the first) in name order; at most `limit`. */
  readDirectory(ino: Ino, after: Name | '', limit: number): Awaitable<NamedDentry[]>;
  xattr(ino: Ino, name: string): Awaitable<Uint8Array | undefined>;
  xattrNames(ino: Ino): Awaitable<readonly string[]>;
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
