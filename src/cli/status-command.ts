import { Command } from 'commander';
import { toGfsError } from '../core/errors.js';
import { ControlClient } from './control-client.js';
import type { MountStatus } from './mount-service.js';
import { globalfsMounts, type GlobalfsMount } from './mountinfo.js';
import { isStale } from './mountpoint.js';
import {
  outputOption,
  parseOutputFormat,
  printJson,
  printLines,
  printNote,
  propertyLines,
  tableLines,
} from './output.js';
import { problem } from './problem.js';
import { formatBytes, formatDuration } from './quantities.js';
import { mountedAt } from './targets.js';

/** `stale`: its process has ended. `unreachable`: it does not answer us; `error` says why. */
type MountReport =
  | ({ readonly state: 'serving' } & MountStatus)
  | {
      readonly state: 'stale' | 'unreachable';
      readonly mountpoint: string;
      readonly stateDir: string;
      readonly error: string;
    };

async function ask({ mountpoint, stateDir }: GlobalfsMount): Promise<MountReport> {
  try {
    const status = await new ControlClient(stateDir).status();
    if (status.mountpoint === mountpoint) return { state: 'serving', ...status };
    throw problem('UNAVAILABLE', 'its state directory is mounted elsewhere', status.mountpoint ?? '', '');
  } catch (thrown) {
    if (!(await isStale(mountpoint))) {
      return { state: 'unreachable', mountpoint, stateDir, error: toGfsError(thrown).message };
    }
    const error = `its process has ended; mount there again, or 'globalfs umount ${mountpoint}'`;
    return { state: 'stale', mountpoint, stateDir, error };
  }
}

const HEAD = [
  'MOUNTPOINT',
  'STATE',
  'PID',
  'UP',
  'INODES',
  'CACHED',
  'STAGED',
  'PASSTHROUGH',
  'STATE DIRECTORY',
];

function row(report: MountReport): string[] {
  if (report.state !== 'serving') {
    return [report.mountpoint, report.state, '-', '-', '-', '-', '-', '-', report.stateDir];
  }
  return [
    report.mountpoint ?? '-',
    report.state,
    String(report.pid),
    formatDuration(report.uptimeMs),
    String(report.inodes),
    formatBytes(report.cache.bytes),
    formatBytes(report.staged.bytes),
    report.passthrough.enabled ? 'on' : 'off',
    report.stateDir,
  ];
}

function details(report: MountReport): string[] {
  if (report.state !== 'serving') {
    return propertyLines([
      ['mount point', report.mountpoint],
      ['state', report.state],
      ['why', report.error],
      ['state directory', report.stateDir],
    ]);
  }
  const { cache, staged, passthrough, requests } = report;
  const busiest = Object.entries(requests).sort(([, a], [, b]) => b - a);
  return propertyLines([
    ['mount point', report.mountpoint ?? '-'],
    ['state', report.readOnly ? 'serving, read-only' : 'serving'],
    ['version', report.version],
    ['process', String(report.pid)],
    ['up', formatDuration(report.uptimeMs)],
    ['FUSE protocol', report.protocol ?? '-'],
    ['passthrough', `${passthrough.enabled ? 'on' : 'off'} (${passthrough.reason})`],
    ['inodes', String(report.inodes)],
    ['cached', `${formatBytes(cache.bytes)} of ${formatBytes(cache.maxBytes)}`],
    ['staged', `${formatBytes(staged.bytes)}, ${staged.files} files`],
    ['store', report.store.path],
    ['state directory', report.stateDir],
    ['requests', busiest.map(([opcode, count]) => `${opcode} ${count}`).join(', ') || 'none'],
  ]);
}

async function run(mountpoint: string | undefined, options: { output: string }): Promise<void> {
  const format = parseOutputFormat(options.output);
  if (mountpoint !== undefined) {
    const report = await ask(await mountedAt(mountpoint));
    if (format === 'json') printJson(report);
    else printLines(details(report));
    return;
  }
  const reports = await Promise.all(globalfsMounts().map(ask));
  if (format === 'json') printJson(reports);
  else if (reports.length === 0) printNote("nothing is mounted; 'globalfs mount' mounts");
  else printLines(tableLines(HEAD, reports.map(row)));
}

export function statusCommand(): Command {
  return new Command('status')
    .description('what is mounted on this machine, and how it does')
    .argument('[MOUNTPOINT]', 'everything about this one')
    .addOption(outputOption())
    .addHelpText('after', '\nExample:\n  globalfs status -o json | jq .[0].cache')
    .action(run);
}
