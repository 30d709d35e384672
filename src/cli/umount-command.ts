import { setTimeout as delay } from 'node:timers/promises';
import { Command } from 'commander';
import { printNote } from './output.js';
import { problem } from './problem.js';
import { isRunning } from './processes.js';
import { runningOwner, type Owner } from './state-dir.js';
import { mountedAt } from './targets.js';
import { describeHolders, unmount } from './unmount.js';

const POLL_MS = 20;
/** After this a person would like to know what they wait for. */
const SILENT_MS = 2000;
/** What may be staged is bounded (gigabytes); a slow disk stores it within minutes. */
const WAIT_MS = 10 * 60_000;

/** Waits until the process that served has stored everything and ended. */
async function untilEnded(owner: Owner, mountpoint: string, lazy: boolean, holders: string): Promise<void> {
  const startMs = performance.now();
  let told = false;
  while (isRunning(owner)) {
    const waitedMs = performance.now() - startMs;
    if (waitedMs > SILENT_MS && !told) {
      told = true;
      if (lazy) {
        const who = holders === '' ? '' : ` by ${holders}`;
        printNote(`${mountpoint} is detached, and still open${who}; process ${owner.pid} ends after them`);
        return;
      }
      printNote(`waiting for process ${owner.pid} to store what was written last`);
    }
    if (waitedMs > WAIT_MS) {
      throw problem(
        'TIMEOUT',
        `process ${owner.pid} has not ended`,
        `${mountpoint} is unmounted`,
        'see its log in the state directory',
      );
    }
    await delay(POLL_MS);
  }
}

async function run(path: string, options: { lazy?: boolean }): Promise<void> {
  const { mountpoint, stateDir } = await mountedAt(path);
  const owner = runningOwner(stateDir);
  const lazy = options.lazy ?? false;
  // Once detached, what they hold is no longer seen to be below the mount point.
  const holders = lazy ? describeHolders(mountpoint) : '';
  await unmount(mountpoint, { lazy });
  if (owner?.mountpoint === mountpoint) await untilEnded(owner, mountpoint, lazy, holders);
}

export function umountCommand(): Command {
  return new Command('umount')
    .description('unmount; returns when everything that was written is stored')
    .argument('<MOUNTPOINT>', 'where it is mounted')
    .option('-l, --lazy', 'also when it is in use: detach it now, it ends when the last file is closed')
    .addHelpText('after', '\nExample:\n  globalfs umount /globalfs')
    .action(run);
}
