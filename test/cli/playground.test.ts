import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endPlayground, isUp, removePlayground } from '../../src/cli/dev/playground-end.js';
import { defaultPlaygroundDir, Playground } from '../../src/cli/dev/playground.js';
import { requirePlaygroundPrograms } from '../../src/cli/dev/programs.js';
import { isRunning, processId } from '../../src/cli/processes.js';

let base: string;
const started: ChildProcess[] = [];

async function start(command: string, ...args: string[]): Promise<number> {
  const child = spawn(command, args, { stdio: 'ignore' });
  started.push(child);
  await once(child, 'spawn');
  return child.pid ?? 0;
}

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'gfs-playground-'));
});

afterEach(async () => {
  for (const child of started.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  rmSync(base, { recursive: true });
});

describe('the record of a playground', () => {
  test('is in its directory, and found by the next command', async () => {
    const dir = join(base, 'p');
    const playground = Playground.create(dir, 'dev');
    const pid = await start('sleep', '60');
    playground.addProcess('etcd', pid);
    playground.update({ etcd: 'http://127.0.0.1:1' });
    const { record } = Playground.open(dir);
    expect(record).toEqual(playground.record);
    expect(record.processes).toEqual([{ name: 'etcd', ...processId(pid) }]);
    expect(record.ready).toBe(false);
  });

  test('stands in the way of a second playground', () => {
    Playground.create(base, 'dev');
    expect(() => Playground.create(base, 'dev')).toThrow(/a playground is there already.*dev down/);
  });

  test('is not made in a directory that holds something, or that is not ours', () => {
    const dir = join(base, 'full');
    mkdirSync(dir);
    writeFileSync(join(dir, 'thesis.tex'), '');
    expect(() => Playground.create(dir, 'dev')).toThrow(/not empty/);
    expect(existsSync(join(dir, 'thesis.tex'))).toBe(true);
    symlinkSync(dir, join(base, 'link'));
    expect(() => Playground.create(join(base, 'link'), 'dev')).toThrow(/not a directory of yours/);
    expect(() => Playground.create(join(base, 'no', 'parent'), 'dev')).toThrow(/cannot make the directory/);
  });

  test('that is not there, or damaged, is told', () => {
    expect(() => Playground.open(base)).toThrow(/no playground is there.*dev up/);
    writeFileSync(join(base, 'playground.json'), '{');
    expect(() => Playground.open(base)).toThrow(/cannot be read/);
  });

  test('is somewhere else for each user', () => {
    expect(defaultPlaygroundDir(0)).not.toBe(defaultPlaygroundDir(1000));
  });
});

describe('the end of a playground', () => {
  test('is the end of all its processes, the frozen too, and of no other', async () => {
    const playground = Playground.create(base, 'dev');
    const order = join(base, 'order');
    const polite = (name: string): [string, string[]] => [
      'bash',
      [
        '-c',
        `trap 'echo ${name} >>${order}; exit' TERM; touch ${base}/${name}; while :; do sleep 0.05; done`,
      ],
    ];
    for (const name of ['etcd', 'coordinator']) {
      const [command, args] = polite(name);
      playground.addProcess(name, await start(command, ...args));
      while (!existsSync(join(base, name))) await new Promise((resolve) => setTimeout(resolve, 10));
    }
    const frozen = await start('sleep', '60');
    process.kill(frozen, 'SIGSTOP');
    playground.addProcess('ceph-osd', frozen);
    const other = await start('sleep', '60');
    // The number of a process that has ended may be another's by now: then that one is not ours to end.
    playground.update({
      processes: [...playground.record.processes, { name: 'mount x', pid: other, startTicks: 1 }],
    });
    expect(isUp(playground)).toBe(true);
    await endPlayground(Playground.open(base), false);
    expect(isUp(Playground.open(base))).toBe(false);
    // The last one started is ended first.
    expect(readFileSync(order, 'utf8')).toBe('coordinator\netcd\n');
    expect(playground.record.processes.filter(({ name }) => name === 'ceph-osd').some(isRunning)).toBe(false);
    expect(started.at(-1)?.exitCode).toBeNull();
    expect(started.at(-1)?.signalCode).toBeNull();
  });

  test('may be ended twice, and leaves nothing', async () => {
    const dir = join(base, 'p');
    const playground = Playground.create(dir, 'dev');
    playground.addProcess('etcd', await start('sleep', '60'));
    await endPlayground(playground, false);
    await endPlayground(Playground.open(dir), false);
    await removePlayground(playground);
    expect(existsSync(dir)).toBe(false);
  });
});

test('all programs that are missing are named at once, with the line that installs them', () => {
  expect(() => requirePlaygroundPrograms('/nonexistent')).toThrow(
    /etcd, ceph-mon, .*apt-get install -y --no-install-recommends etcd-server ceph-mon /,
  );
});
