import { Command } from 'commander';
import type { GcReport } from './mount-service.js';
import { outputOption, parseOutputFormat, printFindings } from './output.js';
import { formatBytes, formatDuration, parseDurationMs } from './quantities.js';
import { openTarget } from './targets.js';

function describe(report: GcReport, deleting: boolean): string {
  const { unreferenced, deleted } = report;
  const found = `${unreferenced.objects} unreferenced objects (${formatBytes(unreferenced.bytes)})`;
  if (!deleting) return unreferenced.objects === 0 ? found : `${found}; 'globalfs gc --delete' deletes them`;
  return `${found}, deleted ${deleted.objects} (${formatBytes(deleted.bytes)})`;
}

async function run(
  mountpoint: string | undefined,
  options: { state?: string; delete?: boolean; grace: string; output: string },
): Promise<void> {
  const format = parseOutputFormat(options.output);
  const graceMs = parseDurationMs(options.grace, '--grace');
  const target = await openTarget({ mountpoint, state: options.state }, 'gc');
  let report: GcReport;
  try {
    report = await target.service.gc({ delete: options.delete ?? false, graceMs });
  } finally {
    await target.close();
  }
  await printFindings(format, {
    value: report,
    lines: () => [`${describe(report, options.delete ?? false)}; older than ${formatDuration(graceMs)}`],
  });
}

export function gcCommand(): Command {
  return new Command('gc')
    .description('find stored content that no file refers to any more, mounted or not')
    .argument('[MOUNTPOINT]', 'a mount (default: the state directory, whether mounted or not)')
    .option('--state <DIR>', 'the state directory')
    .option('--delete', 'delete it')
    .option('--grace <TIME>', 'leave alone what is younger than this', '1h')
    .addOption(outputOption())
    .addHelpText('after', '\nExample:\n  globalfs gc --delete --grace 10m /globalfs')
    .action(run);
}
