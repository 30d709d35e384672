import { Command } from 'commander';
import { CLUSTER_HELP, clusterOptions, requireCluster, type ClusterFlags } from './cluster.js';
import { mountLines } from './cluster-lines.js';
import { withCluster } from './cluster-session.js';
import { outputOption, type Findings } from './output.js';
import { show, watchOption, type ListingFlags } from './watch.js';

async function run(flags: ListingFlags & ClusterFlags): Promise<void> {
  const cluster = await requireCluster(flags);
  await withCluster(cluster, (api) =>
    show(flags, async (): Promise<Findings> => {
      const mounts = await api.mounts();
      return {
        value: mounts,
        lines: (wide) => mountLines(mounts, wide),
        note:
          mounts.length === 0 ? "the cluster has no mounts; 'globalfs mount --config' makes one" : undefined,
      };
    }),
  );
}

export function mountsCommand(): Command {
  const command = new Command('mounts')
    .description('all mounts of the cluster: where, since when, what they hold, and how they do')
    .addOption(outputOption())
    .addOption(watchOption());
  for (const option of clusterOptions()) command.addOption(option);
  return command
    .addHelpText('after', `${CLUSTER_HELP}\n\nExample:\n  globalfs mounts -o wide --watch 5s`)
    .action(run);
}
