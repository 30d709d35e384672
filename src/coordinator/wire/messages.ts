import type { GfsErrorCode, Ino, Name } from '../../core/index.js';
import type { LeaseMode, LockFamily, LockRange, LockRequest } from '../../leases/index.js';
import type { Command, Dentry, InodeRecord, RecordWrite } from '../../namespace/index.js';
import type { SiteSpec } from '../../sites/index.js';
import type { LiveAttributes } from '../client.js';

/** Versions of this conversation that this build speaks; the newest that both sides speak is used. */
export const PROTOCOL_MIN = 1;
export const PROTOCOL_MAX = 1;

/** A session and the term in which it holds leases: a new epoch after every loss. */
export interface SessionRef {
  /** Decimal number as text, unique in the cluster for ever. */
  readonly id: string;
  readonly epoch: number;
}

/** The first message of a stream. Nothing else is sent before `welcome` or `refused` has come. */
export interface Hello {
  readonly kind: 'hello';
  readonly protocolMin: number;
  readonly protocolMax: number;
  /** GlobalFS version of the sender, for people. */
  readonly software: string;
  /** The session to go on with; absent for a new one. */
  readonly session?: SessionRef;
  readonly site: string;
  /** Host name, or what tells this node from others of its site. */
  readonly member: string;
  readonly mountpoint: string;
  readonly pid: number;
  /** What the session holds and goes on holding: write leases, inodes that are open, locks. Read leases lapse. */
  readonly claims: readonly Claim[];
  readonly locks: readonly ClaimedLock[];
  /** Every command with a lower number has been answered: its outcome may be forgotten. */
  readonly answeredBelow: number;
  /** Higher in each hello of a session than in those before: one that was overtaken on its way does nothing. */
  readonly connection: number;
}

export interface Claim {
  readonly ino: Ino;
  readonly mode: 'known' | 'write';
  /** Number of the commit that gives the write lease up and is not answered: if it was applied, the claim is void. */
  readonly committing?: number;
}

export interface ClaimedLock {
  readonly ino: Ino;
  readonly family: LockFamily;
  readonly range: LockRange;
}

export interface Welcome {
  readonly kind: 'welcome';
  readonly protocol: number;
  readonly session: SessionRef;
  /** The session is the one that was asked for; false: all leases and claims are void. */
  readonly resumed: boolean;
  readonly ttlMs: number;
  readonly clusterId: string;
  readonly sites: readonly SiteSpec[];
}

/** The stream ends after it. `leader` is where to go instead, when it is known. */
export interface Refused {
  readonly kind: 'refused';
  readonly code: GfsErrorCode;
  readonly message: string;
  readonly leader?: string;
}

/** What one mount asks. Answered by `reply` with the same id, in any order. */
export type Request =
  | { readonly op: 'lookup'; readonly parent: Ino; readonly name: Name }
  | { readonly op: 'inode'; readonly ino: Ino }
  /** `plus`: with the inodes' records. Answers one page; `complete` says that nothing follows. */
  | {
      readonly op: 'read-directory';
      readonly ino: Ino;
      readonly after: string;
      readonly limit: number;
      readonly plus: boolean;
    }
  | { readonly op: 'xattrs'; readonly ino: Ino }
  /**
   * `number` counts the session's commands: the same one is applied once, however often it is sent.
   * `keepWrite`: after a commit the session keeps its write lease (the file is open for writing still);
   * without it the lease becomes a read lease.
   */
  | {
      readonly op: 'execute';
      readonly number: number;
      readonly answeredBelow: number;
      readonly keepWrite: boolean;
      readonly command: Command;
    }
  | { readonly op: 'acquire'; readonly ino: Ino; readonly mode: LeaseMode }
  | { readonly op: 'reserve-inos'; readonly count: number }
  | { readonly op: 'path-of'; readonly ino: Ino }
  | { readonly op: 'statistics' }
  | { readonly op: 'flush' }
  | {
      readonly op: 'lock-conflict';
      readonly ino: Ino;
      readonly family: LockFamily;
      readonly request: LockRequest;
    }
  | { readonly op: 'try-lock'; readonly ino: Ino; readonly family: LockFamily; readonly request: LockRequest }
  /** Answered when the lock is held; `cancel` with this request's id ends the wait (EINTR). */
  | {
      readonly op: 'wait-lock';
      readonly ino: Ino;
      readonly family: LockFamily;
      readonly request: LockRequest;
    };

/**
 * A record as it is at the moment of sending. `leased`: the session may keep it until it is told otherwise.
 * `volatile` (then never leased): somebody else is writing the file; size and times are the writer's of now.
 */
export interface SentInode {
  readonly record: InodeRecord;
  readonly leased: boolean;
  readonly volatile: boolean;
}

export type Result =
  /** `entryLeased`: that the name means this inode, or nothing (`inode` absent), may be kept. */
  | { readonly op: 'lookup'; readonly inode?: SentInode; readonly entryLeased: boolean }
  | { readonly op: 'inode'; readonly inode?: SentInode }
  | {
      readonly op: 'read-directory';
      readonly entries: readonly SentEntry[];
      readonly complete: boolean;
      /** The session holds a read lease on the directory: the page may be kept. */
      readonly leased: boolean;
    }
  | {
      readonly op: 'xattrs';
      readonly xattrs: readonly { readonly name: string; readonly value: Uint8Array }[];
      readonly leased: boolean;
    }
  /**
   * `writes` are the records as the command left them; `leased[i]` says whether writes[i] may be kept: it is
   * still so at the moment of sending, and the session holds the lease that covers it.
   */
  | {
      readonly op: 'execute';
      readonly inode: SentInode;
      readonly orphaned?: InodeRecord;
      readonly writes: readonly RecordWrite[];
      readonly leased: readonly boolean[];
    }
  | { readonly op: 'acquire'; readonly inode: SentInode }
  | { readonly op: 'reserve-inos'; readonly first: Ino; readonly count: number }
  | { readonly op: 'path-of'; readonly path?: string }
  | { readonly op: 'statistics'; readonly inodes: number }
  | { readonly op: 'flush' }
  | { readonly op: 'lock-conflict'; readonly range?: LockRange }
  | { readonly op: 'try-lock'; readonly acquired: boolean }
  | { readonly op: 'wait-lock' };

export interface SentEntry {
  readonly name: Name;
  readonly dentry: Dentry;
  /** With `plus`. */
  readonly inode?: SentInode;
}

/** What a mount's node says of itself, for `globalfs status` and `health/<site>/<member>`. */
export interface NodeHealth {
  /** Load average of a minute over the number of CPUs. */
  readonly cpuLoad: number;
  readonly freeBytes: number;
  readonly storeReachable: boolean;
  /** Of one small request to the site's store, ms; -1 when it does not answer. */
  readonly storeLatencyMs: number;
  readonly cachedBytes: number;
  readonly stagedBytes: number;
  readonly conflicts: number;
  /** Requests of the kernel since the mount, by opcode. */
  readonly requests: Readonly<Record<string, number>>;
}

export type ClientMessage =
  | Hello
  | { readonly kind: 'request'; readonly id: number; readonly request: Request }
  /** Gives up a `wait-lock`. */
  | { readonly kind: 'cancel'; readonly id: number }
  /**
   * Done with a `notice`, `recall` or `query`. After a recall the lease is let go of (downgraded to `to` of the recall).
   * `live` answers a query; absent when the session does not write the file any more.
   */
  | { readonly kind: 'ack'; readonly id: number; readonly live?: LiveAttributes }
  /** Inodes of which the session keeps nothing: not cached, not open, not known to its kernel. */
  | { readonly kind: 'release'; readonly inos: readonly Ino[] }
  | { readonly kind: 'heartbeat'; readonly beat: number; readonly health?: NodeHealth }
  /** The session ends in order: all its leases and locks are free. */
  | { readonly kind: 'goodbye' };

export type Notice =
  | { readonly kind: 'entry'; readonly parent: Ino; readonly name: Name }
  /** `orphaned`: it has lost its last name. Whoever does not use it answers with `release`. */
  | { readonly kind: 'inode'; readonly ino: Ino; readonly orphaned: boolean };

export type ServerMessage =
  | Welcome
  | Refused
  | { readonly kind: 'reply'; readonly id: number; readonly result: Result }
  | {
      readonly kind: 'error';
      readonly id: number;
      readonly code: GfsErrorCode;
      readonly message: string;
      readonly retryable: boolean;
    }
  /** Forget these, in the kernel too, then `ack`. The lease stays. */
  | { readonly kind: 'notice'; readonly id: number; readonly notices: readonly Notice[] }
  /** Somebody else needs the inode: seal and commit what is written, then `ack`. */
  | { readonly kind: 'recall'; readonly id: number; readonly ino: Ino; readonly to: 'known' | 'read' }
  /** What are size and times of a file that the session writes? Answered by `ack`. */
  | { readonly kind: 'query'; readonly id: number; readonly ino: Ino }
  | { readonly kind: 'heartbeat'; readonly beat: number }
  | { readonly kind: 'sites'; readonly sites: readonly SiteSpec[] };
