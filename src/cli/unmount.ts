import { toGfsError } from '../core/errors.js';
import { problem } from './problem.js';
import { holdersOf } from './processes.js';

const HOLDERS_NAMED_MAX = 5;

/** Who uses the mount, as a sentence's part; empty when it is nobody that we may look at. */
export function describeHolders(mountpoint: string): string {
  return holdersOf(mountpoint, HOLDERS_NAMED_MAX)
    .map(({ pid, command }) => `${pid} (${command})`)
    .join(', ');
}

/**
 * Takes the mount away from its directory: at once when it is not in use; with `lazy` in any case, and
 * it lives on for those who have it open.
 * @throws GfsError EBUSY naming up to five processes that use it; EPERM
 */
export async function unmount(mountpoint: string, options: { lazy: boolean }): Promise<void> {
  const { unmountFuse } = await import('../fuse/mount-point.js');
  try {
    await unmountFuse(mountpoint, options);
  } catch (thrown) {
    const error = toGfsError(thrown);
    if (error.code !== 'EBUSY') throw error;
    const holders = describeHolders(mountpoint);
    throw problem(
      'EBUSY',
      `${mountpoint} is in use`,
      holders === '' ? 'by a process that is not ours to see' : `by ${holders}`,
      "end it, or detach the mount now and let it end later with 'globalfs umount -l'",
      thrown,
    );
  }
}
