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
 * The cluster of a mount on this machine; undefined when no mount that answers us belongs to one.
 * @param mountpoint the mount that is meant; absent: the first
 */
export function clusterOfMounts(
  mounts: readonly LocalMount[],
  mountpoint?: string,
): ClusterAddress | undefined {
  for (const mount of mounts) {
    if (mount.state !== 'serving' || mount.cluster === undefined) continue;
    if (mountpoint !== undefined && mount.mountpoint !== mountpoint) continue;
    return { coordinators: mount.cluster.coordinators, tls: mount.cluster.tls ?? undefined };
  }
  return undefined;
}

/**
 * The cluster that a command is about.
 * @param mountpoint of several mounts on this machine, the one that is meant
 * @throws GfsError CONFIG when there is none
 */
export async function requireCluster(flags: ClusterFlags, mountpoint?: string): Promise<ClusterAddress> {
  const found = (await namedCluster(flags)) ?? clusterOfMounts(await askMounts(), mountpoint);
  if (found !== undefined) return found;
  throw problem(
    'CONFIG',
    'no cluster is named, and no mount on this machine belongs to one',
    '',
    `name it with --coordinator HOST:PORT, --cluster globalfs.yaml, or ${COORDINATORS_VARIABLE}`,
  );
}
