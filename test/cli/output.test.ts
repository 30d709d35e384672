import { describe, expect, test } from '@jest/globals';
import { clusterLines, leaseLines, mountLines, siteLines, whereLines } from '../../src/cli/cluster-lines.js';
import { parseOutputFormat, renderLines } from '../../src/cli/output.js';
import { parseWatchMs, redraw } from '../../src/cli/watch.js';
import type { ClusterStatus, LeaseReport, MountReport } from '../../src/coordinator/admin-api.js';
import type { Ino } from '../../src/core/ids.js';

const SITE = {
  spec: {
    name: 'onprem',
    role: 'primary',
    status: 'active',
    store: {
      kind: 's3',
      endpoint: 'http://s3:9000',
      bucket: 'b',
      prefix: 'p/',
      region: 'r',
      pathStyle: true,
    },
  },
  mounts: 2,
  storeReachable: true,
} as const;

const STATUS: ClusterStatus = {
  cluster: 'demo',
  clusterId: 'c0ffee',
  leader: {
    address: '10.0.0.1:7400',
    role: 'leader',
    software: '0.2.0',
    protocol: { min: 1, max: 2 },
    uptimeMs: 61_000,
    behind: 0,
  },
  standbys: [
    {
      address: '10.0.0.2:7400',
      role: 'standby',
      software: '0.1.0',
      protocol: { min: 1, max: 1 },
      uptimeMs: 5000,
      behind: 7,
    },
  ],
  store: {
    kind: 'etcd',
    members: [
      { endpoint: 'http://e1:2379', version: '3.5.16' },
      { endpoint: 'http://e2:2379', error: 'does not answer' },
    ],
    schema: 3,
  },
  sites: [SITE],
  mounts: 2,
  leases: { known: 3, read: 2, write: 1 },
  locks: 4,
  inodes: 99,
  graceLeftMs: 0,
};

const MOUNT: MountReport = {
  session: '12',
  epoch: 3,
  site: 'onprem',
  member: 'node1',
  mountpoint: '/globalfs',
  pid: 4711,
  software: '0.2.0',
  peer: '10.0.0.7:5555',
  state: 'connected',
  connectedMs: 3_600_000,
  expiresInMs: 9000,
  leases: { known: 1, read: 0, write: 0 },
  health: {
    cpuLoad: 0.5,
    freeBytes: 1024,
    storeReachable: false,
    storeLatencyMs: -1,
    cachedBytes: 2048,
    stagedBytes: 0,
    conflicts: 5,
    requests: { READ: 3, OPEN: 4 },
  },
};

const LEASES: LeaseReport[] = [
  {
    ino: 7 as Ino,
    path: '/a b',
    holders: [
      { session: '1', site: 'onprem', member: 'node1', mode: 'write' },
      { session: '2', site: 'cloud', member: 'node9', mode: 'known' },
    ],
    waiting: [{ session: '2', mode: 'read' }],
  },
  { ino: 8 as Ino, path: null, holders: [], waiting: [] },
];

describe('formats', () => {
  test('a name that is none is refused', () => {
    expect(parseOutputFormat('wide')).toBe('wide');
    expect(() => parseOutputFormat('JSON')).toThrow(/use table, wide, json, yaml/);
  });

  test('JSON and YAML say the same', async () => {
    const findings = { value: { a: [1, null], b: undefined, c: 'x: y' }, lines: () => [] };
    expect(JSON.parse((await renderLines('json', findings)).join('\n'))).toEqual({ a: [1, null], c: 'x: y' });
    expect(await renderLines('yaml', findings)).toEqual(['a:', '  - 1', '  - null', 'c: "x: y"']);
  });
});

describe('a cluster', () => {
  test('is told with what is wrong, and in full when wide', () => {
    const text = clusterLines(STATUS, false).join('\n');
    expect(text).toMatch(/^leader +10\.0\.0\.1:7400$/m);
    expect(text).toMatch(/^store +etcd, 1 of 2 endpoints answer$/m);
    expect(text).toMatch(/^leases +1 write, 2 read, 3 known; 4 locks$/m);
    expect(text).toMatch(/^10\.0\.0\.2:7400 +standby +0\.1\.0 +5s +7 revisions$/m);
    // An endpoint that does not answer is named without asking for more.
    expect(text).toMatch(/^http:\/\/e2:2379 +- +does not answer$/m);
    expect(text).not.toContain('c0ffee');
    const wide = clusterLines(STATUS, true).join('\n');
    expect(wide).toContain('c0ffee');
    expect(wide).toMatch(/^10\.0\.0\.1:7400 +leader +0\.2\.0 +1-2 +1m 1s +-$/m);
  });

  test('says that a new leader waits for the mounts of the one before', () => {
    expect(clusterLines({ ...STATUS, graceLeftMs: 4200 }, false).join('\n')).toMatch(
      /waiting +4s for mounts/,
    );
  });

  test('has sites, whose stores are named in one word', () => {
    expect(siteLines([SITE], false)[1]).toMatch(
      /^onprem +primary +active +2 +yes +s3:\/\/b\/p\/ at http:\/\/s3:9000$/,
    );
    expect(siteLines([{ ...SITE, mounts: 0, storeReachable: null }], false)[1]).toMatch(/ 0 +- /);
    expect(siteLines([], false)).toEqual([]);
  });

  test('has mounts, of which nothing is known before their first heartbeat', () => {
    const [head, line] = mountLines([MOUNT], true);
    expect(head).toMatch(/SESSION +EXPIRES IN +PID +PEER/);
    expect(line).toMatch(/unreachable +5 +12\.3 +9s +4711 +10\.0\.0\.7:5555 +0\.50 +1\.0 KiB +7$/);
    expect(mountLines([{ ...MOUNT, health: null }], false)[1]).toMatch(/0 read, 1 known( +-){4}$/);
  });

  test('has leases: one line for each holder, and for each that waits', () => {
    expect(leaseLines(LEASES, false).slice(1)).toEqual([
      '7      write           onprem/node1  /a b',
      '7      known           cloud/node9   /a b',
      '7      waits for read  -             /a b',
    ]);
    expect(leaseLines([], false)).toEqual([]);
  });

  test('has files, of which it is told where they are', () => {
    const where = {
      path: '/f',
      ino: 7 as Ino,
      version: 2,
      size: 5,
      blocks: 1,
      sources: ['onprem', 'cloud'],
      holders: LEASES[0]?.holders ?? [],
    };
    const text = whereLines(where).join('\n');
    expect(text).toMatch(/^replicas +onprem, cloud$/m);
    expect(text).toMatch(/^lease holders +onprem\/node1 \(write\), cloud\/node9 \(known\)$/m);
    expect(whereLines({ ...where, sources: [], size: 0, blocks: 0 }).join('\n')).toMatch(/no content/);
    expect(whereLines({ ...where, sources: [] }).join('\n')).toMatch(/replicas +none yet/);
  });
});

describe('watching', () => {
  test('draws over the picture before, never more than the screen holds', () => {
    const drawn = redraw(['one', 'a line that is too long', 'three', 'four'], { columns: 6, rows: 4 });
    expect(drawn).toBe('\x1b[Hone\x1b[K\na line\x1b[K\n(2 mor\x1b[K\n\x1b[J');
    expect(redraw(['one'], { columns: 80, rows: 24 })).toBe('\x1b[Hone\x1b[K\n\x1b[J');
  });

  test('is every two seconds unless it is said how often', () => {
    expect(parseWatchMs(true)).toBe(2000);
    expect(parseWatchMs('500ms')).toBe(500);
    expect(() => parseWatchMs('0')).toThrow(/--watch/);
  });
});
