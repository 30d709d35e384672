import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { untilIdle } from '../contestants.js';
import { BenchCluster, SITE } from './bench-cluster.js';
import { anonymousBytes, type Program } from './cluster-process.js';
import type { ClusterRun } from './cluster-run.js';
import { type ClusterGoal, goalAtMost } from './figures.js';
import { withWorkers, type WorkerProcess } from './worker-process.js';

/** In each directory. */
const ENTRIES = 10_000;
/** Looked up before anything is measured: a directory. */
export const WARM_FILES = ENTRIES;
const GOAL_BYTES = 500;
/** The setting's default. */
const DEFAULT_CACHE_INODES = 65_536;
/** A mount that keeps next to nothing, and so holds next to no leases. */
const FORGETFUL_INODES = 1024;
/** The collection that a signal asks for, and the return of pages to the kernel. */
const COLLECT_MS = 1000;

/** Of one coordinator, in bytes of its own (RssAnon); all but `grown` after a collection of garbage. */
export interface CacheSetting {
  readonly cacheInodes: number;
  /** After the files of one directory were looked up: compiled code and buffers are there. */
  readonly warm: number;
  /** After every file was looked up by a mount that keeps nothing, before the collection. */
  readonly grown: number;
  readonly cached: number;
  /** A mount holds a lease on each file. */
  readonly leased: number;
  /** For each further file: what is cached, and what the leases take. */
  readonly cachedEach: number;
  readonly leasedEach: number;
}

export interface CoordinatorMemory {
  readonly files: number;
  readonly settings: readonly CacheSetting[];
  /** Of the first setting, with which everything is cached. */
  readonly goal: ClusterGoal;
}

/** What a coordinator takes for files that it knows; the same files for each setting of its bound. */
export async function measureCoordinatorMemory(run: ClusterRun): Promise<CoordinatorMemory> {
  const { base, program, scale } = run;
  const files = scale.cachedFiles;
  const filled = join(base, 'filled');
  const settings: CacheSetting[] = [];
  await withWorkers(1, program.reaper, async ([worker]) => {
    run.progress(`coordinator memory: making ${files} files`);
    await (worker as WorkerProcess).run('fill', { path: filled, files, entries: ENTRIES });
  });
  // The cache forgets in halves: with twice as many all are kept.
  for (const cacheInodes of [2 * files + 2 * ENTRIES, DEFAULT_CACHE_INODES]) {
    run.progress(`coordinator memory: cacheInodes ${cacheInodes}`);
    settings.push(await measureSetting(run, filled, cacheInodes));
  }
  const all = settings[0]?.cachedEach ?? NaN;
  return { files, settings, goal: goalAtMost(`at most ${GOAL_BYTES} B`, all, GOAL_BYTES) };
}

async function measureSetting(run: ClusterRun, filled: string, cacheInodes: number): Promise<CacheSetting> {
  const { base, program, scale } = run;
  const dir = join(base, `memory-${cacheInodes}`);
  mkdirSync(join(dir, 'coordinator'), { recursive: true });
  cpSync(filled, join(dir, 'coordinator', 'namespace'), { recursive: true });
  const plan = { store: 'lmdb', cacheInodes } as const;
  const cluster = { dir, plan, program: collecting(program) };
  return BenchCluster.with(cluster, ({ address, coordinatorPid: pid }) =>
    withWorkers(1, program.reaper, async ([worker]) => {
      const files = scale.cachedFiles;
      const lookAt = async (count: number, cacheInodesMax: number): Promise<void> => {
        await worker?.run('connect', { address, site: SITE, member: 'visitor', cacheInodesMax });
        await worker?.run('visit', { files: count, entries: ENTRIES, inFlight: scale.inFlight });
        await untilIdle({ pid });
      };
      await lookAt(WARM_FILES, FORGETFUL_INODES);
      await worker?.run('leave', null);
      const warm = await collected(pid);
      await lookAt(files, FORGETFUL_INODES);
      const grown = anonymousBytes(pid);
      await worker?.run('leave', null);
      const cached = await collected(pid);
      await lookAt(files, 2 * files);
      const leased = await collected(pid);
      await worker?.run('leave', null);
      const cachedEach = (cached - warm) / (files - WARM_FILES);
      const leasedEach = (leased - cached) / files;
      return { cacheInodes, warm, grown, cached, leased, cachedEach, leasedEach };
    }),
  );
}

function collecting(program: Program): Program {
  const module = new URL('collect-garbage.js', import.meta.url).href;
  return { ...program, nodeArguments: [...program.nodeArguments, '--expose-gc', '--import', module] };
}

async function collected(pid: number): Promise<number> {
  await untilIdle({ pid });
  process.kill(pid, 'SIGUSR2');
  await delay(COLLECT_MS);
  await untilIdle({ pid });
  return anonymousBytes(pid);
}
