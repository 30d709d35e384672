import { describe, expect, test } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { argumentBytes, bytesOf, textOf } from '../../src/cli/byte-paths.js';
import { propertyLines, tableLines } from '../../src/cli/output.js';
import { suggest } from '../../src/cli/problem.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

function globalfs(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8', timeout: 30_000 });
}

describe('globalfs', () => {
  test.each([
    [[], 2, /no command given/],
    [['mnt'], 2, /unknown command 'mnt'.*Did you mean mount/],
    [['mount', '--foo'], 2, /unknown option '--foo'.*globalfs mount --help/],
    [['mount', '-o', 'nosiud', '/x'], 2, /did you mean 'nosuid'/],
    [['mount', '--cache-size', 'much'], 2, /not a size: 'much'; --cache-size/],
    [['mount', '--log-level', 'loud'], 2, /not a log level/],
    [['mount', '/a', '/b'], 2, /too many arguments/],
    [['umount'], 2, /MOUNTPOINT/],
    [['umount', '/tmp'], 3, /no GlobalFS is mounted there; \/tmp/],
    [['status', '/tmp'], 3, /no GlobalFS is mounted there/],
    [['status', '-o', 'xml'], 2, /not an output format: 'xml'; -o; use table, wide, json, yaml/],
    [['status', '--watch', '1ms'], 2, /not a time to wait.*use 100ms to 1d/],
    [['status', '--coordinator', 'here'], 2, /not an address: 'here'; --coordinator/],
    [['mounts', '--coordinator', '127.0.0.1:1'], 5, /no coordinator answers as the leader; 127\.0\.0\.1:1: /],
    [['leases', '--limit', '0'], 2, /--limit; use 1 to/],
    [['site'], 2, /no command given.*globalfs site --help/],
    [['site', 'registre'], 2, /unknown command 'registre'.*Did you mean register.*globalfs site --help/],
    [['site', 'register', 'x'], 2, /--config <FILE>' not specified.*globalfs site register --help/],
    [['coordinator', 'start', '--config', '/nonexistent/c.yaml'], 3, /there is no such file/],
    [['mount', '--config', '/nonexistent/g.yaml', '/x'], 3, /there is no such file/],
    [['dev', 'down', '--dir', '/nonexistent/p'], 3, /no playground is there/],
    [['dev', 'up', '--mounts', '99'], 2, /--mounts; use 1 to 8/],
    [['info', '/proc/self'], 3, /not in a GlobalFS/],
    [['info', '/nonexistent/x'], 3, /no such file/i],
    [['fsck', '--state', '/nonexistent/state'], 3, /no state directory/],
    [['gc', '--grace', 'long', '--state', '/nonexistent/state'], 2, /not a duration/],
  ])('%j ends with %d and one line', (args, status, line) => {
    const run = globalfs(...args);
    const errors = run.stderr.split('\n').filter((text) => text.startsWith('globalfs: '));
    expect(errors).toHaveLength(1);
    expect(errors[0]).toMatch(line);
    expect(run.status).toBe(status);
    expect(run.stdout).toBe('');
  });

  test.each([
    ...['mount', 'umount', 'status', 'info', 'fsck', 'gc', 'doctor', 'mounts', 'leases', 'where', 'stats'],
    ...['site', 'site register', 'site list', 'site show', 'site drain', 'site activate', 'site remove'],
    ...['coordinator', 'coordinator start', 'dev', 'dev up', 'dev down', 'dev status'],
  ])('the help of %s ends with an example', (command) => {
    const run = globalfs(...command.split(' '), '--help');
    expect(run.status).toBe(0);
    expect(run.stdout).toMatch(/Examples?:\n {2}globalfs [^\n]+(\n {2}globalfs [^\n]+)*\n$/);
  });

  test('what lists speaks JSON', () => {
    // An object where a mount on this machine belongs to a cluster.
    const status = JSON.parse(globalfs('status', '-o', 'json').stdout) as unknown[] | { mounts: unknown[] };
    expect(Array.isArray('mounts' in status ? status.mounts : status)).toBe(true);
    const checks = JSON.parse(globalfs('doctor', '--output', 'json').stdout) as { name: string }[];
    expect(checks.map(({ name }) => name)).toContain('addon');
  });
});

test('tables fit their cells, and file names cannot command the terminal', () => {
  expect(
    tableLines(
      ['A', 'LONG'],
      [
        ['wide cell', 'x'],
        ['\u001b[31m', ''],
      ],
    ),
  ).toEqual(['A          LONG', 'wide cell  x', '\\x1b[31m']);
  expect(
    propertyLines([
      ['a', '1'],
      ['bbb', '2'],
    ]),
  ).toEqual(['a    1', 'bbb  2']);
});

test('a suggestion is near, or none', () => {
  expect(suggest('nosiud', ['nosuid', 'suid'])).toBe('nosuid');
  expect(suggest('completely', ['nosuid', 'suid'])).toBeUndefined();
});

test('names keep their bytes from the command line to the mount and back', () => {
  expect(bytesOf('ü')).toBe('\u00c3\u00bc');
  expect(textOf(bytesOf('grün'))).toBe('grün');
  expect(textOf('bad\u00ff')).toBe('bad\\xff');
  expect(argumentBytes('a\uFFFDb', 'node\0main.js\0a\u00ffb\0')).toBe('a\u00ffb');
  expect(argumentBytes('ü')).toBe('\u00c3\u00bc');
});
