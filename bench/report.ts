import { type ClusterReport, clusterTables } from './cluster/report.js';
import type { MemoryReport, Resident } from './memory.js';
import type { Row, Spread } from './summary.js';

/** Where and how it was measured. */
export interface Setting {
  readonly date: string;
  readonly command: string;
  readonly rounds: number;
  /** Average of the last minute, before anything was measured. */
  readonly load: string;
  readonly kernel: string;
  readonly cpus: string;
  readonly filesystem: string;
  readonly versions: string;
  /** Undefined where no mount of one node was measured. */
  readonly passthrough: string | undefined;
}

export interface Report {
  readonly setting: Setting;
  readonly rows: readonly Row[];
  readonly memory: MemoryReport | undefined;
  readonly cluster: ClusterReport | undefined;
}

/** Markdown, for a terminal and for bench/RESULTS.md. */
export function markdown({ setting, rows, memory, cluster }: Report): string {
  const passthrough = setting.passthrough === undefined ? '' : `; passthrough ${setting.passthrough}`;
  const parts = [
    `Date: ${setting.date}; \`${setting.command}\`, ${setting.rounds} rounds; load ${setting.load} at the start`,
    `Machine: ${setting.cpus}, Linux ${setting.kernel}, ${setting.filesystem}; ${setting.versions}${passthrough}`,
    '',
  ];
  if (rows.length > 0) parts.push(...speedTable(rows), '', ...costTable(rows), '');
  if (memory !== undefined) parts.push(...memoryTable(memory), '');
  if (cluster !== undefined) parts.push(...clusterTables(cluster));
  return parts.join('\n');
}

function speedTable(rows: readonly Row[]): string[] {
  return table(
    ['', 'plain', 'bindfs', 'GlobalFS', 'of plain (least to most)', 'of bindfs', 'goal'],
    rows.map((row) => [
      row.title,
      value(row, row.values.plain),
      value(row, row.values.bindfs),
      value(row, row.values.globalfs),
      ratio(row.ratios.plain),
      ratio(row.ratios.bindfs),
      goal(row),
    ]),
  );
}

/** What reached the process: where the time goes. */
function costTable(rows: readonly Row[]): string[] {
  return table(
    ['what reached the process', 'CPU for each: bindfs', 'GlobalFS', 'its requests of one run'],
    rows
      .filter(({ id }) => !id.endsWith('-settled'))
      .map((row) => [
        row.title,
        micros(row.cpuMicrosEach.bindfs),
        micros(row.cpuMicrosEach.globalfs),
        Object.entries(row.requests)
          .map(([opcode, count]) => `${opcode} ${count}`)
          .join(', ') || 'none',
      ]),
  );
}

function memoryTable(memory: MemoryReport): string[] {
  const each = (resident: Resident, of: keyof Resident): string => mebibytes(resident[of]);
  const row = (title: string, of: keyof Resident): string[] => [
    title,
    each(memory.before, of),
    each(memory.made, of),
    each(memory.known, of),
    `${memory.bytesEach[of].toFixed(0)} B`,
    of === 'anonymous' ? `at most ${memory.goalBytes} B: ${memory.met ? 'met' : '**short**'}` : '',
  ];
  return table(
    [`memory, ${memory.inodes} inodes`, 'empty', 'made', 'all known', 'for each inode', 'goal'],
    [row('of its own (RssAnon)', 'anonymous'), row('resident, with mapped files (VmRSS)', 'total')],
  );
}

/** Markdown, with columns that are also columns on a terminal. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((title, i) => Math.max(3, title.length, ...rows.map((row) => row[i]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' | ')} |`;
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)];
}

function value({ unit }: Row, spread: Spread | undefined): string {
  if (spread === undefined) return '';
  const { median } = spread;
  return unit === 's' ? `${median.toFixed(2)} s` : `${grouped(median)} ${unit}`;
}

function ratio(spread: Spread | undefined): string {
  if (spread === undefined) return '';
  return `${spread.median.toFixed(2)} (${spread.min.toFixed(2)} to ${spread.max.toFixed(2)})`;
}

function goal({ goals, unit }: Row): string {
  return goals
    .map(({ of, ratio: least, met }) => {
      const bound = unit === 's' ? `${(1 / least).toFixed(0)} × ${of}'s time` : `${least} of ${of}`;
      return `${bound}: ${met ? 'met' : '**short**'}`;
    })
    .join('; ');
}

const grouped = (n: number): string => String(Math.round(n)).replace(/\B(?=(\d{3})+$)/g, ',');
const micros = (us: number | undefined): string => (us === undefined ? '' : `${us.toFixed(1)} µs`);
const mebibytes = (bytes: number): string => `${(bytes / 1024 ** 2).toFixed(0)} MiB`;
