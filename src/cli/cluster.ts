import { resolve } from 'node:path';
import { Option } from 'commander';
import { parseAddress } from './config/address.js';
import type { TlsFiles } from './config/fields.js';
import { askMounts, type LocalMount } from './local-mounts.js';
import { problem } from './problem.js';

/** Where a cluster can be asked, and as whom. */
export interface ClusterAddress {
  /** `host:port` of each coordinator; the leader is found among them. */
  readonly coordinators: readonly string[];
  readonly tls: TlsFiles | undefined;
}

/** How the user named the cluster, if they did. */
export interface ClusterFlags {
  readonly coordinator?: readonly string[];
  /** globalfs.yaml */
  readonly cluster?: string;
}

/** Addresses, separated by commas; for machines where everything is about one cluster. */
export const COORDINATORS_VARIABLE = 'GLOBALFS_COORDINATORS';

const collect = (value: string, earlier: string[] | undefined): string[] => [
  ...(earlier ?? []),
  ...value.split(','),
];

/** @param file the words for the file's option: `--config` means something else in some commands */
export function clusterOptions(file: '--config, --cluster' | '--cluster' = '--config, --cluster'): Option[] {
  return [
    new Option('--coordinator <ADDRESS>', 'host:port of a coordinator (may be repeated)').argParser(collect),
    new Option(`${file} <FILE>`, 'globalfs.yaml of the cluster: its coordinators and certificates'),
  ];
}

export const CLUSTER_HELP = `
The cluster is the one of --coordinator, or of the file, or of ${COORDINATORS_VARIABLE}, or of a mount on this machine.`;

/** What the user said; undefined when they said nothing. @throws GfsError CONFIG, ENOENT */
export async function namedCluster(
  flags: ClusterFlags,
  env: NodeJS.ProcessEnv = process.env,
): Promise<ClusterAddress | undefined> {
  const file = flags.cluster;
  if (file !== undefined) {
    const { loadMountConfig } = await import('./config/mount-config.js');
    const { coordinators, tls } = loadMountConfig(resolve(file));
    return { coordinators: flags.coordinator?.map(addressOf('--coordinator')) ?? coordinators, tls };
  }
  if (flags.coordinator !== undefined) {
    return { coordinators: flags.coordinator.map(addressOf('--coordinator')), tls: undefined };
  }
  const listed = (env[COORDINATORS_VARIABLE] ?? '').split(',').filter((text) => text.trim() !== '');
  if (listed.length === 0) return undefined;
  return { coordinators: listed.map(addressOf(COORDINATORS_VARIABLE)), tls: undefined };
}

const addressOf =
  (where: string) =>
  (text: string): string =>
    parseAddress(text, where).text;

/**
 * The clusters that mounts on this machine belong to, each once, in the order of the mounts.
 * @param mountpoint the mount that is meant; absent: all
 */
export function clustersOfMounts(mounts: readonly LocalMount[], mountpoint?: string): ClusterAddress[] {
  const found = new Map<string, ClusterAddress>();
  for (const mount of mounts) {
    if (mount.state !== 'serving' || mount.cluster === undefined) continue;
    if (mountpoint !== undefined && mount.mountpoint !== mountpoint) continue;
    const { coordinators, tls } = mount.cluster;
    const key = [...coordinators].sort().join(' ');
    if (!found.has(key)) found.set(key, { coordinators, tls: tls ?? undefined });
  }
  return [...found.values()];
}

export const NAME_IT = `name it with --coordinator HOST:PORT, --cluster globalfs.yaml, or ${COORDINATORS_VARIABLE}`;

/**
 * The cluster that the user names, or that the mounts of this machine belong to; undefined without one.
 * @param mountpoint of several mounts on this machine, the one that is meant
 * @throws GfsError CONFIG when the mounts belong to several
 */
export async function findCluster(
  flags: ClusterFlags,
  mountpoint?: string,
): Promise<ClusterAddress | undefined> {
  const named = await namedCluster(flags);
  if (named !== undefined) return named;
  const [first, second] = clustersOfMounts(await askMounts(), mountpoint);
  if (first === undefined || second === undefined) return first;
  throw problem('CONFIG', 'mounts on this machine belong to several clusters', '', NAME_IT);
}

/**
 * The cluster that a command is about.
 * @param mountpoint of several mounts on this machine, the one that is meant
 * @throws GfsError CONFIG when there is none, or more than one
 */
export async function requireCluster(flags: ClusterFlags, mountpoint?: string): Promise<ClusterAddress> {
  const found = await findCluster(flags, mountpoint);
  if (found !== undefined) return found;
  throw problem('CONFIG', 'no cluster is named, and no mount on this machine belongs to one', '', NAME_IT);
}
