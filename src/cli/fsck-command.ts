import { Command } from 'commander';
import { textOf } from './byte-paths.js';
import type { FsckProblem, FsckReport } from './mount-service.js';
import { outputOption, parseOutputFormat, printFindings, tableLines } from './output.js';
import { problem } from './problem.js';
import { openTarget } from './targets.js';

function row(found: FsckProblem): string[] {
  return [
    found.kind,
    found.ino === null ? '-' : String(found.ino),
    found.path ?? '-',
    found.offset === undefined ? '-' : String(found.offset),
    found.repaired ? 'yes' : 'no',
    found.message,
  ];
}

function describe(report: FsckReport): string[] {
  const counts = Object.entries(report.counts)
    .map(([what, count]) => `${count} ${what}`)
    .join(', ');
  const verdict = report.problems.length === 0 ? 'no problems' : `${report.problems.length} problems`;
  const table = tableLines(
    ['PROBLEM', 'INODE', 'PATH', 'OFFSET', 'REPAIRED', 'DETAILS'],
    report.problems.map(row),
  );
  return [...(report.problems.length === 0 ? [] : table), `checked ${counts}: ${verdict}`];
}

/** Paths as text instead of bytes. */
function readable(report: FsckReport): FsckReport {
  const problems = report.problems.map((found) => ({
    ...found,
    path: found.path === null ? null : textOf(found.path),
  }));
  return { ...report, problems };
}

async function run(
  mountpoint: string | undefined,
  options: { state?: string; repair?: boolean; output: string },
): Promise<void> {
  const format = parseOutputFormat(options.output);
  const target = await openTarget({ mountpoint, state: options.state }, 'fsck');
  let report: FsckReport;
  try {
    report = readable(await target.service.fsck({ repair: options.repair ?? false }));
  } finally {
    await target.close();
  }
  await printFindings(format, { value: report, lines: () => describe(report) });
  const left = report.problems.filter((found) => !found.repaired).length;
  if (left > 0) {
    const whatToDo =
      options.repair === true ? 'restore these files from a backup' : "run 'globalfs fsck --repair'";
    throw problem('CORRUPT', `${left} problems are left`, target.stateDir, whatToDo);
  }
}

export function fsckCommand(): Command {
  return new Command('fsck')
    .description('check names, inodes and every stored block against each other, mounted or not')
    .argument('[MOUNTPOINT]', 'a mount (default: the state directory, whether mounted or not)')
    .option('--state <DIR>', 'the state directory')
    .option('--repair', 'repair what can be repaired')
    .addOption(outputOption())
    .addHelpText('after', '\nExample:\n  globalfs fsck --repair --state /var/lib/globalfs')
    .action(run);
}
