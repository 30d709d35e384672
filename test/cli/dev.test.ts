import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Playground, type PlaygroundRecord } from '../../src/cli/dev/playground.js';
import { isRunning } from '../../src/cli/processes.js';
import { loadCoordinatorConfig } from '../../src/cli/config/coordinator-config.js';
import { loadMountConfig } from '../../src/cli/config/mount-config.js';
import { globalfs } from '../support/globalfs.js';
import { cli, isMounted } from '../support/mounted.js';
import { Reaper } from '../support/reaper.js';

let base: string;
let dir: string;
let reaper: Reaper;
/** The last that was seen of the playground: what must be gone at the end. */
let record: PlaygroundRecord | undefined;

beforeEach(async () => {
  reaper = new Reaper();
  base = await mkdtemp(join(tmpdir(), 'globalfs-dev-test-'));
  dir = join(base, 'playground');
  record = undefined;
  reaper.directory(base);
  for (const name of ['onprem', 'cloud']) reaper.mount(join(dir, name));
});

afterEach(async () => {
  for (const id of record?.processes.filter(isRunning) ?? []) reaper.process(id.pid);
  await reaper.finish();
});

/** A start takes 4 s on an idle machine; the test machine may be anything else. */
const START_MS = 180_000;

function look(): PlaygroundRecord {
  record = Playground.open(dir).record;
  return record;
}

async function expectNothingLeft(): Promise<void> {
  const { processes = [], mounts = [] } = record ?? {};
  expect(processes.filter(isRunning).map(({ name }) => name)).toEqual([]);
  for (const { mountpoint } of mounts) expect(await isMounted(mountpoint)).toBe(false);
  expect(existsSync(dir)).toBe(false);
}

async function json(...args: string[]): Promise<unknown> {
  return JSON.parse((await globalfs([...args, '-o', 'json'])).stdout) as unknown;
}

describe('a playground', () => {
  test(
    'is a cluster of two sites, and leaves nothing when it ends',
    async () => {
      const up = await globalfs(['dev', 'up', '--dir', dir], { timeoutMs: START_MS });
      expect(up).toMatchObject({ code: 0 });
      expect(up.stdout).toContain(`${dir}/onprem (site onprem)`);
      const { processes, coordinator, ready } = look();
      expect(ready).toBe(true);
      expect(processes.filter((id) => !isRunning(id))).toEqual([]);

      const [onprem, cloud] = [join(dir, 'onprem/hello'), join(dir, 'cloud/hello')];
      writeFileSync(onprem, 'hello');
      expect(readFileSync(cloud, 'utf8')).toBe('hello');
      writeFileSync(cloud, 'there');
      expect(readFileSync(onprem, 'utf8')).toBe('there');

      const address = ['--coordinator', coordinator ?? ''];
      expect(await json('status', ...address)).toMatchObject({
        cluster: { cluster: 'dev', mounts: 2, store: { kind: 'etcd' }, sites: [{}, {}] },
      });
      expect(await json('mounts', ...address)).toMatchObject([
        { site: 'onprem', state: 'connected' },
        { site: 'cloud', state: 'connected' },
      ]);
      // The mount that the path is in says which cluster is meant.
      expect(await json('where', onprem)).toMatchObject({ path: '/hello', size: 5, sources: ['cloud'] });
      expect(await json('leases', cloud)).toMatchObject([{ path: '/hello' }]);
      expect((await globalfs(['where', join(dir, 'onprem/nothing')])).code).toBe(3);
      expect(await json('site', 'show', 'cloud', ...address)).toMatchObject({ spec: { role: 'burst' } });
      expect(await json('stats', ...address)).toMatchObject({
        mounts: [{ connected: true }, { connected: true }],
      });
      expect((await globalfs(['site', 'remove', 'cloud', ...address])).code).toBe(5);

      // What it leaves to be copied is right.
      expect(loadCoordinatorConfig(join(dir, 'coordinator.yaml'))).toMatchObject({ cluster: 'dev' });
      expect(loadMountConfig(join(dir, 'globalfs-cloud.yaml'))).toMatchObject({ site: 'cloud' });

      const second = await globalfs(['dev', 'up', '--dir', dir]);
      expect(second).toMatchObject({ code: 5, stdout: '' });
      expect(second.stderr).toMatch(/a playground is up already/);

      expect(await globalfs(['dev', 'down', '--dir', dir], { timeoutMs: START_MS })).toMatchObject({
        code: 0,
      });
      await expectNothingLeft();
    },
    2 * START_MS,
  );

  test.each(['SIGINT', 'SIGKILL'] as const)(
    'whose start is ended by %s leaves nothing, at the latest after dev down',
    async (signal) => {
      const child = spawn(process.execPath, [cli, 'dev', 'up', '--dir', dir], { stdio: 'ignore' });
      const exited = once(child, 'exit');
      // In the middle: servers run, and the coordinator is being started.
      while (!existsSync(join(dir, 'coordinator.yaml')) && child.exitCode === null) await delay(20);
      look();
      child.kill(signal);
      const [code] = (await exited) as [number | null];
      if (signal === 'SIGINT') expect(code).toBe(130);
      if (existsSync(dir)) look();
      expect(existsSync(dir)).toBe(signal === 'SIGKILL');
      if (signal === 'SIGKILL') {
        expect(await globalfs(['dev', 'down', '--dir', dir], { timeoutMs: START_MS })).toMatchObject({
          code: 0,
        });
      }
      await expectNothingLeft();
    },
    START_MS,
  );

  test(
    'keeps its files when asked to, and gives way to the next one',
    async () => {
      await globalfs(['dev', 'up', '--dir', dir], { timeoutMs: START_MS });
      look();
      await globalfs(['dev', 'down', '--dir', dir, '--keep'], { timeoutMs: START_MS });
      expect(existsSync(join(dir, 'coordinator.yaml'))).toBe(true);
      expect(look()).toMatchObject({ processes: [], ready: false });
      expect(await globalfs(['dev', 'down', '--dir', dir])).toMatchObject({ code: 0 });
      await expectNothingLeft();
    },
    START_MS,
  );
});
