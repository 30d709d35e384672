import { type Clock, GfsError, type Ino, ROOT_INO, parseName } from '../core/index.js';
import { type InodeRecord, type Namespace, STORE_SCHEMA, isRegular } from '../namespace/index.js';
import type { SiteSpec, SiteStatus } from '../sites/index.js';
import type {
  AdminApi,
  ClusterStatus,
  CoordinatorReport,
  LeaseReport,
  MountReport,
  SiteReport,
  WhereReport,
} from './admin-api.js';
import { mostContended } from './contended-leases.js';
import type { Grace } from './grace.js';
import type { LeaseDesk } from './lease-desk.js';
import type { LockRequests } from './lock-requests.js';
import type { Session } from './session.js';
import type { SessionRegistry } from './session-registry.js';
import type { SiteRegistry } from './site-registry.js';
import { PROTOCOL_MAX, PROTOCOL_MIN } from './wire/index.js';

/** What only the process around the coordinator knows. */
export interface CoordinatorFacts {
  readonly cluster: string;
  /** Where clients reach it. */
  readonly address: string;
  readonly software: string;
  readonly store: ClusterStatus['store']['kind'];
  members(): Promise<ClusterStatus['store']['members']>;
  standbys(): Promise<readonly CoordinatorReport[]>;
}

/** Of a coordinator that lives in this process only. */
export const memoryFacts: CoordinatorFacts = {
  cluster: '',
  address: '',
  software: '',
  store: 'memory',
  members: () => Promise.resolve([]),
  standbys: () => Promise.resolve([]),
};

export interface LeaderAdminOptions {
  readonly namespace: Namespace;
  readonly sessions: SessionRegistry;
  readonly desk: LeaseDesk;
  readonly locks: LockRequests;
  readonly sites: SiteRegistry;
  readonly grace: Grace;
  readonly clock: Clock;
  readonly facts: CoordinatorFacts;
}

/** Administration, as the leader answers it: from what it has in memory. */
export class LeaderAdmin implements AdminApi {
  readonly #options: LeaderAdminOptions;
  readonly #startedMs: number;

  constructor(options: LeaderAdminOptions) {
    this.#options = options;
    this.#startedMs = options.clock.monotonicMs();
  }

  async status(): Promise<ClusterStatus> {
    const { namespace, sessions, desk, locks, sites, grace, clock, facts } = this.#options;
    const [members, standbys] = await Promise.all([facts.members(), facts.standbys()]);
    const nowMs = clock.monotonicMs();
    const { known, read, write } = desk.machine.counts();
    return {
      cluster: facts.cluster,
      clusterId: namespace.clusterId,
      leader: {
        address: facts.address,
        role: 'leader',
        software: facts.software,
        protocol: { min: PROTOCOL_MIN, max: PROTOCOL_MAX },
        uptimeMs: Math.round(nowMs - this.#startedMs),
        behind: 0,
      },
      standbys,
      store: { kind: facts.store, members, schema: STORE_SCHEMA },
      sites: sites.list().map((spec) => this.#siteReport(spec)),
      mounts: sessions.size,
      leases: { known, read, write },
      locks: locks.count,
      inodes: namespace.stats().inodes,
      graceLeftMs: Math.round(grace.leftMs(nowMs)),
    };
  }

  mounts(): Promise<readonly MountReport[]> {
    const { sessions, clock } = this.#options;
    const nowMs = clock.monotonicMs();
    return Promise.resolve(sessions.all().flatMap((session) => this.#mountReport(session, nowMs) ?? []));
  }

  async leases({
    path,
    limit,
  }: {
    readonly path?: string;
    readonly limit: number;
  }): Promise<readonly LeaseReport[]> {
    if (path !== undefined) return [this.#leaseReport(this.#resolve(path).ino, path)];
    const { desk, namespace } = this.#options;
    const inos = await mostContended(desk.machine, limit);
    const paths = namespace.cachedPaths();
    return inos.map((ino) => this.#leaseReport(ino, paths(ino) ?? null));
  }

  where(path: string): Promise<WhereReport> {
    return Promise.resolve().then(() => {
      const { ino, version, size, manifest, sources, mode } = this.#resolve(path);
      if (!isRegular({ mode })) throw new GfsError('EINVAL', `${path} is no regular file`);
      const blocks = manifest.kind === 'inline' ? manifest.blocks.length : null;
      return { path, ino, version, size, blocks, sources, holders: this.#leaseReport(ino, path).holders };
    });
  }

  registerSite(spec: SiteSpec): Promise<void> {
    return this.#options.sites.register(spec);
  }

  setSiteStatus(name: string, status: SiteStatus): Promise<void> {
    return this.#options.sites.setStatus(name, status);
  }

  async removeSite(name: string): Promise<void> {
    const { sites, namespace } = this.#options;
    if (!sites.has(name)) throw new GfsError('ENOENT', `no site ${name}`);
    this.#requireNoMounts(name);
    for await (const inode of namespace.inodes()) {
      if (!inode.sources.includes(name)) continue;
      throw new GfsError('EBUSY', `files may have their content only at site ${name}`, {
        context: { ino: inode.ino },
      });
    }
    // The walk took a while: a mount may have come.
    this.#requireNoMounts(name);
    await sites.remove(name);
  }

  #requireNoMounts(site: string): void {
    const mounts = this.#options.sessions.all().filter(({ facts }) => facts.site === site).length;
    if (mounts > 0) throw new GfsError('EBUSY', `${mounts} mounts belong to site ${site}`);
  }

  #siteReport(spec: SiteSpec): SiteReport {
    const mounts = this.#options.sessions.all().filter(({ facts }) => facts.site === spec.name);
    const healths = mounts.flatMap(({ health }) => health ?? []);
    const storeReachable = healths.length === 0 ? null : healths.every((health) => health.storeReachable);
    return { spec, mounts: mounts.length, storeReachable };
  }

  /** Undefined for a session that has ended and is not out of the books yet. */
  #mountReport(
    { id, epoch, facts, state, expiresAtMs, health }: Session,
    nowMs: number,
  ): MountReport | undefined {
    if (state.kind === 'ended') return undefined;
    const { site, member, mountpoint, pid, software } = facts;
    const { known, read, write } = this.#options.desk.machine.countsOf(id);
    return {
      session: id,
      epoch,
      site,
      member,
      mountpoint,
      pid,
      software,
      peer: state.kind === 'connected' ? state.stream.peer : '',
      state: state.kind,
      connectedMs: state.kind === 'connected' ? Math.round(nowMs - state.sinceMs) : 0,
      expiresInMs: Math.max(0, Math.round(expiresAtMs - nowMs)),
      leases: { known, read, write },
      health,
    };
  }

  #leaseReport(ino: Ino, path: string | null): LeaseReport {
    const { desk, sessions } = this.#options;
    const holders = desk.machine.holders(ino).map(({ session, mode }) => {
      const facts = sessions.get(session)?.facts;
      return { session, site: facts?.site ?? '', member: facts?.member ?? '', mode };
    });
    return { ino, path, holders, waiting: desk.machine.waiters(ino) };
  }

  /** @throws GfsError ENOENT, ENOTDIR; EINVAL for a path that does not begin with '/' */
  #resolve(path: string): InodeRecord {
    if (!path.startsWith('/')) throw new GfsError('EINVAL', `not an absolute path: ${path}`);
    const { namespace } = this.#options;
    let inode = namespace.inode(ROOT_INO);
    for (const part of path.split('/').filter((name) => name !== '')) {
      inode = inode === undefined ? undefined : namespace.lookup(inode.ino, parseName(part));
    }
    if (inode === undefined) throw new GfsError('ENOENT', `no such file: ${path}`);
    return inode;
  }
}
