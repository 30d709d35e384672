import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { run as runProgram } from '../../test/support/run.js';
import { cpuMs, untilIdle } from '../contestants.js';
import { type Spread, spreadOf } from '../summary.js';
import { BenchCluster, BUCKET, KEYS } from './bench-cluster.js';
import type { ClusterRun } from './cluster-run.js';
import { type ClusterGoal, goalAtLeast, ratioOf } from './figures.js';
import { withWorkers } from './worker-process.js';
import type { Timed } from './worker-tasks.js';

/** As much as a mount stores, or reads ahead, at once for one file (Parallelism.blocks, READ_AHEAD_BLOCKS_MAX). */
const IN_FLIGHT = 8;
/** As long as a block. */
const OBJECT_BYTES = 4 * 1024 ** 2;
/** What is written in one round, three times, and what a store needs beside it. */
const STORE_PARTS = 4;
const LEAST_RATIO = 0.9;
const TRANSFER_TIMEOUT_MS = 600_000;

export type ContentPeer = 'rclone' | 'bare';

/** One direction; speeds in MB/s. */
export interface ContentRow {
  readonly id: 'write' | 'read';
  readonly title: string;
  readonly value: Spread;
  readonly peers: Readonly<Record<ContentPeer, Spread>>;
  /** Of the peer that is faster in most, round by round. */
  readonly fastest: ContentPeer;
  readonly ratio: Spread;
  /** CPU seconds of the mount's process for each GiB. */
  readonly cpuSeconds: Spread;
  readonly goal: ClusterGoal;
}

/** Seconds, and the CPU of the mount's process meanwhile. */
interface Took {
  readonly seconds: number;
  readonly cpuMs: number;
}

interface Round {
  readonly mount: Readonly<Record<'write' | 'read', Took>>;
  readonly rclone: Readonly<Record<'write' | 'read', number>>;
  readonly bare: Readonly<Record<'write' | 'read', number>>;
}

/**
 * One big file through a mount to S3 and, by another mount, back; beside rclone with as many streams, and the
 * store's own client with objects as large as blocks. Each round has a server of its own: it keeps in memory
 * what it was given.
 */
export async function measureContent(run: ClusterRun): Promise<ContentRow[]> {
  const rounds: Round[] = [];
  for (let round = 1; round <= run.rounds; round++) {
    const tell = (what: string): void => run.progress(`round ${round} of ${run.rounds}: content, ${what}`);
    rounds.push(await measureRound(run, round, tell));
  }
  return (['write', 'read'] as const).map((id) => rowOf(id, rounds, run.scale.contentBytes));
}

async function measureRound(run: ClusterRun, round: number, tell: (what: string) => void): Promise<Round> {
  const { base, program, scale } = run;
  const dir = join(base, `content-${round}`);
  const plan = { store: 'lmdb', s3Bytes: STORE_PARTS * scale.contentBytes } as const;
  const measured = await BenchCluster.with({ dir, plan, program }, async (cluster) => {
    const turns = [
      async () => ({ mount: await throughMounts(run, cluster, tell) }),
      async () => ({ rclone: await byRclone(run, cluster, tell) }),
      async () => ({ bare: await byBareClient(run, cluster, tell) }),
    ];
    let all: Partial<Round> = {};
    for (let turn = 0; turn < turns.length; turn++) {
      all = { ...all, ...(await turns[(turn + round - 1) % turns.length]?.()) };
    }
    return all as Round;
  });
  rmSync(dir, { recursive: true, force: true });
  return measured;
}

async function throughMounts(
  { tools, scale }: ClusterRun,
  cluster: BenchCluster,
  tell: (what: string) => void,
): Promise<Round['mount']> {
  const took = async (pid: number, work: () => Promise<number>): Promise<Took> => {
    await untilIdle({ pid });
    const before = cpuMs(pid);
    const seconds = await work();
    return { seconds, cpuMs: cpuMs(pid) - before };
  };
  tell('write through a mount');
  const writer = await cluster.mount('writer');
  const file = join(writer.dir, 'big');
  const write = await took(writer.pid, () => tools.load('seqwrite', file, scale.contentBytes, 'fsync'));
  tell('read through another mount');
  const reader = await cluster.mount('reader');
  const read = await took(reader.pid, () => tools.load('seqread', join(reader.dir, 'big')));
  await untilIdle({ pid: cluster.coordinatorPid });
  await Promise.all([writer.umount(), reader.umount()]);
  return { write, read };
}

/** Where a peer has the file that it copies, and puts it back. */
function makePlace(dir: string, name: string): { from: string; to: string } {
  const place = join(dir, name);
  mkdirSync(place);
  return { from: join(place, 'from'), to: join(place, 'to') };
}

async function byRclone(
  { tools, scale }: ClusterRun,
  cluster: BenchCluster,
  tell: (what: string) => void,
): Promise<Round['rclone']> {
  const { from, to } = makePlace(cluster.dir, 'rclone');
  await tools.load('seqwrite', from, scale.contentBytes);
  const remote = `:s3:${BUCKET}/rclone/big`;
  tell('rclone, write');
  const write = await rclone(cluster, ['copyto', from, remote]);
  rmSync(from);
  tell('rclone, read');
  const read = await rclone(cluster, ['copyto', remote, to]);
  rmSync(to);
  return { write, read };
}

/** As fast as it is known to be: nothing is checked twice, and as many parts are under way as blocks of a mount. */
async function rclone({ rgw }: BenchCluster, words: string[]): Promise<number> {
  const flags = [
    ...['--config=/dev/null', '--retries=1', '--s3-provider=Ceph', `--s3-endpoint=${rgw?.endpoint}`],
    ...['--s3-no-check-bucket', '--s3-disable-checksum', '--ignore-checksum'],
    ...[`--s3-upload-concurrency=${IN_FLIGHT}`, '--s3-chunk-size=8Mi'],
    ...[`--multi-thread-streams=${IN_FLIGHT}`, '--multi-thread-cutoff=16Mi'],
  ];
  const env = {
    RCLONE_S3_ACCESS_KEY_ID: KEYS.accessKeyId,
    RCLONE_S3_SECRET_ACCESS_KEY: KEYS.secretAccessKey,
    AWS_CA_BUNDLE: '', // rclone does not take one
  };
  const startMs = performance.now();
  await runProgram('rclone', [...flags, ...words], { env, timeoutMs: TRANSFER_TIMEOUT_MS });
  return (performance.now() - startMs) / 1000;
}

async function byBareClient(
  { program, tools, scale }: ClusterRun,
  { site, dir }: BenchCluster,
  tell: (what: string) => void,
): Promise<Round['bare']> {
  const place = makePlace(dir, 'bare');
  await tools.load('seqwrite', place.from, scale.contentBytes);
  const count = Math.ceil(scale.contentBytes / OBJECT_BYTES);
  const input = { site, bytes: OBJECT_BYTES, count, inFlight: IN_FLIGHT };
  const seconds = (time: Timed | undefined): number =>
    time === undefined ? NaN : (time.endMs - time.startMs) / 1000;
  return withWorkers(1, program.reaper, async ([worker]) => {
    tell('the bare client, write');
    const write = seconds(await worker?.run('put', { ...input, file: place.from }));
    rmSync(place.from);
    tell('the bare client, read');
    const read = seconds(await worker?.run('get', { ...input, file: place.to }));
    rmSync(place.to);
    return { write, read };
  });
}

function rowOf(id: 'write' | 'read', rounds: readonly Round[], bytes: number): ContentRow {
  const speeds = (seconds: readonly number[]): number[] => seconds.map((one) => bytes / 1e6 / one);
  const own = speeds(rounds.map(({ mount }) => mount[id].seconds));
  const theirs: Record<ContentPeer, number[]> = {
    rclone: speeds(rounds.map(({ rclone: peer }) => peer[id])),
    bare: speeds(rounds.map(({ bare }) => bare[id])),
  };
  const peers = { rclone: spreadOf(theirs.rclone), bare: spreadOf(theirs.bare) };
  const fastest = peers.rclone.median > peers.bare.median ? 'rclone' : 'bare';
  const ratio = ratioOf(own, theirs[fastest]);
  const gibibytes = bytes / 1024 ** 3;
  return {
    id,
    title:
      id === 'write' ? 'sequential write, until fsync has returned' : 'sequential first read, another mount',
    value: spreadOf(own),
    peers,
    fastest,
    ratio,
    cpuSeconds: spreadOf(rounds.map(({ mount }) => mount[id].cpuMs / 1000 / gibibytes)),
    goal: goalAtLeast(`${LEAST_RATIO} of the faster`, ratio.median, LEAST_RATIO),
  };
}
