import { statfs } from 'node:fs/promises';
import { resolve, sep } from 'node:path';
import type { MountConfig } from './config/mount-config.js';
import { parseMountOptions } from './mount-options.js';
import type { ClusterSettings, MountSettings } from './mount-service.js';
import { DEFAULT_MOUNTPOINT } from './mountpoint.js';
import { problem } from './problem.js';
import { parseCacheSize, parseDurationMs, type CacheSize } from './quantities.js';
import { defaultStateDir } from './state-dir.js';
import { planLogLevel, type LogLevel } from './log-level.js';

/** doc/OPERATIONS.md promises this number: what was closed longer ago survives a crash of the process. */
export const DEFAULT_FLUSH_INTERVAL_MS = 5000;
/** Sealing more often than this would only make more versions; an fsync is there for who cannot wait. */
const FLUSH_INTERVAL_MIN_MS = 10;

/** The options of `globalfs mount` as commander gives them. */
export interface MountFlags {
  foreground?: boolean;
  option: string[];
  config?: string;
  state?: string;
  cacheSize?: string;
  flushInterval?: string;
  logFile?: string;
  logLevel?: string;
}

/** What is to be mounted; all paths absolute. */
export interface MountPlan extends Omit<MountSettings, 'cacheBytes' | 'logger'> {
  readonly cacheSize: CacheSize | undefined;
  readonly foreground: boolean;
  /** undefined: stderr */
  readonly logFile: string | undefined;
  readonly logLevel: LogLevel;
}

function planLogFile(flags: MountFlags, mountpoint: string, stateDir: string): string | undefined {
  if (flags.logFile === undefined) return flags.foreground === true ? undefined : `${stateDir}/globalfs.log`;
  const logFile = resolve(flags.logFile);
  // A process that writes to its own mount waits for itself.
  if (logFile.startsWith(`${mountpoint}${sep}`)) {
    throw problem(
      'CONFIG',
      'the log cannot lie inside the mount that it is about',
      logFile,
      'choose another file',
    );
  }
  return logFile;
}

/** The globalfs.yaml that is named, if any; absolute. */
export function configFileOf(flags: MountFlags): string | undefined {
  const named = flags.config ?? parseMountOptions(flags.option).config;
  return named === undefined ? undefined : resolve(named);
}

function clusterOf({ cacheSize: _, ...cluster }: MountConfig): ClusterSettings {
  return cluster;
}

/**
 * Options on their own win over words of `-o`, these over the configuration file, and that over defaults.
 * @param config what the file of `configFileOf` says: the mount then belongs to a cluster
 * @param user who mounts: root lets other users in unless told otherwise
 * @throws GfsError CONFIG
 */
export function planMount(
  mountpoint: string | undefined,
  flags: MountFlags,
  user: { uid: number; env: NodeJS.ProcessEnv; stderrIsTerminal: boolean },
  config?: MountConfig,
): MountPlan {
  const said = parseMountOptions(flags.option);
  const target = resolve(mountpoint ?? DEFAULT_MOUNTPOINT);
  const stateDir = resolve(flags.state ?? said.stateDir ?? defaultStateDir(user.env, user.uid));
  if (stateDir === target || stateDir.startsWith(`${target === sep ? '' : target}${sep}`)) {
    throw problem(
      'CONFIG',
      'the state cannot lie inside the mount',
      stateDir,
      'choose another with --state DIR',
    );
  }
  const flushIntervalMs =
    flags.flushInterval === undefined
      ? (said.flushIntervalMs ?? DEFAULT_FLUSH_INTERVAL_MS)
      : parseDurationMs(flags.flushInterval, '--flush-interval');
  if (flushIntervalMs < FLUSH_INTERVAL_MIN_MS) {
    throw problem(
      'CONFIG',
      'the flush interval is too short',
      '--flush-interval',
      `use ${FLUSH_INTERVAL_MIN_MS}ms or more`,
    );
  }
  const logFile = planLogFile(flags, target, stateDir);
  return {
    mountpoint: target,
    stateDir,
    cacheSize:
      flags.cacheSize === undefined
        ? (said.cacheSize ?? config?.cacheSize)
        : parseCacheSize(flags.cacheSize, '--cache-size'),
    readOnly: said.readOnly ?? false,
    allowOther: said.allowOther ?? user.uid === 0,
    passthrough: said.passthrough ?? true,
    // Other machines' locks count in a cluster.
    locks: said.locks ?? (config === undefined ? 'kernel' : 'shared'),
    flushIntervalMs,
    // The kernel itself refuses to write, whoever asks.
    kernelOptions: said.readOnly === true ? ['ro', ...said.kernelOptions] : said.kernelOptions,
    foreground: flags.foreground ?? false,
    logFile,
    logLevel: planLogLevel(flags.logLevel, logFile === undefined && user.stderrIsTerminal),
    ...(config === undefined ? {} : { cluster: clusterOf(config) }),
  };
}

/** The bound in bytes, once the disk is known. */
export async function cacheBytesOf(
  size: CacheSize | undefined,
  stateDir: string,
): Promise<number | undefined> {
  if (size === undefined) return undefined;
  if (size.kind === 'bytes') return size.bytes;
  const disk = await statfs(stateDir);
  return Math.floor((disk.blocks * disk.bsize * size.percent) / 100);
}
