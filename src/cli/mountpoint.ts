import { mkdir, readdir, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { toGfsError } from '../core/errors.js';
import type { Logger } from '../core/logger.js';
import { FS_TYPE, globalfsMounts, mountAt, readMounts, type MountEntry } from './mountinfo.js';
import { problem } from './problem.js';
import { reach } from './reach.js';
import { runningOwner } from './state-dir.js';
import { unmount } from './unmount.js';

export const DEFAULT_MOUNTPOINT = '/globalfs';

/** Crashes at one mount point may have left several mounts on top of each other; more is a loop of ours. */
const STALE_MOUNTS_MAX = 64;

/** The path as mountinfo has it: absolute, its parents' symlinks resolved; works on a stale mount too. */
export async function canonicalMountpoint(path: string): Promise<string> {
  const absolute = resolve(path);
  try {
    return await realpath(absolute);
  } catch {
    // It is not there, or is stale: then its parent tells. What is wrong shows when it is used.
  }
  try {
    return join(await realpath(dirname(absolute)), basename(absolute));
  } catch {
    return absolute;
  }
}

function alreadyMounted(mountpoint: string, entry: MountEntry): never {
  const owner = runningOwner(globalfsMounts([entry])[0]?.stateDir ?? '');
  throw problem(
    'EBUSY',
    'a GlobalFS is mounted there already',
    `${mountpoint}${owner === undefined ? '' : `, served by process ${owner.pid}`}`,
    `run 'globalfs umount ${mountpoint}' first, or choose another directory`,
  );
}

async function clearStale(mountpoint: string, logger: Logger): Promise<void> {
  for (let round = 0; round < STALE_MOUNTS_MAX; round++) {
    const entry = mountAt(mountpoint, readMounts());
    if (entry === undefined) return;
    const state = entry.fsType.startsWith('fuse') ? await reach(mountpoint) : 'alive';
    if (entry.fsType !== FS_TYPE) {
      if (state !== 'stale') return; // any other filesystem may be mounted over
      throw problem(
        'EBUSY',
        `a broken mount of ${entry.fsType} is in the way`,
        mountpoint,
        `unmount it: 'umount -l ${mountpoint}'`,
      );
    }
    if (state !== 'stale') alreadyMounted(mountpoint, entry);
    await unmount(mountpoint, { lazy: true });
    logger.warn('replaced a stale mount, whose process had ended without unmounting', {
      mountpoint,
      source: entry.source,
    });
  }
}

async function makeDirectory(mountpoint: string): Promise<void> {
  try {
    await mkdir(mountpoint, { mode: 0o755 });
  } catch (thrown) {
    const { code, message } = toGfsError(thrown);
    if (code === 'EEXIST') return;
    const parent = dirname(mountpoint);
    throw problem(
      code,
      `the mount point does not exist and cannot be made`,
      code === 'ENOENT' ? `${parent} is missing` : message,
      `make it first: 'mkdir -p ${mountpoint}'`,
      thrown,
    );
  }
}

/**
 * Makes ready what will be mounted on: replaces a stale mount, makes a directory that is missing (not its
 * parents).
 * @returns the path, absolute and free of symlinks
 * @throws GfsError EBUSY when a GlobalFS is there; ENOTDIR, EACCES
 */
export async function prepareMountpoint(path: string, logger: Logger): Promise<string> {
  const mountpoint = await canonicalMountpoint(path);
  await clearStale(mountpoint, logger);
  try {
    const found = await stat(mountpoint);
    if (!found.isDirectory()) {
      throw problem('ENOTDIR', 'the mount point is no directory', mountpoint, 'choose a directory');
    }
    if ((await readdir(mountpoint)).length > 0) {
      logger.warn('the mount point is not empty: what is in it is hidden while mounted', { mountpoint });
    }
  } catch (thrown) {
    const error = toGfsError(thrown);
    if (error.code === 'ENOENT') await makeDirectory(mountpoint);
    else if (thrown === error) throw error;
    else
      throw problem(
        error.code,
        'cannot look into the mount point',
        error.message,
        'choose one of your own',
        thrown,
      );
  }
  return mountpoint;
}
