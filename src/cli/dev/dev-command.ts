import { resolve } from 'node:path';
import { Command } from 'commander';
import { toGfsError } from '../../core/errors.js';
import { globalfsMounts, mountAt } from '../mountinfo.js';
import { outputOption, printLines, printNote, propertyLines, tableLines, type Findings } from '../output.js';
import { oneLine, problem } from '../problem.js';
import { isRunning } from '../processes.js';
import { thisProgram } from '../this-program.js';
import { show, watchOption, type ListingFlags } from '../watch.js';
import { defaultPlaygroundDir, Playground, type PlaygroundRecord } from './playground.js';
import { endPlayground, isUp, removePlayground } from './playground-end.js';

const CLUSTER = 'dev';
/** Each is a process of some 100 MB. */
const MOUNTS_MAX = 8;

interface DirFlags {
  readonly dir?: string;
}

const dirOf = ({ dir }: DirFlags): string => resolve(dir ?? defaultPlaygroundDir());

function parseMounts(text: string): number {
  const mounts = Number(text);
  if (Number.isInteger(mounts) && mounts >= 1 && mounts <= MOUNTS_MAX) return mounts;
  throw problem('CONFIG', `not a number of mounts: '${text}'`, '--mounts', `use 1 to ${MOUNTS_MAX}`);
}

function placeLines(dir: string, { etcd, coordinator, sites, mounts }: PlaygroundRecord): string[] {
  return propertyLines([
    ...mounts.map(({ site, mountpoint }) => ['mount', `${mountpoint} (site ${site})`] as const),
    ['coordinator', coordinator ?? '-'],
    ['etcd', etcd ?? '-'],
    ...sites.map(({ name, store }) => ['site', `${name}: ${store}`] as const),
    ['files', `${dir}/*.yaml`],
  ]);
}

function greeting(playground: Playground): string[] {
  const { dir, record } = playground;
  const program = thisProgram();
  const [first, second] = record.mounts.map(({ mountpoint }) => mountpoint);
  return [
    'The playground is up.',
    ...placeLines(dir, record).map((line) => `  ${line}`),
    'Try:',
    `  echo hello > ${first}/hello && cat ${second ?? first}/hello`,
    `  ${program} status --coordinator ${record.coordinator}`,
    `  ${program} where ${first}/hello`,
    `  ${program} stats --coordinator ${record.coordinator}`,
    `'${program} dev down${dir === defaultPlaygroundDir() ? '' : ` --dir ${dir}`}' ends it.`,
  ];
}

/** A start that was cut off leaves a record; then its directory is as good as an empty one. */
async function clearOld(dir: string): Promise<void> {
  let old: Playground;
  try {
    old = Playground.open(dir);
  } catch {
    return; // there is none, which is what is wanted; what else is wrong shows in `create`
  }
  if (isUp(old)) {
    throw problem(
      'EBUSY',
      'a playground is up already',
      dir,
      "'globalfs dev down' ends it; --dir chooses another place",
    );
  }
  await removePlayground(old);
}

async function up(flags: DirFlags & { mounts: string }): Promise<void> {
  const mounts = parseMounts(flags.mounts);
  const dir = dirOf(flags);
  const { requirePlaygroundPrograms } = await import('./programs.js');
  requirePlaygroundPrograms();
  await clearOld(dir);
  const playground = Playground.create(dir, CLUSTER);
  const stopped = new AbortController();
  const stop = (): void => stopped.abort();
  process.once('SIGINT', stop).once('SIGTERM', stop);
  try {
    const { startPlayground } = await import('./playground-start.js');
    await startPlayground(playground, {
      mounts,
      tell: (what) => printNote(`starting ${what}`),
      signal: stopped.signal,
    });
  } catch (thrown) {
    await undo(playground);
    throw thrown;
  }
  printLines(greeting(playground));
}

/** What cannot be ended is told; the error that led here matters more. */
async function undo(playground: Playground): Promise<void> {
  try {
    await endPlayground(playground, true);
    await removePlayground(playground);
  } catch (thrown) {
    printNote(
      oneLine(`not everything could be undone: ${toGfsError(thrown).message}; see ${playground.dir}`),
    );
  }
}

async function down(flags: DirFlags & { force?: boolean; keep?: boolean }): Promise<void> {
  const playground = Playground.open(dirOf(flags));
  await endPlayground(playground, flags.force ?? false);
  if (flags.keep !== true) await removePlayground(playground);
}

function look(playground: Playground): Findings {
  const { record, dir } = playground;
  const processes = record.processes.map((id) => ({ ...id, running: isRunning(id) }));
  const mounts = record.mounts.map((mount) => ({
    ...mount,
    mounted: mountAt(mount.mountpoint, globalfsMounts()) !== undefined,
  }));
  return {
    value: { ...record, dir, processes, mounts },
    lines: () => [
      ...placeLines(dir, record),
      '',
      ...tableLines(
        ['PROCESS', 'PID', 'STATE'],
        processes.map(({ name, pid, running }) => [name, String(pid), running ? 'runs' : 'has ended']),
      ),
    ],
  };
}

async function status(flags: DirFlags & ListingFlags): Promise<void> {
  await show(flags, () => Promise.resolve(look(Playground.open(dirOf(flags)))));
}

export function devCommand(): Command {
  const dirOption = ['--dir <DIR>', `where it is (default: ${defaultPlaygroundDir()})`] as const;
  const dev = new Command('dev')
    .description('a playground on this machine: a cluster of two sites, from nothing')
    .addHelpText('after', '\nExample:\n  globalfs dev up && globalfs status && globalfs dev down');
  dev
    .command('up')
    .description('start etcd, an S3 server for each of two sites, a coordinator, and one mount at each site')
    .option(...dirOption)
    .option('--mounts <N>', 'mounts at each site', '1')
    .addHelpText('after', '\nExample:\n  globalfs dev up --dir /tmp/play --mounts 2')
    .action(up);
  dev
    .command('down')
    .description('end it, and delete it with everything that was written there')
    .option(...dirOption)
    .option('-f, --force', 'also when its mounts are in use')
    .option('--keep', 'leave the directory with configuration files and logs')
    .addHelpText('after', '\nExample:\n  globalfs dev down')
    .action(down);
  dev
    .command('status')
    .description('where everything is, and what of it runs')
    .option(...dirOption)
    .addOption(outputOption())
    .addOption(watchOption())
    .addHelpText('after', '\nExample:\n  globalfs dev status -o json\n  globalfs status')
    .action(status);
  return dev;
}
