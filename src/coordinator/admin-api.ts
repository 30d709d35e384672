import type { Ino } from '../core/index.js';
import type { LeaseMode } from '../leases/index.js';
import type { SiteSpec, SiteStatus } from '../sites/index.js';
import type { NodeHealth } from './wire/messages.js';

export interface CoordinatorReport {
  /** Where clients reach it. */
  readonly address: string;
  readonly role: 'leader' | 'standby';
  /** GlobalFS version. */
  readonly software: string;
  readonly protocol: { readonly min: number; readonly max: number };
  readonly uptimeMs: number;
  /** A standby: how far its copy of the namespace is behind the store, in store revisions. */
  readonly behind: number;
}

export interface ClusterStatus {
  readonly cluster: string;
  readonly clusterId: string;
  readonly leader: CoordinatorReport;
  readonly standbys: readonly CoordinatorReport[];
  readonly store: {
    readonly kind: 'etcd' | 'lmdb' | 'memory';
    /** etcd: one per endpoint; `error` when it does not answer. */
    readonly members: readonly {
      readonly endpoint: string;
      readonly error?: string;
      readonly version?: string;
    }[];
    readonly schema: number;
  };
  readonly sites: readonly SiteReport[];
  readonly mounts: number;
  readonly leases: Readonly<Record<LeaseMode, number>>;
  readonly locks: number;
  readonly inodes: number;
  /** Set for as long as a new leader waits for its mounts to come back. */
  readonly graceLeftMs: number;
}

export interface SiteReport {
  readonly spec: SiteSpec;
  readonly mounts: number;
  /** Whether the mounts there reach the store; null without mounts. */
  readonly storeReachable: boolean | null;
}

export interface MountReport {
  readonly session: string;
  readonly epoch: number;
  readonly site: string;
  readonly member: string;
  readonly mountpoint: string;
  readonly pid: number;
  readonly software: string;
  readonly peer: string;
  readonly state: 'connected' | 'disconnected';
  readonly connectedMs: number;
  /** Until the session ends without a heartbeat. */
  readonly expiresInMs: number;
  readonly leases: Readonly<Record<LeaseMode, number>>;
  readonly health: NodeHealth | null;
}

export interface LeaseReport {
  readonly ino: Ino;
  /** Found from what the leader has in memory; null when that does not say. */
  readonly path: string | null;
  readonly holders: readonly {
    readonly session: string;
    readonly site: string;
    readonly member: string;
    readonly mode: LeaseMode;
  }[];
  /** Sessions that wait for it, in order. */
  readonly waiting: readonly { readonly session: string; readonly mode: LeaseMode }[];
}

export interface WhereReport {
  readonly path: string;
  readonly ino: Ino;
  readonly version: number;
  readonly size: number;
  /** Blocks that are not holes; null when the manifest is an object of its own. */
  readonly blocks: number | null;
  /** Sites whose stores hold them. */
  readonly sources: readonly string[];
  readonly holders: LeaseReport['holders'];
}

/**
 * What `globalfs status` and its kin ask of the leader, and the only way to change sites. Answers are what
 * `-o json` prints. Paths are absolute within the namespace ('/' is the root), bytes as characters.
 */
export interface AdminApi {
  status(): Promise<ClusterStatus>;
  mounts(): Promise<readonly MountReport[]>;
  /**
   * Of one path, or of all inodes: at most `limit`, those first that most sessions wait for, then those that are
   * written, then those that most hold.
   * @throws GfsError ENOENT
   */
  leases(options: { readonly path?: string; readonly limit: number }): Promise<readonly LeaseReport[]>;
  /** @throws GfsError ENOENT; EINVAL for what is no regular file */
  where(path: string): Promise<WhereReport>;
  /** @throws GfsError EEXIST for a name that is taken by something else */
  registerSite(spec: SiteSpec): Promise<void>;
  /** @throws GfsError ENOENT */
  setSiteStatus(name: string, status: SiteStatus): Promise<void>;
  /** @throws GfsError ENOENT; EBUSY while mounts belong to it, or files may have blocks only there */
  removeSite(name: string): Promise<void>;
}
