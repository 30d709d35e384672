import { Command, Option } from 'commander';
import { toGfsError } from '../core/errors.js';
import { isBackgroundChild, mountInBackground, reportToParent } from './background.js';
import type { MountConfig } from './config/mount-config.js';
import { configFileOf, planMount, type MountFlags, type MountPlan } from './mount-plan.js';
import type { RunningMount } from './mount-service.js';
import { DEFAULT_MOUNTPOINT } from './mountpoint.js';
import { printLines } from './output.js';
import { serve } from './serve.js';
import { makeStateDir } from './state-dir.js';
import { thisProgram } from './this-program.js';

const HELP = `
Mount options (-o, separated by commas):
  ro, rw                     read-only or not
  allow_other, noallow_other whether other users may enter (root's default: yes)
  passthrough, nopassthrough whether the kernel reads and writes cached files directly (default: where it can)
  locks=kernel|shared        where file locks are kept (default: kernel; in a cluster: shared)
  config=FILE, state=DIR, cache_size=SIZE, flush_interval=TIME   as the options above
  nosuid, nodev, noexec, noatime, nodiratime, sync, dirsync   as in mount(8)
  Words for other readers of fstab (defaults, _netdev, nofail, x-...) are ignored.

Examples:
  globalfs mount                                   ${DEFAULT_MOUNTPOINT}, in the background
  globalfs mount -f ~/globalfs                     in the foreground, until Ctrl-C
  globalfs mount --config globalfs.yaml /globalfs  in a cluster
  globalfs mount -o ro,noatime --cache-size 20G /mnt/data`;

const collect = (value: string, earlier: string[]): string[] => [...earlier, value];

async function greet(mount: RunningMount, mountpoint: string, plan: MountPlan): Promise<void> {
  const { inodes, passthrough } = await mount.status();
  printLines([
    `GlobalFS is mounted at ${mountpoint} (${inodes === 1 ? 'empty' : `${inodes} inodes`}).`,
    `  state:       ${plan.stateDir}`,
    ...(plan.cluster === undefined
      ? []
      : [`  cluster:     site ${plan.cluster.site}, by ${plan.cluster.coordinators.join(', ')}`]),
    `  passthrough: ${passthrough.enabled ? 'on' : 'off'} (${passthrough.reason})`,
    'Try, in another terminal:',
    `  echo hello > ${mountpoint}/hello && cat ${mountpoint}/hello`,
    `  cp -a /usr/share/doc ${mountpoint}/ && ls ${mountpoint}/doc`,
    `  ${thisProgram()} info ${mountpoint}/hello`,
    'Ctrl-C unmounts; the files are there again at the next start.',
  ]);
}

async function serveInForeground(plan: MountPlan): Promise<void> {
  await serve(plan, (mount, mountpoint) => greet(mount, mountpoint, plan));
}

async function serveAsChild(plan: MountPlan): Promise<void> {
  process.chdir('/'); // the directory that it was started in must stay unmountable
  try {
    await serve(plan, () => reportToParent({ kind: 'serving' }));
  } catch (thrown) {
    const { code, message } = toGfsError(thrown);
    await reportToParent({ kind: 'failed', code, message });
    throw thrown;
  }
}

async function readConfig(flags: MountFlags): Promise<MountConfig | undefined> {
  const file = configFileOf(flags);
  if (file === undefined) return undefined;
  const { loadMountConfig } = await import('./config/mount-config.js');
  return loadMountConfig(file);
}

async function run(mountpoint: string | undefined, flags: MountFlags): Promise<void> {
  const user = {
    uid: process.getuid?.() ?? 0,
    env: process.env,
    stderrIsTerminal: process.stderr.isTTY,
  };
  const plan = planMount(mountpoint, flags, user, await readConfig(flags));
  if (plan.foreground) return serveInForeground(plan);
  if (isBackgroundChild()) return serveAsChild(plan);
  makeStateDir(plan.stateDir);
  await mountInBackground(plan.stateDir);
}

export function mountCommand(): Command {
  return new Command('mount')
    .description('mount GlobalFS; returns when it serves, and goes on in the background')
    .argument('[MOUNTPOINT]', `directory to mount on (default: ${DEFAULT_MOUNTPOINT})`)
    .option('-f, --foreground', 'stay in the foreground until Ctrl-C; log to stderr')
    .addOption(
      new Option('-o, --option <LIST>', 'mount options, see below').argParser(collect).default([], 'none'),
    )
    .option('--config <FILE>', 'the cluster to belong to (globalfs.yaml); without it the filesystem is local')
    .option(
      '--state <DIR>',
      'where all data is kept (default: /var/lib/globalfs, or ~/.local/share/globalfs)',
    )
    .option('--cache-size <SIZE>', "bound of the content cache, such as '20G' or '10%' (default: 10%)")
    .option('--flush-interval <TIME>', 'the longest time that a closed file waits to be stored (default: 5s)')
    .option('--log-file <FILE>', 'log here (default in the background: globalfs.log in the state directory)')
    .option('--log-level <LEVEL>', 'error, warn, info or debug (default: info; warn on a terminal)')
    .addHelpText('after', HELP)
    .action(run);
}
