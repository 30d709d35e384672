import { describe, expect, test } from '@jest/globals';
import { toGfsError } from '../../src/core/errors.js';
import { parseMountOptions } from '../../src/cli/mount-options.js';
import { configFileOf, planMount, type MountFlags } from '../../src/cli/mount-plan.js';

function codeOf(work: () => unknown): string | undefined {
  try {
    work();
  } catch (thrown) {
    return toGfsError(thrown).code;
  }
  return undefined;
}

describe('parseMountOptions', () => {
  test('a typical line of fstab says nothing that is not default', () => {
    expect(parseMountOptions(['defaults,_netdev,nofail,noauto,user,rw,x-systemd.automount'])).toEqual({
      readOnly: false,
      kernelOptions: [],
    });
  });

  test('every option of ours is understood', () => {
    const list =
      'ro,allow_other,nopassthrough,locks=shared,state=/a b,config=/c,cache_size=10%,flush_interval=2s,noatime,nosuid';
    expect(parseMountOptions([list])).toEqual({
      readOnly: true,
      allowOther: true,
      passthrough: false,
      locks: 'shared',
      stateDir: '/a b',
      config: '/c',
      cacheSize: { kind: 'percent', percent: 10 },
      flushIntervalMs: 2000,
      kernelOptions: ['noatime', 'nosuid'],
    });
  });

  test('a later word takes back an earlier one, across several -o', () => {
    expect(parseMountOptions(['nosuid,nodev,noexec,ro', 'suid,dev,rw']).kernelOptions).toEqual(['noexec']);
    expect(parseMountOptions(['nosuid,nosuid,suid,nosuid']).kernelOptions).toEqual(['nosuid']);
    expect(parseMountOptions(['noatime,relatime']).kernelOptions).toEqual([]);
    expect(parseMountOptions(['ro', 'rw']).readOnly).toBe(false);
  });

  test.each([
    ['nosiud', /did you mean 'nosuid'/],
    ['passthru', /did you mean 'passthrough'/],
    ['cachesize=1G', /did you mean 'cache_size='/],
    ['wsize=4096', /--help/],
    ['locks=nfs', /'kernel' or 'shared'/],
    ['state=', /state=DIR/],
    ['remount', /unmount it/],
    ['__proto__', /unknown mount option/],
    ['toString', /unknown mount option/],
  ])('%s is refused with a way out', (word, hint) => {
    expect(() => parseMountOptions([word])).toThrow(hint);
    expect(codeOf(() => parseMountOptions([word]))).toBe('CONFIG');
  });
});

describe('planMount', () => {
  const root = { uid: 0, env: {}, stderrIsTerminal: false };
  const plan = (flags: Partial<MountFlags>, mountpoint?: string, user = root) =>
    planMount(mountpoint, { option: [], ...flags }, user);

  test('root without any word gets /globalfs on /var/lib/globalfs, for all users, in the background', () => {
    expect(plan({})).toEqual({
      mountpoint: '/globalfs',
      stateDir: '/var/lib/globalfs',
      cacheSize: undefined,
      readOnly: false,
      allowOther: true,
      passthrough: true,
      locks: 'kernel',
      flushIntervalMs: 5000,
      kernelOptions: [],
      foreground: false,
      logFile: '/var/lib/globalfs/globalfs.log',
      logLevel: 'info',
    });
  });

  describe('in a cluster', () => {
    const cluster = {
      coordinators: ['127.0.0.1:7400'],
      site: 'onprem',
      member: 'node1',
      tls: undefined,
      unreachable: { kind: 'wait' },
      storeUnreachable: { kind: 'fail', afterMs: 60_000 },
    } as const;
    const config = { ...cluster, cacheSize: { kind: 'bytes', bytes: 1 } } as const;
    const planned = (flags: Partial<MountFlags>) => planMount('/m', { option: [], ...flags }, root, config);

    test('locks hold on all machines, and the configuration gives the cache its bound', () => {
      const { cluster: given, locks, cacheSize } = planned({});
      expect({ given, locks, cacheSize }).toEqual({
        given: cluster,
        locks: 'shared',
        cacheSize: config.cacheSize,
      });
    });

    test('words of the command line win over the configuration', () => {
      expect(planned({ option: ['locks=kernel,cache_size=5%'] })).toMatchObject({
        locks: 'kernel',
        cacheSize: { kind: 'percent', percent: 5 },
      });
      expect(planned({ cacheSize: '7%' }).cacheSize).toEqual({ kind: 'percent', percent: 7 });
    });

    test('the file is named by --config, or in fstab', () => {
      expect(configFileOf({ option: [] })).toBeUndefined();
      expect(configFileOf({ option: ['config=/a'] })).toBe('/a');
      expect(configFileOf({ option: ['config=/a'], config: '/b' })).toBe('/b');
    });
  });

  test('read-only is told to the kernel too', () => {
    expect(plan({ option: ['noatime,ro'] })).toMatchObject({
      readOnly: true,
      kernelOptions: ['ro', 'noatime'],
    });
  });

  test("a user's state is where XDG says, and the mount is theirs alone", () => {
    const user = { uid: 1000, env: { XDG_DATA_HOME: '/home/u/data' }, stderrIsTerminal: true };
    expect(plan({ foreground: true }, '/home/u/m', user)).toMatchObject({
      stateDir: '/home/u/data/globalfs',
      allowOther: false,
      logFile: undefined,
      logLevel: 'warn',
    });
    const relative = { ...user, env: { XDG_DATA_HOME: 'data', HOME: '/home/u' } };
    expect(plan({}, '/m', relative).stateDir).toMatch(/^\/.*\/\.local\/share\/globalfs$/);
  });

  test('an option on its own wins over its word in -o', () => {
    const flags = { option: ['state=/a,cache_size=1G,flush_interval=1s'] };
    expect(plan(flags, '/m')).toMatchObject({
      stateDir: '/a',
      cacheSize: { kind: 'bytes', bytes: 1024 ** 3 },
      flushIntervalMs: 1000,
    });
    expect(plan({ ...flags, state: '/b', cacheSize: '5%', flushInterval: '3s' }, '/m')).toMatchObject({
      stateDir: '/b',
      cacheSize: { kind: 'percent', percent: 5 },
      flushIntervalMs: 3000,
    });
  });

  test.each([
    [{ state: '/m/state' }, /state cannot lie inside/],
    [{ state: '/m' }, /state cannot lie inside/],
    [{ logFile: '/m/log' }, /log cannot lie inside/],
    [{ logLevel: 'loud' }, /error, warn, info, debug/],
    [{ flushInterval: '0' }, /too short/],
  ])('%j is refused', (flags, message) => {
    expect(() => plan(flags, '/m')).toThrow(message);
  });
});
