import type {
  ClusterStatus,
  CoordinatorReport,
  LeaseReport,
  MountReport,
  SiteReport,
  WhereReport,
} from '../coordinator/admin-api.js';
import type { SiteSpec } from '../sites/site-spec.js';
import { propertyLines, tableLines } from './output.js';
import { formatBytes, formatDuration } from './quantities.js';

/**
 * A cluster in lines for people. With `wide` tables have more columns. `-` stands for what is not known or
 * does not apply.
 */

const NONE = '-';

/** Columns of a table: heading and cell; those marked `wide` only with room. */
type Column<T> = readonly [head: string, cell: (of: T) => string, wide?: 'wide'];

function table<T>(columns: readonly Column<T>[], rows: readonly T[], wide: boolean): string[] {
  const shown = columns.filter(([, , only]) => wide || only === undefined);
  return tableLines(
    shown.map(([head]) => head),
    rows.map((row) => shown.map(([, cell]) => cell(row))),
  );
}

function leaseCounts({ known, read, write }: MountReport['leases']): string {
  return `${write} write, ${read} read, ${known} known`;
}

const COORDINATOR: readonly Column<CoordinatorReport>[] = [
  ['COORDINATOR', ({ address }) => address],
  ['ROLE', ({ role }) => role],
  ['VERSION', ({ software }) => software],
  ['PROTOCOL', ({ protocol: { min, max } }) => (min === max ? `${min}` : `${min}-${max}`), 'wide'],
  ['UP', ({ uptimeMs }) => formatDuration(uptimeMs)],
  ['BEHIND', ({ role, behind }) => (role === 'leader' ? NONE : `${behind} revisions`)],
];

/** Where a store is, in one word: `s3://bucket/prefix at endpoint`, or its directory. */
export function storeText(store: SiteSpec['store']): string {
  if (store.kind === 'directory') return store.path;
  const where = store.endpoint ?? `AWS ${store.region}`;
  return `s3://${store.bucket}/${store.prefix} at ${where}`;
}

const SITE: readonly Column<SiteReport>[] = [
  ['SITE', ({ spec }) => spec.name],
  ['ROLE', ({ spec }) => spec.role],
  ['STATUS', ({ spec }) => spec.status],
  ['MOUNTS', ({ mounts }) => String(mounts)],
  ['REACHABLE', ({ storeReachable }) => (storeReachable === null ? NONE : storeReachable ? 'yes' : 'no')],
  ['STORE', ({ spec }) => storeText(spec.store)],
];

export function siteLines(sites: readonly SiteReport[], wide: boolean): string[] {
  return sites.length === 0 ? [] : table(SITE, sites, wide);
}

function storeLine({ kind, members, schema }: ClusterStatus['store'], wide: boolean): string {
  const well = members.filter(({ error }) => error === undefined);
  const all = members.length === 0 ? '' : `, ${well.length} of ${members.length} endpoints answer`;
  return `${kind}${all}${wide ? `, schema ${schema}` : ''}`;
}

type StoreMember = ClusterStatus['store']['members'][number];
const STORE_MEMBER: readonly Column<StoreMember>[] = [
  ['ENDPOINT', ({ endpoint }) => endpoint],
  ['VERSION', ({ version }) => version ?? NONE],
  ['STATE', ({ error }) => error ?? 'answers'],
];

export function clusterLines(status: ClusterStatus, wide: boolean): string[] {
  const { store, graceLeftMs } = status;
  const properties: [string, string][] = [
    ['cluster', wide ? `${status.cluster} (${status.clusterId})` : status.cluster],
    ['leader', status.leader.address],
    ['store', storeLine(store, wide)],
    ['inodes', String(status.inodes)],
    ['mounts', String(status.mounts)],
    ['leases', `${leaseCounts(status.leases)}; ${status.locks} locks`],
  ];
  if (graceLeftMs > 0) {
    properties.push([
      'waiting',
      `${formatDuration(graceLeftMs)} for mounts of the leader before to come back`,
    ]);
  }
  const members = wide || store.members.some(({ error }) => error !== undefined) ? store.members : [];
  return [
    ...propertyLines(properties),
    '',
    ...table(COORDINATOR, [status.leader, ...status.standbys], wide),
    ...(members.length === 0 ? [] : ['', ...table(STORE_MEMBER, members, wide)]),
    ...(status.sites.length === 0 ? [] : ['', ...siteLines(status.sites, wide)]),
  ];
}

const total = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((sum, count) => sum + count, 0);

const latency = ({ health }: MountReport): string => {
  if (health === null) return NONE;
  return health.storeReachable ? `${health.storeLatencyMs.toFixed(1)} ms` : 'unreachable';
};

const MOUNT: readonly Column<MountReport>[] = [
  ['SITE', ({ site }) => site],
  ['MEMBER', ({ member }) => member],
  ['MOUNTPOINT', ({ mountpoint }) => mountpoint],
  ['STATE', ({ state }) => state],
  ['VERSION', ({ software }) => software],
  ['UP', ({ connectedMs }) => formatDuration(connectedMs)],
  ['LEASES', ({ leases }) => leaseCounts(leases)],
  ['CACHED', ({ health }) => (health === null ? NONE : formatBytes(health.cachedBytes))],
  ['STAGED', ({ health }) => (health === null ? NONE : formatBytes(health.stagedBytes))],
  ['STORE', latency],
  ['CONFLICTS', ({ health }) => String(health?.conflicts ?? NONE)],
  ['SESSION', ({ session, epoch }) => `${session}.${epoch}`, 'wide'],
  ['EXPIRES IN', ({ expiresInMs }) => formatDuration(expiresInMs), 'wide'],
  ['PID', ({ pid }) => String(pid), 'wide'],
  ['PEER', ({ peer }) => peer, 'wide'],
  ['LOAD', ({ health }) => health?.cpuLoad.toFixed(2) ?? NONE, 'wide'],
  ['FREE', ({ health }) => (health === null ? NONE : formatBytes(health.freeBytes)), 'wide'],
  ['REQUESTS', ({ health }) => (health === null ? NONE : String(total(health.requests))), 'wide'],
];

export function mountLines(mounts: readonly MountReport[], wide: boolean): string[] {
  return mounts.length === 0 ? [] : table(MOUNT, mounts, wide);
}

/** One line for each holder, and then for each that waits. */
interface LeaseRow {
  readonly ino: number;
  readonly path: string | null;
  readonly mode: string;
  readonly member: string;
  readonly session: string;
}

function leaseRows({ ino, path, holders, waiting }: LeaseReport): LeaseRow[] {
  return [
    ...holders.map(({ session, site, member, mode }) => ({
      ...{ ino, path, session, mode },
      member: `${site}/${member}`,
    })),
    ...waiting.map(({ session, mode }) => ({
      ...{ ino, path, session },
      mode: `waits for ${mode}`,
      member: NONE,
    })),
  ];
}

const LEASE: readonly Column<LeaseRow>[] = [
  ['INODE', ({ ino }) => String(ino)],
  ['MODE', ({ mode }) => mode],
  ['HOLDER', ({ member }) => member],
  ['SESSION', ({ session }) => session, 'wide'],
  ['PATH', ({ path }) => path ?? NONE],
];

export function leaseLines(leases: readonly LeaseReport[], wide: boolean): string[] {
  const rows = leases.flatMap(leaseRows);
  return rows.length === 0 ? [] : table(LEASE, rows, wide);
}

export function whereLines(where: WhereReport): string[] {
  const holders = where.holders.map(({ site, member, mode }) => `${site}/${member} (${mode})`);
  const blocks = where.blocks === null ? '' : `, ${where.blocks} blocks`;
  const nowhere = where.blocks === 0 || where.size === 0 ? 'none: it has no content to store' : 'none yet';
  return propertyLines([
    ['path', where.path],
    ['inode', String(where.ino)],
    ['version', String(where.version)],
    ['size', `${where.size} bytes${blocks}`],
    ['replicas', where.sources.join(', ') || nowhere],
    ['lease holders', holders.join(', ') || 'none'],
  ]);
}
