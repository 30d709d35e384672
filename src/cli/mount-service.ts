import type { Logger } from '../core/logger.js';
import type { Patience, TlsFiles } from './config/fields.js';

/** The cluster that a mount belongs to: globalfs.yaml, without what is the node's own affair. */
export interface ClusterSettings {
  /** `host:port` of each; the leader is found among them. */
  readonly coordinators: readonly string[];
  /** The site whose store is the near one: its name in `globalfs site list`. */
  readonly site: string;
  /** What tells this machine from others of its site. */
  readonly member: string;
  /** Set: TLS with this client certificate. */
  readonly tls: TlsFiles | undefined;
  /** Calls while no coordinator answers: wait, or fail with EIO. */
  readonly unreachable: Patience;
  /** Writers while the site's store does not answer and no more may be staged: wait, or fail with ENOSPC. */
  readonly storeUnreachable: Patience;
}

/**
 * What the commands need of a mount and of a state directory: plain data in, plain JSON out. `compose.ts`
 * implements it; the control socket carries the same types between processes.
 */
export interface MountSettings {
  /** Absolute, existing directory. */
  readonly mountpoint: string;
  /** Absolute, existing directory of mode 0700. */
  readonly stateDir: string;
  /** Bound of the content cache; undefined: 10 % of the disk that holds the state directory. */
  readonly cacheBytes: number | undefined;
  readonly readOnly: boolean;
  readonly allowOther: boolean;
  /** Whether FUSE passthrough is wanted; it is used where kernel and privileges allow it. */
  readonly passthrough: boolean;
  /** `kernel`: locks hold among this machine's processes. `shared`: every lock call reaches the filesystem. */
  readonly locks: 'kernel' | 'shared';
  /** The longest time that a closed file stays unsealed. */
  readonly flushIntervalMs: number;
  /** Words of mount(8) for the kernel: `ro` and some of KERNEL_OPTIONS (mount-options.ts). */
  readonly kernelOptions: readonly string[];
  /** Absent: the namespace is in the state directory, for this mount alone. */
  readonly cluster?: ClusterSettings;
  readonly logger: Logger;
}

/** What a mount in a cluster says of its place there. */
export interface ClusterMembership {
  readonly coordinators: readonly string[];
  /** As in ClusterSettings; for commands on this machine that ask the same coordinators. */
  readonly tls: TlsFiles | null;
  readonly site: string;
  readonly member: string;
  /** null before the first coordinator answered. */
  readonly session: string | null;
  /** The session's leases hold now. */
  readonly connected: boolean;
}

export interface MountStatus {
  /** Version of GlobalFS, as in package.json. */
  readonly version: string;
  readonly pid: number;
  /** null when nothing is mounted (`openState`). */
  readonly mountpoint: string | null;
  readonly stateDir: string;
  readonly uptimeMs: number;
  readonly readOnly: boolean;
  /** FUSE protocol agreed with the kernel, such as `7.45`; null when nothing is mounted. */
  readonly protocol: string | null;
  /** `reason` says why it is on or off, in a few words. */
  readonly passthrough: { readonly enabled: boolean; readonly reason: string };
  /** Inodes of the namespace. */
  readonly inodes: number;
  /** The content cache: bytes on the disk, their bound, and how many files it has. */
  readonly cache: { readonly bytes: number; readonly maxBytes: number };
  /** What was written and is not sealed yet. */
  readonly staged: { readonly bytes: number; readonly files: number };
  readonly store: { readonly path: string };
  /** Requests answered since the start, by opcode: `{ LOOKUP: 12 }`. Empty when nothing is mounted. */
  readonly requests: Readonly<Record<string, number>>;
  /** Absent when the namespace is the mount's own. */
  readonly cluster?: ClusterMembership;
}

export interface BlockInfo {
  readonly index: number;
  readonly offset: number;
  readonly bytes: number;
  /** `blake3:<hex>`; null while the block is only staged. */
  readonly hash: string | null;
  /** The cache file of this node has it. */
  readonly present: boolean;
  readonly staged: boolean;
}

export type FileType = 'file' | 'directory' | 'symlink' | 'fifo' | 'socket' | 'block device' | 'char device';

export interface FileInfo {
  readonly ino: number;
  readonly type: FileType;
  /** Permission bits and, above them, the type bits: `st_mode`. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly nlink: number;
  readonly size: number;
  /** Content version; 0 before the first commit. */
  readonly version: number;
  readonly allocatedBytes: number;
  /** Written and not sealed yet. */
  readonly staged: boolean;
  /** Bytes of its content in this node's cache. */
  readonly cachedBytes: number;
  /** By ascending index; what is not listed is a hole. Empty for what is no regular file. */
  readonly blocks: readonly BlockInfo[];
}

export interface FsckProblem {
  /** Short and constant, such as `dentry-without-inode`. */
  readonly kind: string;
  readonly ino: number | null;
  /** Path relative to the root, as far as it is known; bytes, one per character. */
  readonly path: string | null;
  readonly offset?: number;
  /** `blake3:<hex>` */
  readonly block?: string;
  readonly message: string;
  readonly repaired: boolean;
}

export interface FsckReport {
  readonly problems: readonly FsckProblem[];
  /** What was looked at: `{ inodes: 12, dentries: 11, blocks: 3 }`. */
  readonly counts: Readonly<Record<string, number>>;
}

export interface GcReport {
  /** Objects of the store that nothing refers to and that are older than the grace time. */
  readonly unreferenced: { readonly objects: number; readonly bytes: number };
  readonly deleted: { readonly objects: number; readonly bytes: number };
}

/** Maintenance, the same on a running mount and on a state directory at rest. */
export interface StateService {
  status(): Promise<MountStatus>;
  fsck(options: { repair: boolean }): Promise<FsckReport>;
  gc(options: { delete: boolean; graceMs: number }): Promise<GcReport>;
}

export interface MountControl extends StateService {
  /**
   * @param path relative to the root of the mount, bytes, one per character; '' is the root. The last
   *   component is not followed when it is a symlink.
   * @throws GfsError ENOENT, ENOTDIR
   */
  info(path: string): Promise<FileInfo>;
}

export interface RunningMount extends MountControl {
  /** Resolves when unmounted by anybody (umount(8) too); rejects on a fatal error. */
  readonly ended: Promise<void>;
  /**
   * Unmounts (lazily if files are open, and without waiting for those who have them), seals, flushes,
   * closes. Safe to call again and after `ended`: then it does what is left to do.
   */
  stop(): Promise<void>;
}

export interface OpenState extends StateService {
  close(): Promise<void>;
}
