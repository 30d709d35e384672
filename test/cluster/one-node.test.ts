import { expect, test } from '@jest/globals';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isRoot, peer, projectDir } from '../support/mounted.js';
import { run } from '../support/run.js';

/**
 * The suites of one node, unchanged, on a mount of a cluster: etcd, a coordinator, and Ceph RGW as S3. Each runs
 * in a jest of its own with `GLOBALFS_TEST_PEER=cluster`, as it can be run by hand.
 */
const SUITES = [
  ['posix-attributes', {}],
  ['posix-names', {}],
  ['posix-paths', {}],
  ['posix-regressions', {}],
  ['semantics', {}],
] as const;
/** Minutes more: with `GLOBALFS_TEST_ONE_NODE=1`. */
const LONG_SUITES = [
  ['differential', { GLOBALFS_TEST_OPS: '3000' }],
  ['kill', { GLOBALFS_TEST_KILLS: '10' }],
  ['programs', {}],
] as const;
const SUITE_TIMEOUT_MS = 600_000;

interface Results {
  readonly numPassedTests: number;
  readonly testResults: readonly {
    readonly message: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

const runnable = isRoot && peer === 'globalfs' ? test : test.skip;

runnable.each(process.env.GLOBALFS_TEST_ONE_NODE === '1' ? [...SUITES, ...LONG_SUITES] : SUITES)(
  'test/mount/%s.test.ts on a mount of a cluster',
  async (suite, env) => {
    const dir = await mkdtemp(join(tmpdir(), 'globalfs-jest-'));
    try {
      const [jest, json] = [join(projectDir, 'node_modules/jest/bin/jest.js'), join(dir, 'results.json')];
      const flags = ['--experimental-vm-modules', '--no-warnings', jest, '--json', `--outputFile=${json}`];
      const { stderr } = await run(process.execPath, [...flags, `test/mount/${suite}.test.ts`], {
        ...{ cwd: projectDir, timeoutMs: SUITE_TIMEOUT_MS, allow: [1, 137] },
        env: { ...env, GLOBALFS_TEST_PEER: 'cluster' },
      });
      const results = JSON.parse(await readFile(json, 'utf8').catch(() => '{}')) as Partial<Results>;
      const failed = (results.testResults ?? []).flatMap(({ assertionResults }) =>
        assertionResults.filter(({ status }) => status === 'failed').map(({ fullName }) => fullName),
      );
      const messages = (results.testResults ?? []).map(({ message }) => message.slice(0, 6000)).join('\n');
      expect({ failed, messages }).toEqual({ failed: [], messages: '' });
      if ((results.numPassedTests ?? 0) === 0) throw new Error(`no test has run\n${stderr.slice(-3000)}`);
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  },
  SUITE_TIMEOUT_MS + 10_000,
);
