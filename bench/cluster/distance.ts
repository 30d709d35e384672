import { join } from 'node:path';
import { shell } from '../../test/support/run.js';
import { TcpProxy } from '../../test/support/tcp-proxy.js';
import { untilIdle } from '../contestants.js';
import { type Spread, spreadOf } from '../summary.js';
import { makeTree } from '../tree.js';
import { BenchCluster } from './bench-cluster.js';
import type { BenchMount } from './bench-mount.js';
import type { ClusterRun } from './cluster-run.js';
import { type ClusterGoal, goalAtMost, ratioOf } from './figures.js';

export const ROUND_TRIP_MS = 50;
const SMALL_BYTES = 4096;
/** 1 Gbit/s, of each connection. */
const LINK_BYTES_PER_SECOND = 125e6;
/** What the first read may take besides the link's time. */
const ROUND_TRIPS_PER_1000 = 20;
const AGAIN_RATIO = 1.2;
/** What is done again takes milliseconds: it is done so often, and the median counts. */
const PASSES = 15;
const S3_BYTES = 4 * 1024 ** 3;

/** Seconds. */
export interface DistanceRow {
  readonly id: string;
  readonly title: string;
  readonly far: Spread;
  readonly near: Spread;
  /** Of far to near, round by round. */
  readonly ratio: Spread;
  /** By which far is longer than near, for each 1,000 files. */
  readonly roundTrips: number;
  readonly goal: ClusterGoal | undefined;
}

/** What is timed, in this order, on a mount that knows nothing yet. */
interface Command {
  readonly id: string;
  readonly title: string;
  readonly script: string;
}

const READ: Command = {
  id: 'read',
  title: 'reading all files, folders of 100',
  script: 'cat folder-*/* > /dev/null',
};
const READ_FLAT: Command = {
  id: 'read-flat',
  title: 'reading all files, one folder',
  script: 'cat ../flat/* > /dev/null',
};
const LIST: Command = { id: 'list', title: 'ls -lR', script: 'ls -lR > /dev/null' };
/** As editors ask in the background. */
const QUIET_STATUS: Command = {
  id: 'quiet-status',
  title: 'git --no-optional-locks status',
  script: 'git --no-optional-locks status > /dev/null',
};
/** Each makes and deletes a lock file: two commands to the coordinator, one after the other. */
const STATUS: Command = { id: 'status', title: 'git status', script: 'git status > /dev/null' };
/** Each list is a mount's life. */
const LIVES: readonly (readonly Command[])[] = [[READ, QUIET_STATUS, STATUS], [LIST], [READ_FLAT]];

type Place = 'far' | 'near';
type Samples = Map<string, Record<Place, number[]>>;

/**
 * A mount whose coordinator and whose store are 50 ms away, and one with the same network that is not slow. Both
 * begin with an empty cache, and take turns.
 */
export async function measureDistance(run: ClusterRun): Promise<DistanceRow[]> {
  const { base, program } = run;
  const samples: Samples = new Map();
  const proxies: TcpProxy[] = [];
  const proxied = async (port: number): Promise<TcpProxy> => {
    const proxy = await TcpProxy.start({ port, bytesPerSecond: LINK_BYTES_PER_SECOND });
    proxies.push(proxy);
    return proxy;
  };
  const endpointFor = async (port: number): Promise<number> => (await proxied(port)).port;
  const plan = { store: 'lmdb', s3Bytes: S3_BYTES, endpointFor } as const;
  try {
    await BenchCluster.with({ dir: join(base, 'distance'), plan, program }, async (cluster) => {
      const toCoordinator = await proxied(cluster.port);
      await makeFiles(run, cluster);
      for (let round = 1; round <= run.rounds; round++) {
        for (const [life, commands] of LIVES.entries()) {
          const places: Place[] = round % 2 === 1 ? ['near', 'far'] : ['far', 'near'];
          for (const place of places) {
            run.progress(`round ${round} of ${run.rounds}: distance, ${commands[0]?.title}, ${place}`);
            const delayMs = place === 'far' ? ROUND_TRIP_MS / 2 : 0;
            for (const proxy of proxies) proxy.delayMs = delayMs;
            const mount = await cluster.mount(`${place}-${round}-${life}`, {
              coordinator: `127.0.0.1:${toCoordinator.port}`,
            });
            for (const command of commands) await measureCommand(command, mount, place, samples);
            await mount.umount();
          }
        }
      }
      for (const proxy of proxies) proxy.delayMs = 0;
    });
  } finally {
    await Promise.all(proxies.map((proxy) => proxy.close()));
  }
  return LIVES.flat().flatMap((command) => rowsOf(command, samples, run.scale.farFiles));
}

/** Files under git, and packed: made on this disk, then stored by a mount that leaves again. */
async function makeFiles({ tools, scale, progress }: ClusterRun, cluster: BenchCluster): Promise<void> {
  progress('distance: making the files');
  const made = join(cluster.dir, 'made');
  makeTree(made, scale.farFiles, 3, SMALL_BYTES);
  const git = ['-C', made, '-c', 'user.name=bench', '-c', 'user.email=bench@localhost'];
  for (const words of [
    ['init', '-q'],
    ['add', '.'],
    ['commit', '-q', '-m', 'All'],
    ['gc', '-q'],
  ]) {
    await tools.run('git', [...git, ...words]);
  }
  const maker = await cluster.mount('maker');
  await tools.run('cp', ['-a', made, join(maker.dir, 'tree')]);
  await tools.run('mkdir', [join(maker.dir, 'flat')]);
  await tools.load('create', join(maker.dir, 'flat'), scale.farFiles, SMALL_BYTES);
  // The index with what this filesystem says of the files.
  await tools.run('git', ['-C', join(maker.dir, 'tree'), 'status']);
  await maker.umount();
}

async function measureCommand(
  command: Command,
  mount: BenchMount,
  place: Place,
  samples: Samples,
): Promise<void> {
  const env = { GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1' };
  // Not by `cwd`: a child that waits in chdir(2) stops this process, and the proxies with it (uv_spawn).
  const script = `cd '${join(mount.dir, 'tree')}'; from=$EPOCHREALTIME; ${command.script}; echo "$from $EPOCHREALTIME"`;
  const once = async (): Promise<number> => {
    const { stdout } = await shell(script, { env });
    const [from = NaN, to = NaN] = stdout.split(' ').map(Number);
    return to - from;
  };
  const first = await once();
  await untilIdle(mount);
  const again: number[] = [];
  for (let pass = 0; pass < PASSES; pass++) again.push(await once());
  note(samples, `${command.id}-first`, place, first);
  note(samples, `${command.id}-again`, place, spreadOf(again).median);
}

function note(samples: Samples, id: string, place: Place, seconds: number): void {
  const found = samples.get(id) ?? { far: [], near: [] };
  found[place].push(seconds);
  samples.set(id, found);
}

function rowsOf({ id, title }: Command, samples: Samples, files: number): DistanceRow[] {
  return (['first', 'again'] as const).map((time) => {
    const { far, near } = samples.get(`${id}-${time}`) ?? { far: [], near: [] };
    const [farSpread, nearSpread] = [spreadOf(far), spreadOf(near)];
    const ratio = ratioOf(far, near);
    const roundTrips = ((farSpread.median - nearSpread.median) * 1000) / ROUND_TRIP_MS / (files / 1000);
    const goal = goalOf(`${id}-${time}`, farSpread.median, ratio.median, files);
    return {
      ...{ id: `${id}-${time}`, title: `${title}, ${time}`, far: farSpread, near: nearSpread },
      ...{ ratio, roundTrips, goal },
    };
  });
}

function goalOf(id: string, seconds: number, ratio: number, files: number): ClusterGoal | undefined {
  if (id.endsWith('-again')) return goalAtMost(`${AGAIN_RATIO} × no delay`, ratio, AGAIN_RATIO);
  if (!id.startsWith('read')) return undefined;
  const linkSeconds = (files * SMALL_BYTES) / LINK_BYTES_PER_SECOND;
  const most = linkSeconds + ((files / 1000) * ROUND_TRIPS_PER_1000 * ROUND_TRIP_MS) / 1000;
  return goalAtMost(`${most.toFixed(2)} s (the link, 20 round trips for each 1,000)`, seconds, most);
}
