import { expect, test } from '@jest/globals';
import { mkdir, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { testSeed } from '../support/random-steps.js';
import { withMount } from '../support/mounted.js';
import { Reaper } from '../support/reaper.js';
import { CoherenceRun, type RunResult } from '../support/workload/coherence-run.js';

/** The coherence test's own test: what it says of one local directory, and of two that pretend to be one. */
const OPERATIONS = Number(process.env.GLOBALFS_TEST_OPS ?? 3_000);

async function onDirectories(count: 1 | 2, seed: number, operations: number): Promise<RunResult> {
  const reaper = new Reaper();
  const base = await mkdtemp(join(tmpdir(), 'globalfs-test-'));
  reaper.directory(base);
  try {
    const dirs = Array.from({ length: count }, (_, i) => join(base, String(i)));
    for (const dir of dirs) await mkdir(dir);
    const places = ['m1', 'm2', 'm3'].map((name, i) => ({ name, dir: dirs[i % count] as string }));
    const settings = { places, seed, operations, reaper, sync: false, locks: true, timeoutMs: 30_000 };
    return await new CoherenceRun({ ...settings, workersPerPlace: 2 }).run();
  } finally {
    await reaper.finish();
  }
}

test('one directory is coherent', async () => {
  const seed = testSeed();
  process.stderr.write(`workload: GLOBALFS_TEST_SEED=${seed}\n`);
  const result = await onDirectories(1, seed, OPERATIONS);
  expect({ seed, problems: result.problems, errors: [...result.errors] }).toEqual({
    seed,
    problems: [],
    errors: [],
  });
  expect(result.operations).toBe(OPERATIONS);
});

test.each(['passthrough', 'nopassthrough'])(
  'the processes of one mount are coherent, with -o %s',
  async (option) => {
    const seed = testSeed();
    process.stderr.write(`workload, one mount: GLOBALFS_TEST_SEED=${seed}\n`);
    await withMount({ args: ['-o', option] }, async (m) => {
      const reaper = new Reaper();
      try {
        const settings = {
          seed,
          operations: OPERATIONS,
          reaper,
          sync: false,
          locks: true,
          timeoutMs: 60_000,
        };
        const places = [{ name: 'm1', dir: m.mountpoint }];
        const { problems, errors } = await new CoherenceRun({
          ...settings,
          places,
          workersPerPlace: 6,
        }).run();
        expect({ seed, problems: problems.join('\n'), errors: [...errors] }).toEqual({
          seed,
          problems: '',
          errors: [],
        });
      } finally {
        await reaper.finish();
      }
    });
  },
);

test('two directories that pretend to be one are not coherent, and every kind of subject says so', async () => {
  const seed = testSeed();
  const { problems } = await onDirectories(2, seed, 600);
  const subjects = ['small', 'pages', 'replaced', 'log', 'names', 'more-names', 'counter'];
  const found = subjects.filter((name) => problems.some((text) => text.startsWith(`${name}-`)));
  expect({ seed, found }).toEqual({ seed, found: subjects });
});
