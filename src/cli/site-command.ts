import { resolve } from 'node:path';
import { Command } from 'commander';
import type { SiteReport } from '../coordinator/admin-api.js';
import { GfsError } from '../core/errors.js';
import type { ProbeReport, ProbeResult } from '../sites/site-probe.js';
import type { SiteSpec, SiteStatus } from '../sites/site-spec.js';
import { CLUSTER_HELP, clusterOptions, requireCluster, type ClusterFlags } from './cluster.js';
import { siteLines, storeText } from './cluster-lines.js';
import { withCluster } from './cluster-session.js';
import { outputOption, printLines, propertyLines, type Findings } from './output.js';
import { oneLine, problem } from './problem.js';
import { show, watchOption, type ListingFlags } from './watch.js';

function probeLine(result: ProbeResult): string {
  switch (result.outcome) {
    case 'ok':
      return `  ${result.step.padEnd(10)} ok, ${Math.ceil(result.ms)} ms`;
    case 'failed':
      return `  ${result.step.padEnd(10)} failed: ${oneLine(result.error.message)}`;
    case 'skipped':
      return `  ${result.step.padEnd(10)} not tried`;
  }
}

/** What went wrong first is why the site cannot be used. */
function probeFailure(spec: SiteSpec, report: ProbeReport): GfsError {
  const failed = report.steps.find((result) => result.outcome === 'failed');
  const why = failed?.outcome === 'failed' ? failed.error : new GfsError('INTERNAL', 'no step failed');
  return problem(
    why.code,
    `site ${spec.name} is not registered: ${failed?.step ?? 'the check'} failed`,
    storeText(spec.store),
    why.message,
    why,
  );
}

/** Does with the store from here what every node of the site will do. @throws GfsError what is wrong */
async function probe(spec: SiteSpec): Promise<void> {
  const [{ probeSite }, { systemClock }, { createProcessLogger }] = await Promise.all([
    import('../sites/site-probe.js'),
    import('../core/clock.js'),
    import('./winston-logger.js'),
  ]);
  const report = await probeSite(spec, { clock: systemClock, logger: createProcessLogger('error') });
  printLines([`Checking ${storeText(spec.store)} from this machine:`, ...report.steps.map(probeLine)]);
  if (!report.ok) throw probeFailure(spec, report);
}

interface RegisterFlags extends ClusterFlags {
  readonly config: string;
  readonly check: boolean;
}

async function register(name: string, flags: RegisterFlags): Promise<void> {
  const { readSiteConfig } = await import('./config/site-config.js');
  const spec = await readSiteConfig(resolve(flags.config), name);
  // Before the check: a cluster that cannot be reached is told at once.
  const cluster = await requireCluster(flags);
  if (flags.check) await probe(spec);
  await withCluster(cluster, (api) => api.registerSite(spec));
  printLines([`Site ${name} is registered: ${spec.role}, ${spec.status}.`]);
}

async function list(flags: ListingFlags & ClusterFlags): Promise<void> {
  const cluster = await requireCluster(flags);
  await withCluster(cluster, (api) =>
    show(flags, async (): Promise<Findings> => {
      const { sites } = await api.status();
      return {
        value: sites,
        lines: (wide) => siteLines(sites, wide),
        note: sites.length === 0 ? "the cluster has no sites; 'globalfs site register' adds one" : undefined,
      };
    }),
  );
}

function details({ spec, mounts, storeReachable }: SiteReport): string[] {
  const { store } = spec;
  const rest: [string, string][] =
    store.kind === 'directory'
      ? [['directory', store.path]]
      : [
          ['endpoint', store.endpoint ?? `AWS, region ${store.region}`],
          ['bucket', store.bucket],
          ['prefix', store.prefix || '-'],
          ['region', store.region],
          ['credentials', store.credentials === undefined ? 'as the AWS SDK finds them' : 'by reference'],
        ];
  return propertyLines([
    ['site', spec.name],
    ['role', spec.role],
    ['status', spec.status],
    ['mounts', String(mounts)],
    ['reachable', storeReachable === null ? 'not known: it has no mounts' : storeReachable ? 'yes' : 'no'],
    ['store', store.kind],
    ...rest,
  ]);
}

async function showOne(name: string, flags: ListingFlags & ClusterFlags): Promise<void> {
  const cluster = await requireCluster(flags);
  await withCluster(cluster, (api) =>
    show(flags, async (): Promise<Findings> => {
      const { sites } = await api.status();
      const report = sites.find(({ spec }) => spec.name === name);
      if (report !== undefined) return { value: report, lines: () => details(report) };
      throw problem('ENOENT', `there is no site ${name}`, '', "'globalfs site list' lists them");
    }),
  );
}

const setStatus =
  (status: SiteStatus, said: string) =>
  async (name: string, flags: ClusterFlags): Promise<void> => {
    const cluster = await requireCluster(flags);
    await withCluster(cluster, (api) => api.setSiteStatus(name, status));
    printLines([`Site ${name} is ${status}: ${said}.`]);
  };

async function remove(name: string, flags: ClusterFlags): Promise<void> {
  const cluster = await requireCluster(flags);
  await withCluster(cluster, (api) => api.removeSite(name));
  printLines([`Site ${name} is removed. What its store holds is left there.`]);
}

function withClusterOptions(command: Command, ...file: Parameters<typeof clusterOptions>): Command {
  for (const option of clusterOptions(...file)) command.addOption(option);
  return command;
}

function listing(command: Command): Command {
  return withClusterOptions(command.addOption(outputOption()).addOption(watchOption()));
}

function registerCommand(): Command {
  const command = new Command('register')
    .description(
      'add a site, after checking that its store can be written, read, listed and deleted from here',
    )
    .argument('<NAME>', 'up to 63 of a-z, 0-9 and -, beginning with a letter')
    .requiredOption('--config <FILE>', 'site.yaml: role and store (examples/site-*.yaml)')
    .option('--no-check', 'do not check the store: it cannot be reached from this machine');
  return withClusterOptions(command, '--cluster')
    .addHelpText('after', '\nExample:\n  globalfs site register onprem --config site-s3.yaml')
    .action(register);
}

export function siteCommand(): Command {
  const site = new Command('site')
    .description('the sites of the cluster: where content is stored')
    .addHelpText('after', `${CLUSTER_HELP}\n\nExample:\n  globalfs site list`)
    .addCommand(registerCommand());
  listing(site.command('list').description('all sites'))
    .addHelpText('after', '\nExample:\n  globalfs site list -o yaml')
    .action(list);
  listing(site.command('show').description('everything about one').argument('<NAME>'))
    .addHelpText('after', '\nExample:\n  globalfs site show onprem')
    .action(showOne);
  withClusterOptions(site.command('drain').description('no new data goes there').argument('<NAME>'))
    .addHelpText('after', '\nExample:\n  globalfs site drain cloud')
    .action(setStatus('draining', 'no new data goes there'));
  withClusterOptions(site.command('activate').description('take back drain').argument('<NAME>'))
    .addHelpText('after', '\nExample:\n  globalfs site activate cloud')
    .action(setStatus('active', 'its mounts store there'));
  withClusterOptions(site.command('remove').description('forget a site that nothing uses').argument('<NAME>'))
    .addHelpText('after', '\nExample:\n  globalfs site remove cloud')
    .action(remove);
  return site;
}
