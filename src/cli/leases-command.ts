import { Command } from 'commander';
import type { LeaseReport } from '../coordinator/admin-api.js';
import { textOf } from './byte-paths.js';
import { CLUSTER_HELP, clusterOptions, requireCluster, type ClusterFlags } from './cluster.js';
import { leaseLines } from './cluster-lines.js';
import { withCluster } from './cluster-session.js';
import { namespacePath } from './namespace-path.js';
import { outputOption, type Findings } from './output.js';
import { problem } from './problem.js';
import { show, watchOption, type ListingFlags } from './watch.js';

const DEFAULT_LIMIT = 200;
/** What a coordinator gives at once (src/coordinator/grpc/admin-calls.ts). */
const LIMIT_MAX = 16_384;

interface LeaseFlags extends ListingFlags, ClusterFlags {
  readonly limit: string;
}

function parseLimit(text: string): number {
  const limit = Number(text);
  if (/^\d+$/.test(text) && limit >= 1 && limit <= LIMIT_MAX) return limit;
  throw problem('CONFIG', `not a number of inodes: '${text}'`, '--limit', `use 1 to ${LIMIT_MAX}`);
}

/** Paths as text instead of bytes. */
const readable = (report: LeaseReport): LeaseReport => ({
  ...report,
  path: report.path === null ? null : textOf(report.path),
});

async function run(path: string | undefined, flags: LeaseFlags): Promise<void> {
  const limit = parseLimit(flags.limit);
  const place = path === undefined ? undefined : await namespacePath(path);
  const cluster = await requireCluster(flags, place?.mountpoint);
  const options = place === undefined ? { limit } : { path: place.path, limit };
  await withCluster(cluster, (api) =>
    show(flags, async (): Promise<Findings> => {
      const leases = (await api.leases(options)).map(readable);
      const cut = leases.length === limit ? `only ${limit} inodes are shown; --limit shows more` : undefined;
      return {
        value: leases,
        lines: (wide) => leaseLines(leases, wide),
        note: leases.length === 0 ? 'nobody holds a lease' : cut,
      };
    }),
  );
}

export function leasesCommand(): Command {
  const command = new Command('leases')
    .description('who may keep or change what, and who waits for it')
    .argument('[PATH]', 'of this file or directory: a path in a mount, or of the namespace')
    .option('--limit <N>', 'of this many inodes at the most', String(DEFAULT_LIMIT))
    .addOption(outputOption())
    .addOption(watchOption());
  for (const option of clusterOptions()) command.addOption(option);
  return command
    .addHelpText(
      'after',
      `${CLUSTER_HELP}\n\nExamples:\n  globalfs leases /globalfs/shared.log\n  globalfs leases --watch -o wide`,
    )
    .action(run);
}
