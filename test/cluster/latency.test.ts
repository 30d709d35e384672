import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { withCluster, type Cluster } from '../support/cluster.js';
import type { ClusterMount } from '../support/cluster/cluster-mount.js';
import { isRoot } from '../support/mounted.js';
import { shell, type RunResult } from '../support/run.js';

/** Far from its coordinator: what a program waits for is counted in round trips. */
const ROUND_TRIP_MS = 50;
const DIRECTORIES = 100;
const FILES_PER_DIRECTORY = 50;
/** Heartbeats are turns too. Sessions live long here, so that there are few of them. */
const SESSION_TTL_S = 60;
/** Turns that a quiet mount takes by itself during one command: a heartbeat, and inodes given back. */
const TURNS_BY_ITSELF = 3;

/** Its name is looked up, made, and removed. */
const TURNS_OF_A_LOCK_FILE = 3;

interface Passed {
  readonly ms: number;
  readonly turns: number;
}

/**
 * Runs a command in the tree as one mount shows it. The shell goes there by itself: a `cwd` would have this
 * process wait for the mount while it starts the shell, and the mount waits for the proxies of this process.
 */
const inTree = (mount: ClusterMount, command: string): Promise<RunResult> =>
  shell(`cd ${mount.dir}/tree\n${command}`);

async function passed(mount: ClusterMount, command: string): Promise<Passed> {
  const [turnsBefore, beganMs] = [mount.turns, performance.now()];
  await inTree(mount, command);
  return { ms: performance.now() - beganMs, turns: mount.turns - turnsBefore };
}

/** 5,000 small files under git, packed: made on a local disk. */
async function makeTree(dir: string): Promise<void> {
  for (let d = 0; d < DIRECTORIES; d++) {
    await mkdir(join(dir, `d${d}`), { recursive: true });
    for (let f = 0; f < FILES_PER_DIRECTORY; f++) {
      await writeFile(join(dir, `d${d}/f${f}`), `${d} ${f}\n`.repeat(40));
    }
  }
  const git = 'git -c user.name=t -c user.email=t@example.org -c core.autocrlf=false';
  await shell(`${git} init -q . && ${git} add . && ${git} commit -qm all && ${git} repack -qad`, {
    cwd: dir,
  });
}

(isRoot ? describe : describe.skip)('a mount 50 ms away from its coordinator', () => {
  let cluster: Cluster | undefined;
  let release: () => void = () => undefined;
  let over: Promise<void> = Promise.resolve();
  const mounts = [{}, { roundTripMs: ROUND_TRIP_MS }, { roundTripMs: ROUND_TRIP_MS }, {}];

  beforeAll(async () => {
    await new Promise<void>((ready, failed) => {
      over = withCluster({ mounts, sessionTtl: `${SESSION_TTL_S}s` }, async (started) => {
        cluster = started;
        const made = join(started.dir, 'made');
        await makeTree(made);
        await shell(`cp -a ${made} ${started.mount(0).dir}/tree`);
        await inTree(started.mount(0), 'git status');
        ready();
        await new Promise<void>((resolve) => (release = resolve));
      });
      over.catch(failed);
    });
  }, 240_000);
  afterAll(async () => {
    release();
    await over;
  }, 120_000);

  const mountAt = (index: number): ClusterMount => {
    if (cluster === undefined) throw new Error('there is no cluster outside of a test');
    return cluster.mount(index);
  };

  test('lists a tree for the first time in at most two round trips a directory', async () => {
    const { turns, ms } = await passed(mountAt(1), 'ls -lR d* > /dev/null');
    process.stderr.write(`latency: first ls -lR: ${turns} turns, ${ms.toFixed()} ms\n`);
    expect(turns).toBeLessThanOrEqual(2 * DIRECTORIES + TURNS_BY_ITSELF);
  });

  const again = ['ls -lR > /dev/null', 'git --no-optional-locks status', 'cat d*/* | md5sum'];
  test.each(again)('does again without asking what it has done before: %s', async (command) => {
    const [far, near] = [mountAt(1), mountAt(3)];
    const first = { far: await passed(far, command), near: await passed(near, command) };
    const second = { far: await passed(far, command), near: await passed(near, command) };
    process.stderr.write(
      `latency: ${command}: first ${first.far.turns} turns, ${first.far.ms.toFixed()} ms` +
        ` (near ${first.near.ms.toFixed()} ms); again ${second.far.turns} turns, ${second.far.ms.toFixed()} ms` +
        ` (near ${second.near.ms.toFixed()} ms)\n`,
    );
    expect(second.far.turns).toBeLessThanOrEqual(TURNS_BY_ITSELF);
  });

  test('has git status wait only for the lock file that it makes and removes', async () => {
    await inTree(mountAt(1), 'git status');
    const { turns, ms } = await passed(mountAt(1), 'git status');
    process.stderr.write(`latency: git status with its lock: again ${turns} turns, ${ms.toFixed()} ms\n`);
    expect(turns).toBeLessThanOrEqual(TURNS_OF_A_LOCK_FILE + TURNS_BY_ITSELF);
  });

  test('shows at once what another far mount has changed', async () => {
    const [one, other] = [mountAt(1), mountAt(2)];
    await inTree(other, 'cat d0/f0 > /dev/null');
    await inTree(one, 'echo changed > d0/f0; touch d0/new');
    const { stdout } = await inTree(other, 'cat d0/f0; ls d0 | wc -l');
    expect(stdout).toBe(`changed\n${FILES_PER_DIRECTORY + 1}\n`);
  });
});
