import { setTimeout as delay } from 'node:timers/promises';
import { Command } from 'commander';
import type { AdminApi } from '../coordinator/admin-api.js';
import { CLUSTER_HELP, clusterOptions, findCluster, type ClusterFlags } from './cluster.js';
import { withCluster } from './cluster-session.js';
import { outputOption } from './output.js';
import { StatsReader } from './stats.js';
import { parseWatchMs, show, watchOption, type ListingFlags } from './watch.js';

const INTERVAL = '1s';

async function watchMounts(flags: ListingFlags, api: AdminApi | undefined): Promise<void> {
  // A terminal shows it live; a script gets one second of it, unless it asked for more.
  const watch =
    flags.watch === true || (flags.watch === undefined && process.stdout.isTTY) ? INTERVAL : flags.watch;
  const reader = new StatsReader(api, () => performance.now());
  let first = true;
  await show({ output: flags.output, ...(watch === undefined ? {} : { watch }) }, async () => {
    if (first) {
      await reader.look();
      await delay(parseWatchMs(watch ?? INTERVAL));
      first = false;
    }
    return reader.look();
  });
}

async function run(flags: ListingFlags & ClusterFlags): Promise<void> {
  const cluster = await findCluster(flags);
  if (cluster === undefined) await watchMounts(flags, undefined);
  else await withCluster(cluster, (api) => watchMounts(flags, api));
}

export function statsCommand(): Command {
  const command = new Command('stats')
    .description('requests per second, cache and store of every mount; live on a terminal, else once')
    .addOption(outputOption())
    .addOption(watchOption(INTERVAL));
  for (const option of clusterOptions()) command.addOption(option);
  return command.addHelpText('after', `${CLUSTER_HELP}\n\nExample:\n  globalfs stats --watch 5s`).action(run);
}
