import { Command } from 'commander';
import { toGfsError } from '../core/errors.js';
import {
  CLUSTER_HELP,
  clusterOptions,
  clustersOfMounts,
  NAME_IT,
  namedCluster,
  type ClusterFlags,
} from './cluster.js';
import { clusterLines } from './cluster-lines.js';
import { withCluster } from './cluster-session.js';
import { localDetails, localTable } from './local-lines.js';
import { askMount, askMounts, type LocalMount } from './local-mounts.js';
import { outputOption, type Findings } from './output.js';
import { mountedAt } from './targets.js';
import { show, watchOption, type ListingFlags } from './watch.js';

function localFindings(mounts: readonly LocalMount[]): Findings {
  return {
    value: mounts,
    lines: (wide) => (mounts.length === 0 ? [] : localTable(mounts, wide)),
    note: mounts.length === 0 ? "nothing is mounted; 'globalfs mount' mounts" : undefined,
  };
}

/** The cluster that was named, or that a mount here belongs to, and the mounts of this machine. */
async function lookAtAll(flags: ClusterFlags): Promise<Findings> {
  const [mounts, named] = await Promise.all([askMounts(), namedCluster(flags)]);
  const local = localFindings(mounts);
  const [first, ...others] = clustersOfMounts(mounts);
  const cluster = named ?? first;
  if (cluster === undefined) return local;
  const several = named === undefined && others.length > 0;
  const here = (wide: boolean): readonly string[] => (mounts.length === 0 ? [] : ['', ...local.lines(wide)]);
  try {
    const status = await withCluster(cluster, (api) => api.status());
    return {
      value: { cluster: status, mounts },
      lines: (wide) => [...clusterLines(status, wide), ...here(wide)],
      note: several ? `mounts here belong to other clusters too; ${NAME_IT}` : undefined,
    };
  } catch (thrown) {
    const failure = toGfsError(thrown);
    const { code, message } = failure;
    return { value: { cluster: null, error: { code, message }, mounts }, lines: local.lines, failure };
  }
}

async function lookAtOne(mountpoint: string): Promise<Findings> {
  const report = await askMount(await mountedAt(mountpoint));
  return { value: report, lines: () => localDetails(report) };
}

async function run(mountpoint: string | undefined, flags: ListingFlags & ClusterFlags): Promise<void> {
  await show(flags, () => (mountpoint === undefined ? lookAtAll(flags) : lookAtOne(mountpoint)));
}

export function statusCommand(): Command {
  const command = new Command('status')
    .description('the cluster, and what is mounted on this machine')
    .argument('[MOUNTPOINT]', 'everything about this mount')
    .addOption(outputOption())
    .addOption(watchOption());
  for (const option of clusterOptions()) command.addOption(option);
  return command
    .addHelpText(
      'after',
      `${CLUSTER_HELP}\n\nExamples:\n  globalfs status --watch\n  globalfs status -o json | jq .[0].cache\n  globalfs status --coordinator 127.0.0.1:7400 -o wide`,
    )
    .action(run);
}
