import { rm } from 'node:fs/promises';
import { basename } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { toGfsError } from '../../core/errors.js';
import { globalfsMounts, mountAt, mountOf, readMounts } from '../mountinfo.js';
import { problem } from '../problem.js';
import { isRunning, type ProcessId } from '../processes.js';
import { reach } from '../reach.js';
import { runningOwner } from '../state-dir.js';
import { describeHolders, unmount } from '../unmount.js';
import type { Playground, PlaygroundProcess } from './playground.js';

/** Sealing and storing what was written last, on a busy machine. */
const MOUNT_END_MS = 60_000;
/** After SIGTERM; then it is ended at once. */
const ORDERLY_END_MS = 10_000;
/** After SIGKILL: the kernel gives back a few GB of memory. */
const KILL_MS = 10_000;
const POLL_MS = 20;

/** The daemons of Ceph take many seconds to end in order, and what they have is thrown away. */
const DISPOSABLE = /^ceph|^radosgw|^rgw/;

async function hasEnded(id: ProcessId, withinMs: number): Promise<boolean> {
  const deadlineMs = performance.now() + withinMs;
  while (isRunning(id)) {
    if (performance.now() > deadlineMs) return false;
    await delay(POLL_MS);
  }
  return true;
}

/** By its number, and only if it is still that very process. */
function signal(id: ProcessId, name: NodeJS.Signals): void {
  if (!isRunning(id)) return;
  try {
    process.kill(id.pid, name);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ESRCH') throw toGfsError(thrown); // it has just ended
  }
}

async function endProcess(id: PlaygroundProcess): Promise<void> {
  if (!DISPOSABLE.test(id.name)) {
    signal(id, 'SIGTERM');
    signal(id, 'SIGCONT'); // one that was frozen to see what happens must hear of it
    if (await hasEnded(id, ORDERLY_END_MS)) return;
  }
  signal(id, 'SIGKILL');
  if (await hasEnded(id, KILL_MS)) return;
  throw problem('TIMEOUT', `process ${id.pid} (${id.name}) does not end`, '', "see 'globalfs dev status'");
}

/** A mount whose start was cut off has a process, which its state directory knows. */
function adoptMounts(playground: Playground): void {
  const known = new Set(playground.record.processes.map(({ pid }) => pid));
  for (const { stateDir, mountpoint } of playground.record.mounts) {
    const owner = runningOwner(stateDir);
    if (owner !== undefined && !known.has(owner.pid))
      playground.addProcess(`mount ${basename(mountpoint)}`, owner.pid);
  }
}

const isMount = ({ name }: PlaygroundProcess): boolean => name.startsWith('mount ');

/** Before the first is unmounted: a playground is up or down, not half of it. */
function checkUnused(mountpoint: string): void {
  const holders = describeHolders(mountpoint);
  if (holders === '') return;
  throw problem(
    'EBUSY',
    `${mountpoint} is in use`,
    `by ${holders}`,
    "end it, or use 'globalfs dev down --force'",
  );
}

/** @throws GfsError EBUSY naming who uses it, unless `force` */
async function unmountAll(playground: Playground, force: boolean): Promise<void> {
  if (!force) for (const { mountpoint } of playground.record.mounts) checkUnused(mountpoint);
  for (const { mountpoint } of playground.record.mounts) {
    while (mountAt(mountpoint, globalfsMounts()) !== undefined) {
      const lazy = force || (await reach(mountpoint)) !== 'alive';
      await unmount(mountpoint, { lazy });
    }
  }
}

/**
 * Ends everything of a playground: unmounts, waits until what was written is stored, then ends the servers,
 * the last started first. What ended by itself meanwhile is passed over.
 * @param force also when the mounts are in use
 * @throws GfsError EBUSY, and then everything runs on; TIMEOUT
 */
export async function endPlayground(playground: Playground, force: boolean): Promise<void> {
  adoptMounts(playground);
  await unmountAll(playground, force);
  const mounts = playground.running().filter(isMount);
  for (const id of mounts) signal(id, 'SIGCONT');
  await Promise.all(mounts.map((id) => hasEnded(id, force ? ORDERLY_END_MS : MOUNT_END_MS)));
  for (const id of playground.running()) await endProcess(id);
  // One that was just starting may have mounted after we looked.
  await unmountAll(playground, true);
  playground.update({ ready: false, processes: [] });
}

/** Deletes the directory of a playground that has ended. @throws GfsError EBUSY while something is mounted there */
export async function removePlayground({ dir }: Playground): Promise<void> {
  // Deleting would go on into the mount, and delete what it shows.
  const below = readMounts().find(({ mountpoint }) => mountpoint === dir || mountpoint.startsWith(`${dir}/`));
  if (below !== undefined) {
    throw problem(
      'EBUSY',
      'something is mounted in the playground',
      below.mountpoint,
      `unmount it, and remove ${dir}`,
    );
  }
  await rm(dir, { recursive: true, force: true });
}

/** Whether anything of it runs or is mounted. */
export function isUp(playground: Playground): boolean {
  const { mounts } = playground.record;
  const mounted = mounts.some(
    ({ mountpoint }) => mountOf(mountpoint, globalfsMounts())?.mountpoint === mountpoint,
  );
  return mounted || playground.running().length > 0;
}
