import { describe, expect, test } from '@jest/globals';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { withCluster, type Cluster, type ClusterPlan } from '../support/cluster.js';
import { isRoot, projectDir } from '../support/mounted.js';
import { Random, testSeed } from '../support/random-steps.js';
import { CoherenceRun, type RunResult, type RunSettings } from '../support/workload/coherence-run.js';

/**
 * Several mounts of one cluster, each with its own process, cache and way to the coordinator, do random
 * operations on the same files, names, logs and locks at once. Every register's history must be one that a
 * single copy could have given. `GLOBALFS_TEST_SEED` repeats a run, `GLOBALFS_TEST_OPS` makes all longer.
 */
const OPERATIONS = Number(process.env.GLOBALFS_TEST_OPS ?? 4_000);
/** With faults, most of the time is spent waiting for what follows them: 4 ms for each operation of a calm run. */
const FAULTS_MS = 4 * OPERATIONS;
const TEST_TIMEOUT_MS = 120_000 + 30 * OPERATIONS;
/** Of one operation: longer than any fault with what follows it. */
const OPERATION_TIMEOUT_MS = 90_000;
/** Histories of a failed run are kept here. */
const KEPT = join(projectDir, 'node_modules/.cache/globalfs-test');

type Fault = (cluster: Cluster, random: Random) => Promise<void>;

interface Trial {
  readonly plan: ClusterPlan;
  /** Made again and again, each mended before the next. */
  readonly fault?: Fault;
  readonly settings?: Partial<RunSettings>;
}

/** Between two faults: the mounts go on for a while. */
const CALM_MS = 2_000;

async function faults(cluster: Cluster, trial: Trial, random: Random, signal: AbortSignal): Promise<void> {
  while (!signal.aborted && trial.fault !== undefined) {
    await delay(CALM_MS / 2 + random.int(CALM_MS), undefined, { signal }).catch(() => undefined);
    if (!signal.aborted) await trial.fault(cluster, random);
  }
}

async function keep(seed: number, title: string, result: RunResult): Promise<string> {
  await mkdir(KEPT, { recursive: true });
  const file = join(KEPT, `${title}-${seed}.json`);
  await writeFile(file, JSON.stringify(result.histories));
  return file;
}

/** Runs the operations on a new cluster. @returns the errors that no operation explains, by errno */
async function isCoherent(title: string, trial: Trial): Promise<string[]> {
  const seed = testSeed();
  process.stderr.write(`coherence, ${title}: GLOBALFS_TEST_SEED=${seed}\n`);
  return withCluster(trial.plan, async (cluster) => {
    await cluster.mount(0).prepareWork();
    const places = cluster.mounts.map(({ name, workDir }) => ({ name, dir: workDir }));
    const random = new Random(seed);
    const result = await new CoherenceRun({
      ...{ places, reaper: cluster.reaper, seed, operations: OPERATIONS },
      ...{ workersPerPlace: 2, sync: false, locks: true, timeoutMs: OPERATION_TIMEOUT_MS },
      ...(trial.fault && { durationMs: FAULTS_MS }),
      faults: (signal) => faults(cluster, trial, random, signal),
      ...trial.settings,
    }).run();
    const kept = result.problems.length > 0 ? await keep(seed, title, result) : '';
    expect({ seed, problems: result.problems.join('\n'), kept }).toEqual({ seed, problems: '', kept: '' });
    const errors = [...result.errors].map(([errno, { count, example }]) => `${errno} ${count}: ${example}`);
    process.stderr.write(`coherence, ${title}: ${result.operations} operations, ${errors.join('; ')}\n`);
    return errors;
  });
}

const onRoot = isRoot ? describe : describe.skip;
/** Six runs of half a minute and more: with `GLOBALFS_TEST_COHERENCE=1`. failures.test.ts has each fault by itself. */
const withFaults = isRoot && process.env.GLOBALFS_TEST_COHERENCE === '1' ? describe : describe.skip;

onRoot('mounts of one cluster are coherent', () => {
  test(
    'when nothing fails',
    async () => {
      const plan = { mounts: 3, etcd: 1, store: 's3' } as const;
      expect(await isCoherent('calm', { plan })).toEqual([]);
    },
    TEST_TIMEOUT_MS,
  );
});

withFaults('mounts of one cluster stay coherent, and no program sees an error, while', () => {
  test(
    'the coordinator is killed, and a standby takes over',
    async () => {
      const fault: Fault = async (cluster) => {
        const leader = await cluster.leader();
        await leader.kill();
        await delay(500);
        await leader.start();
      };
      const plan = { mounts: 3, etcd: 1, coordinators: 2 } as const;
      expect(await isCoherent('coordinator', { plan, fault })).toEqual([]);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    'members of etcd are killed or frozen, the leader too',
    async () => {
      const fault: Fault = async ({ etcd }, random) => {
        if (etcd === undefined) return;
        const member = random.chance(50) ? await etcd.leader() : random.of(etcd.members);
        if (random.chance(50)) {
          await member.kill();
          await delay(500 + random.int(2000));
          await member.start();
        } else {
          member.freeze();
          await delay(500 + random.int(4000));
          member.thaw();
        }
        await etcd.ready();
      };
      const plan = { mounts: 3, etcd: 3 } as const;
      expect(await isCoherent('etcd', { plan, fault })).toEqual([]);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    'the store is down, or hangs',
    async () => {
      const fault: Fault = async ({ rgw, storeProxy }, random) => {
        if (random.chance(50)) storeProxy?.cut();
        else rgw?.process('osd').freeze();
        await delay(500 + random.int(3000));
        rgw?.process('osd').thaw();
        storeProxy?.heal();
      };
      const plan = { mounts: 3, etcd: 1, store: 's3' } as const;
      expect(await isCoherent('store', { plan, fault })).toEqual([]);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    'connections break and come back within the time to live',
    async () => {
      const fault: Fault = async (cluster, random) => {
        const mount = random.of(cluster.mounts);
        if (random.chance(50)) mount.cut();
        else mount.stall();
        await delay(random.int(2000));
        mount.heal();
      };
      const plan = { mounts: 3, etcd: 1, sessionTtl: '10s' } as const;
      expect(await isCoherent('connections', { plan, fault })).toEqual([]);
    },
    TEST_TIMEOUT_MS,
  );
});

withFaults('what was fsynced is coherent, and stays, while', () => {
  /** Their sessions end, and with them locks; what is not durable may go. */
  const settings = { sync: true, locks: false, workersPerPlace: 1 };

  test(
    'mounts are killed and come back',
    async () => {
      const fault: Fault = async (cluster, random) => {
        const mount = random.of(cluster.mounts);
        await mount.kill();
        await delay(random.int(6000));
        await mount.start();
      };
      const plan = { mounts: 3, etcd: 1, sessionTtl: '3s' } as const;
      await isCoherent('mount', { plan, fault, settings });
    },
    TEST_TIMEOUT_MS,
  );

  test(
    'mounts are cut off for longer than their leases',
    async () => {
      const fault: Fault = async (cluster, random) => {
        const mount = random.of(cluster.mounts);
        if (random.chance(50)) mount.cut();
        else mount.stall();
        await delay(4000 + random.int(3000));
        mount.heal();
      };
      const plan = { mounts: 3, etcd: 1, sessionTtl: '3s' } as const;
      await isCoherent('cut-off', { plan, fault, settings });
    },
    TEST_TIMEOUT_MS,
  );
});
