import { Command } from 'commander';
import { textOf } from './byte-paths.js';
import { CLUSTER_HELP, clusterOptions, requireCluster, type ClusterFlags } from './cluster.js';
import { whereLines } from './cluster-lines.js';
import { withCluster } from './cluster-session.js';
import { namespacePath } from './namespace-path.js';
import { outputOption, type Findings } from './output.js';
import { show, watchOption, type ListingFlags } from './watch.js';

async function run(argument: string, flags: ListingFlags & ClusterFlags): Promise<void> {
  const { path, mountpoint } = await namespacePath(argument);
  const cluster = await requireCluster(flags, mountpoint);
  await withCluster(cluster, (api) =>
    show(flags, async (): Promise<Findings> => {
      const found = await api.where(path);
      const report = { ...found, path: textOf(found.path) };
      return { value: report, lines: () => whereLines(report) };
    }),
  );
}

export function whereCommand(): Command {
  const command = new Command('where')
    .description('which version of a file there is, which sites have it, and who holds a lease on it')
    .argument('<PATH>', 'a path in a mount, or of the namespace')
    .addOption(outputOption())
    .addOption(watchOption());
  for (const option of clusterOptions()) command.addOption(option);
  return command
    .addHelpText('after', `${CLUSTER_HELP}\n\nExample:\n  globalfs where /globalfs/data.bin`)
    .action(run);
}
