import type { AdminApi, ClusterStatus, MountReport } from '../coordinator/admin-api.js';
import { askMounts, type LocalMount } from './local-mounts.js';
import { tableLines, type Findings } from './output.js';
import { formatBytes } from './quantities.js';
import { RateMeter, STILL, type Counted, type Rate } from './rates.js';

/** One mount's line of `globalfs stats`. */
interface MountStats {
  readonly site: string | null;
  readonly member: string | null;
  readonly mountpoint: string;
  /** Of one that is not connected, the rest is what it said last. */
  readonly connected: boolean;
  /** Requests of the kernel per second. */
  readonly perSecond: number;
  readonly byOpcode: Readonly<Record<string, number>>;
  readonly cachedBytes: number | null;
  readonly stagedBytes: number | null;
  /** -1 when the store does not answer; null when that is not known. */
  readonly storeLatencyMs: number | null;
  readonly conflicts: number | null;
}

type Facts = Omit<MountStats, 'perSecond' | 'byOpcode'>;
type Sample = readonly [Counted, Facts];
type Serving = Extract<LocalMount, { state: 'serving' }>;

function ofLocal(mount: Serving, nowMs: number): Sample {
  const { mountpoint, requests, cluster, cache, staged, pid } = mount;
  return [
    { key: `${pid} ${mountpoint}`, atMs: nowMs, requests },
    {
      site: cluster?.site ?? null,
      member: cluster?.member ?? null,
      mountpoint: mountpoint ?? '-',
      connected: true,
      cachedBytes: cache.bytes,
      stagedBytes: staged.bytes,
      storeLatencyMs: null,
      conflicts: null,
    },
  ];
}

/** Mounts elsewhere tell their counters with heartbeats: a report with the same health is no news. */
class HeartbeatClock {
  readonly #seen = new Map<string, { text: string; atMs: number }>();

  /** When the health of this report came, in ms of a clock that runs as ours. */
  timeOf({ session, health, expiresInMs }: MountReport, nowMs: number): number {
    const text = JSON.stringify(health);
    const last = this.#seen.get(session);
    if (last?.text === text) return last.atMs;
    // Each heartbeat moves the end of the session by as much as has passed since the one before: this tells
    // the time between two of them far better than when we happened to ask.
    const atMs = nowMs + expiresInMs;
    this.#seen.set(session, { text, atMs });
    return atMs;
  }
}

function ofReport(report: MountReport, atMs: number): Sample {
  const { session, epoch, site, member, mountpoint, health, state } = report;
  return [
    { key: `${session}.${epoch}`, atMs, requests: health?.requests ?? {} },
    {
      ...{ site, member, mountpoint },
      connected: state === 'connected',
      cachedBytes: health?.cachedBytes ?? null,
      stagedBytes: health?.stagedBytes ?? null,
      storeLatencyMs: health === null ? null : health.storeReachable ? health.storeLatencyMs : -1,
      conflicts: health?.conflicts ?? null,
    },
  ];
}

const perSecondText = (rate: number): string => (rate >= 10 ? String(Math.round(rate)) : rate.toFixed(1));

function busiest(byOpcode: Rate['byOpcode'], max: number): string {
  const shown = Object.entries(byOpcode).slice(0, max);
  return shown.map(([opcode, rate]) => `${opcode} ${perSecondText(rate)}`).join(', ') || '-';
}

const OPCODES_SHOWN = 4;

function statsLines(mounts: readonly MountStats[], wide: boolean): string[] {
  if (mounts.length === 0) return [];
  const rows = mounts.map((mount) => [
    mount.site ?? '-',
    mount.member ?? '-',
    mount.mountpoint,
    mount.connected ? perSecondText(mount.perSecond) : 'gone',
    mount.cachedBytes === null ? '-' : formatBytes(mount.cachedBytes),
    mount.stagedBytes === null ? '-' : formatBytes(mount.stagedBytes),
    storeText(mount.storeLatencyMs),
    String(mount.conflicts ?? '-'),
    busiest(mount.byOpcode, wide ? Infinity : OPCODES_SHOWN),
  ]);
  const head = [
    'SITE',
    'MEMBER',
    'MOUNTPOINT',
    'REQUESTS/S',
    'CACHED',
    'STAGED',
    'STORE',
    'CONFLICTS',
    'BUSIEST/S',
  ];
  return tableLines(head, rows);
}

function storeText(latencyMs: number | null): string {
  if (latencyMs === null) return '-';
  return latencyMs < 0 ? 'unreachable' : `${latencyMs.toFixed(1)} ms`;
}

function clusterLine({ inodes, mounts, leases, locks }: ClusterStatus): string {
  const { write, read, known } = leases;
  return `${mounts} mounts, ${inodes} inodes, leases: ${write} write, ${read} read, ${known} known; ${locks} locks`;
}

/** Looks at all mounts of a cluster, or without one of this machine, and tells what happened since the last look. */
export class StatsReader {
  readonly #api: AdminApi | undefined;
  readonly #nowMs: () => number;
  readonly #meter = new RateMeter();
  readonly #heartbeats = new HeartbeatClock();

  constructor(api: AdminApi | undefined, nowMs: () => number) {
    this.#api = api;
    this.#nowMs = nowMs;
  }

  async look(): Promise<Findings> {
    const [locals, status, reports] = await Promise.all([
      askMounts(),
      this.#api?.status(),
      this.#api?.mounts(),
    ]);
    const samples = this.#samples(
      locals.filter((mount): mount is Serving => mount.state === 'serving'),
      reports,
    );
    const rates = this.#meter.update(samples.map(([counted]) => counted));
    const mounts = samples.map(([, facts], i): MountStats => {
      const { total, byOpcode } = (facts.connected ? rates[i] : undefined) ?? STILL;
      return { ...facts, perSecond: total, byOpcode };
    });
    const head = status === undefined ? [] : [clusterLine(status)];
    const gap = head.length > 0 && mounts.length > 0 ? [''] : [];
    return {
      value: {
        cluster:
          status === undefined
            ? null
            : { inodes: status.inodes, leases: status.leases, locks: status.locks, mounts: status.mounts },
        mounts,
      },
      lines: (wide) => [...head, ...gap, ...statsLines(mounts, wide)],
      note: mounts.length === 0 ? 'there are no mounts to look at' : undefined,
    };
  }

  #samples(locals: readonly Serving[], reports: readonly MountReport[] | undefined): Sample[] {
    const nowMs = this.#nowMs();
    if (reports === undefined) return locals.map((mount) => ofLocal(mount, nowMs));
    return reports.map((report): Sample => {
      const [counted, facts] = ofReport(report, this.#heartbeats.timeOf(report, nowMs));
      // A mount on this machine tells us itself, and newer numbers.
      const local = locals.find(({ cluster }) => cluster?.session === report.session);
      if (local === undefined) return [counted, facts];
      const [own, { cachedBytes, stagedBytes }] = ofLocal(local, nowMs);
      return [own, { ...facts, cachedBytes, stagedBytes }];
    });
  }
}
