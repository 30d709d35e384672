import { describe, expect, test } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LeaderFinder, leaderApi, type AdminConnection } from '../../src/cli/admin-connection.js';
import { clustersOfMounts, namedCluster } from '../../src/cli/cluster.js';
import type { LocalMount } from '../../src/cli/local-mounts.js';
import type { MountStatus } from '../../src/cli/mount-service.js';
import { namespacePath } from '../../src/cli/namespace-path.js';
import { RateMeter } from '../../src/cli/rates.js';
import type { AdminApi } from '../../src/coordinator/admin-api.js';
import { GfsError } from '../../src/core/errors.js';

describe('the cluster of a command', () => {
  test('is what the user says, before what the environment says', async () => {
    const env = { GLOBALFS_COORDINATORS: 'a:1, b:2' };
    expect(await namedCluster({}, env)).toEqual({ coordinators: ['a:1', 'b:2'], tls: undefined });
    expect(await namedCluster({ coordinator: ['c:3'] }, env)).toEqual({
      coordinators: ['c:3'],
      tls: undefined,
    });
    expect(await namedCluster({}, {})).toBeUndefined();
    await expect(namedCluster({ coordinator: ['c'] }, {})).rejects.toThrow(
      /not an address: 'c'; --coordinator/,
    );
    await expect(namedCluster({}, { GLOBALFS_COORDINATORS: 'c' })).rejects.toThrow(/GLOBALFS_COORDINATORS/);
  });

  test('is the one of a globalfs.yaml, with its certificates', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'gfs-cluster-'));
    try {
      for (const name of ['ca', 'c', 'k']) writeFileSync(join(folder, `${name}.pem`), '');
      const file = join(folder, 'globalfs.yaml');
      writeFileSync(file, 'coordinators: [a:1]\nsite: s\ntls: { ca: ca.pem, cert: c.pem, key: k.pem }');
      const tls = { ca: join(folder, 'ca.pem'), cert: join(folder, 'c.pem'), key: join(folder, 'k.pem') };
      expect(await namedCluster({ cluster: file }, {})).toEqual({ coordinators: ['a:1'], tls });
      // The certificates are the file's also when another coordinator is asked.
      expect(await namedCluster({ cluster: file, coordinator: ['b:2'] }, {})).toEqual({
        coordinators: ['b:2'],
        tls,
      });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('are those of the mounts on this machine, or of the one that is meant', () => {
    const member = { tls: null, site: 's', member: 'm', session: '1', connected: true };
    const mount = (mountpoint: string, coordinator?: string): LocalMount => ({
      state: 'serving',
      ...({ mountpoint } as MountStatus),
      ...(coordinator === undefined ? {} : { cluster: { ...member, coordinators: [coordinator] } }),
    });
    const mounts: LocalMount[] = [
      { state: 'stale', mountpoint: '/stale', stateDir: '/x', error: '' },
      mount('/alone'),
      mount('/a', 'a:1'),
      mount('/b', 'b:2'),
    ];
    const found = (mountpoint?: string): string[] =>
      clustersOfMounts([...mounts, mount('/a2', 'a:1')], mountpoint).flatMap(
        ({ coordinators }) => coordinators,
      );
    expect(found()).toEqual(['a:1', 'b:2']);
    expect(found('/b')).toEqual(['b:2']);
    expect(found('/alone')).toEqual([]);
  });
});

/** Coordinators of which `says` tells what each answers to a question about its mounts. */
function coordinators(says: Record<string, () => Promise<string>>) {
  const asked: string[] = [];
  const open = new Set<string>();
  const dial = (address: string): AdminConnection => {
    open.add(address);
    const mounts = () => {
      asked.push(address);
      return says[address]?.() ?? Promise.reject(new GfsError('UNAVAILABLE', `${address} does not answer`));
    };
    return { api: { mounts } as unknown as AdminApi, close: () => open.delete(address) };
  };
  return { asked, open, dial };
}

describe('the leader', () => {
  const standby = (leader?: string) => () =>
    Promise.reject(
      new GfsError('UNAVAILABLE', 'this coordinator is a standby', {
        context: leader === undefined ? {} : { leader },
      }),
    );
  const leads = () => Promise.resolve('the leader');

  test('is found among coordinators that do not lead or are down, and asked first the next time', async () => {
    const rig = coordinators({ 'a:1': standby(), 'c:3': leads });
    const finder = new LeaderFinder(['a:1', 'b:2', 'c:3'], rig.dial);
    const api = leaderApi(finder);
    expect(await api.mounts()).toBe('the leader');
    expect(await api.mounts()).toBe('the leader');
    expect(rig.asked).toEqual(['a:1', 'b:2', 'c:3', 'c:3']);
    finder.close();
    expect(rig.open.size).toBe(0);
  });

  test('may be one that only a standby knows', async () => {
    const rig = coordinators({ 'a:1': standby('z:9'), 'z:9': leads });
    expect(await leaderApi(new LeaderFinder(['a:1', 'b:2'], rig.dial)).mounts()).toBe('the leader');
    expect(rig.asked).toEqual(['a:1', 'z:9']);
  });

  test('is none while two standbys take each other for it: everybody is asked once', async () => {
    const rig = coordinators({ 'a:1': standby('b:2'), 'b:2': standby('a:1') });
    const asking = leaderApi(new LeaderFinder(['a:1', 'c:3'], rig.dial)).mounts();
    await expect(asking).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(asking).rejects.toThrow(/a:1: this .*b:2: this .*c:3 does not answer/);
    expect(rig.asked.sort()).toEqual(['a:1', 'b:2', 'c:3']);
  });

  test("is believed: its 'no' is not asked of others", async () => {
    const rig = coordinators({
      'a:1': () => Promise.reject(new GfsError('ENOENT', 'no such file')),
      'b:2': leads,
    });
    await expect(leaderApi(new LeaderFinder(['a:1', 'b:2'], rig.dial)).mounts()).rejects.toMatchObject({
      code: 'ENOENT',
    });
    expect(rig.asked).toEqual(['a:1']);
  });
});

test('a path that lies in no mount is one of the namespace', async () => {
  expect(await namespacePath('/docs/../a//b/')).toEqual({ path: '/a/b' });
  expect(await namespacePath('/no/such/ü')).toEqual({ path: '/no/such/\u00c3\u00bc' });
  expect(await namespacePath('a/b')).toEqual({ path: '/a/b' });
});

describe('rates', () => {
  const counted = (key: string, atMs: number, READ: number, OPEN = 0) => ({
    key,
    atMs,
    requests: { READ, OPEN },
  });

  test('are what was counted between two looks, per second', () => {
    const meter = new RateMeter();
    expect(meter.update([counted('a', 1000, 500)])).toEqual([{ total: 0, byOpcode: {} }]);
    expect(meter.update([counted('a', 3000, 520, 60)])).toEqual([
      { total: 40, byOpcode: { OPEN: 30, READ: 10 } },
    ]);
  });

  test('hold until there are new counters', () => {
    const meter = new RateMeter();
    meter.update([counted('a', 0, 0)]);
    meter.update([counted('a', 1000, 10)]);
    expect(meter.update([counted('a', 1000, 10)])[0]?.total).toBe(10);
    expect(meter.update([counted('a', 4000, 10)])[0]?.total).toBe(0);
  });

  test('begin anew with another mount, also one that comes back', () => {
    const meter = new RateMeter();
    meter.update([counted('a', 0, 0), counted('b', 0, 0)]);
    meter.update([counted('b', 1000, 5)]);
    expect(meter.update([counted('a', 2000, 100), counted('b', 2000, 5)]).map(({ total }) => total)).toEqual([
      0, 0,
    ]);
  });
});
