import { describe, expect, test } from '@jest/globals';
import { atLeast, diagnose, kernelVersion, type Facts } from '../../src/cli/doctor-checks.js';
import { gatherFacts, hasSysAdmin, openFilesMax } from '../../src/cli/doctor-facts.js';

const GOOD: Facts = {
  nodeVersion: 'v20.20.2',
  addonError: null,
  kernelRelease: '6.12.1-amd64',
  fuseDevice: 'usable',
  uid: 0,
  sysAdmin: true,
  fusermount: { path: '/usr/bin/fusermount3', setuid: true },
  userAllowOther: false,
  state: {
    path: '/var/lib/globalfs',
    writable: true,
    exists: true,
    fsType: 'xfs',
    freeBytes: 2 ** 40,
    totalBytes: 2 ** 41,
    freeInodes: 1_000_000,
    reflink: true,
    hardLink: true,
  },
  openFilesMax: 1_048_576,
  staleMounts: [],
};

const verdicts = (facts: Facts) =>
  Object.fromEntries(
    diagnose(facts)
      .filter(({ verdict }) => verdict !== 'ok')
      .map(({ name, verdict }) => [name, verdict]),
  );

describe('diagnose', () => {
  test('has nothing to say against a machine that has everything', () => {
    expect(verdicts(GOOD)).toEqual({});
  });

  test.each<[string, Partial<Facts>, Record<string, string>]>([
    ['Node 18', { nodeVersion: 'v18.19.0' }, { node: 'fail' }],
    ['no addon', { addonError: 'Cannot find module' }, { addon: 'fail' }],
    ['Linux 5.3', { kernelRelease: '5.3.0' }, { kernel: 'fail', passthrough: 'warn' }],
    ['Debian 12 kernel', { kernelRelease: '6.1.0-18-amd64' }, { passthrough: 'warn' }],
    ['no /dev/fuse', { fuseDevice: 'missing' }, { '/dev/fuse': 'fail' }],
    ['closed /dev/fuse', { fuseDevice: 'denied' }, { '/dev/fuse': 'fail' }],
    ['a container', { sysAdmin: false }, { privileges: 'fail', passthrough: 'warn' }],
    ['a user', { uid: 1000, sysAdmin: false }, { passthrough: 'warn' }],
    [
      'no fuse3',
      { uid: 1000, sysAdmin: false, fusermount: null },
      { passthrough: 'warn', fusermount3: 'fail' },
    ],
    ['a read-only disk', { state: { ...GOOD.state, writable: false } }, { 'state directory': 'fail' }],
    ['a full disk', { state: { ...GOOD.state, freeBytes: 2 ** 20 } }, { 'disk space': 'warn' }],
    ['no inodes', { state: { ...GOOD.state, freeInodes: 12 } }, { 'disk space': 'warn' }],
    ['vfat', { state: { ...GOOD.state, reflink: false, hardLink: false } }, { 'shared blocks': 'warn' }],
    ['few files', { openFilesMax: 1024 }, { 'open files': 'warn' }],
    ['a crash', { staleMounts: ['/globalfs'] }, { 'stale mounts': 'warn' }],
  ])('%s is seen', (_, change, expected) => {
    const facts = { ...GOOD, ...change };
    expect(verdicts(facts)).toEqual(expected);
    for (const found of diagnose(facts)) expect(found.advice !== '').toBe(found.verdict !== 'ok');
  });
});

test('versions are compared as numbers', () => {
  expect(kernelVersion('6.18.44-fc')).toEqual([6, 18]);
  expect(kernelVersion('unknown')).toEqual([0, 0]);
  expect(atLeast('6.18.1', 6, 9)).toBe(true);
  expect(atLeast('5.10.0', 6, 9)).toBe(false);
});

test('capabilities and limits are read from the texts of /proc', () => {
  expect(hasSysAdmin('Name:\tx\nCapEff:\t000001ffffffffff\n')).toBe(true);
  expect(hasSysAdmin('CapEff:\t00000000a80425fb\n')).toBe(false); // Docker's default set
  expect(hasSysAdmin('')).toBe(false);
  expect(
    openFilesMax(
      'Limit Soft Hard Units\nMax open files            1024                 524288               files\n',
    ),
  ).toBe(524288);
});

test('facts can be gathered on any machine, also for a state directory that is not there', async () => {
  const facts = await gatherFacts('/nonexistent/globalfs/state');
  expect(facts.state).toMatchObject({ exists: false, reflink: null });
  expect(facts.nodeVersion).toBe(process.version);
  expect(diagnose(facts).length).toBeGreaterThan(8);
});
