import { table } from '../report.js';
import type { Spread } from '../summary.js';
import type { ContentRow } from './content.js';
import { type CoordinatorMemory, WARM_FILES } from './coordinator-memory.js';
import { type DistanceRow, ROUND_TRIP_MS } from './distance.js';
import type { ClusterGoal, ClusterRow } from './figures.js';

/** What was measured of the cluster; absent: not asked for. */
export interface ClusterReport {
  readonly commands?: readonly ClusterRow[];
  readonly memory?: CoordinatorMemory;
  readonly content?: readonly ContentRow[];
  readonly distance?: readonly DistanceRow[];
}

/** Lines of Markdown. */
export function clusterTables({ commands, memory, content, distance }: ClusterReport): string[] {
  return [
    ...(commands === undefined ? [] : [...commandsTable(commands), '']),
    ...(memory === undefined ? [] : [...memoryTable(memory), '']),
    ...(content === undefined ? [] : [...contentTable(content), '']),
    ...(distance === undefined ? [] : [...distanceTable(distance), '']),
  ];
}

function commandsTable(rows: readonly ClusterRow[]): string[] {
  return table(
    [
      'commands through the coordinator',
      'GlobalFS',
      'peer',
      'of peer (least to most)',
      'coordinator CPU',
      'goal',
    ],
    rows.map((row) => [
      row.title,
      `${grouped(row.value.median)} /s`,
      `${grouped(row.peer.value.median)} /s (${row.peer.name})`,
      spread(row.ratio),
      row.cpu === undefined ? '' : `${row.cpu.median.toFixed(1)} µs`,
      verdict(row.goal),
    ]),
  );
}

function memoryTable({ files, settings, goal }: CoordinatorMemory): string[] {
  return table(
    [
      `coordinator memory, ${files} files (RssAnon)`,
      `${grouped(WARM_FILES)} looked up`,
      'all, garbage too',
      'all',
      'for each more',
      'and leased to a mount',
      'goal',
    ],
    settings.map((setting, i) => [
      `cacheInodes: ${setting.cacheInodes}`,
      ...[setting.warm, setting.grown, setting.cached].map(mebibytes),
      `${setting.cachedEach.toFixed(0)} B`,
      `${setting.leasedEach.toFixed(0)} B`,
      i === 0 ? verdict(goal) : '',
    ]),
  );
}

function contentTable(rows: readonly ContentRow[]): string[] {
  return table(
    [
      'one big file and S3',
      'mount',
      'rclone',
      'bare client',
      'of the faster (least to most)',
      'CPU of the mount',
      'goal',
    ],
    rows.map((row) => [
      row.title,
      ...[row.value, row.peers.rclone, row.peers.bare].map(({ median }) => `${grouped(median)} MB/s`),
      spread(row.ratio),
      `${row.cpuSeconds.median.toFixed(1)} s for each GiB`,
      verdict(row.goal),
    ]),
  );
}

function distanceTable(rows: readonly DistanceRow[]): string[] {
  return table(
    [
      'small files, far away',
      `${ROUND_TRIP_MS} ms`,
      'no delay',
      'of no delay (least to most)',
      'round trips for each 1,000 files',
      'goal',
    ],
    rows.map((row) => [
      row.title,
      seconds(row.far),
      seconds(row.near),
      spread(row.ratio),
      row.roundTrips.toFixed(1),
      verdict(row.goal),
    ]),
  );
}

const verdict = (goal: ClusterGoal | undefined): string =>
  goal === undefined ? '' : `${goal.text}: ${goal.met ? 'met' : '**short**'}`;
const spread = ({ median, min, max }: Spread): string =>
  `${median.toFixed(2)} (${min.toFixed(2)} to ${max.toFixed(2)})`;
const seconds = ({ median }: Spread): string => `${median.toFixed(3)} s`;
const grouped = (n: number): string => String(Math.round(n)).replace(/\B(?=(\d{3})+$)/g, ',');
const mebibytes = (bytes: number): string => `${(bytes / 1024 ** 2).toFixed(0)} MiB`;
