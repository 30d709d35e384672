import { describe, expect, test } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { holdersOf, isRunning, parseStat, processId } from '../../src/cli/processes.js';
import { claimState, defaultStateDir, readOwner, runningOwner } from '../../src/cli/state-dir.js';

describe('processes', () => {
  test('a name with spaces and parentheses does not confuse the fields', () => {
    const rest = ['S', ...Array.from({ length: 18 }, (_, i) => String(i)), '4711', '0'];
    expect(parseStat(`12 (a) R (b) ${rest.join(' ')}`)).toEqual({ state: 'S', startTicks: 4711 });
    expect(parseStat('')).toBeUndefined();
  });

  test('a process is running until it has ended, and a later one of its number is another', async () => {
    const child = spawn('sleep', ['60']);
    await once(child, 'spawn');
    const id = processId(child.pid ?? 0);
    expect(id).toBeDefined();
    if (id === undefined) return;
    expect(isRunning(id)).toBe(true);
    expect(isRunning({ ...id, startTicks: id.startTicks + 1 })).toBe(false);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(isRunning(id)).toBe(false);
  });

  test('who has a directory as its working directory or a file of it open is found', async () => {
    const folder = realpathSync(mkdtempSync(join(tmpdir(), 'gfs-holder-')));
    writeFileSync(join(folder, 'file'), '');
    const inside = spawn('sleep', ['60'], { cwd: folder });
    const reader = spawn('sh', ['-c', 'exec sleep 60 <file'], { cwd: folder });
    try {
      await Promise.all([once(inside, 'spawn'), once(reader, 'spawn')]);
      const pids = holdersOf(folder, 5).map(({ pid }) => pid);
      expect(pids.sort()).toEqual([inside.pid, reader.pid].sort());
      expect(holdersOf(folder, 1)).toHaveLength(1);
      expect(holdersOf(`${folder}x`, 5)).toEqual([]);
    } finally {
      inside.kill('SIGKILL');
      reader.kill('SIGKILL');
      rmSync(folder, { recursive: true });
    }
  });
});

describe('the state directory', () => {
  test("is root's or the user's", () => {
    expect(defaultStateDir({}, 0)).toBe('/var/lib/globalfs');
    expect(defaultStateDir({ XDG_DATA_HOME: '/x' }, 5)).toBe('/x/globalfs');
  });

  test('has one owner at a time, who is named to the next', async () => {
    const stateDir = mkdtempSync(join(tmpdir(), 'gfs-state-'));
    try {
      const claim = await claimState(stateDir, 'mount', '/globalfs');
      expect(runningOwner(stateDir)).toMatchObject({ pid: process.pid, mountpoint: '/globalfs' });
      const refused = claimState(stateDir, 'fsck', null);
      await expect(refused).rejects.toThrow(new RegExp(`process ${process.pid} .*at /globalfs`));
      await expect(refused).rejects.toMatchObject({ code: 'EBUSY' });
      claim.release();
      (await claimState(stateDir, 'fsck', null)).release();
      expect(readOwner(stateDir)).toMatchObject({ command: 'fsck', mountpoint: null });
    } finally {
      rmSync(stateDir, { recursive: true });
    }
  });
});
