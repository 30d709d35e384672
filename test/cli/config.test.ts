import { describe, expect, test } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { isLoopback, isWildcard, parseAddress } from '../../src/cli/config/address.js';
import { loadCoordinatorConfig, parseCoordinatorConfig } from '../../src/cli/config/coordinator-config.js';
import { loadMountConfig, parseMountConfig } from '../../src/cli/config/mount-config.js';
import { readSiteConfig } from '../../src/cli/config/site-config.js';
import { parseYaml, type YamlProblem } from '../../src/cli/config/yaml-document.js';
import { GfsError } from '../../src/core/errors.js';
import { projectDir } from '../support/mounted.js';

const coordinator = (text: string) => parseCoordinatorConfig(parseYaml(text, '/etc/globalfs/c.yaml'));
const mount = (text: string) => parseMountConfig(parseYaml(text, '/etc/globalfs/m.yaml'));

function errorOf(work: () => unknown): GfsError {
  try {
    work();
  } catch (thrown) {
    if (thrown instanceof GfsError) return thrown;
    throw thrown;
  }
  throw new Error('nothing was wrong');
}

const ETCD = 'cluster: c\nstore: { kind: etcd, endpoints: ["http://127.0.0.1:2379"] }\n';

describe('coordinator.yaml', () => {
  test('names a cluster and a store, and the rest is default', () => {
    expect(coordinator('cluster: demo\nstate: state\nstore: { kind: lmdb }')).toEqual({
      cluster: 'demo',
      listen: '127.0.0.1:7400',
      advertise: '127.0.0.1:7400',
      http: undefined,
      stateDir: '/etc/globalfs/state',
      store: { kind: 'lmdb' },
      tls: undefined,
      sessionTtlMs: 10_000,
      cacheInodes: 65_536,
    });
  });

  test('every field is understood; files are relative to it', () => {
    const text = `
cluster: demo-1
listen: 0.0.0.0:7400
advertise: coordinator.example.org:7400
http: "[::1]:7401"
state: /srv/state
store:
  kind: etcd
  endpoints: [https://e1:2379, "https://[fd00::1]:2379"]
  tls: { ca: etcd/ca.pem, cert: ../c.pem, key: /k.pem }
tls: { ca: ca.pem, cert: server.pem, key: server.key }
sessionTtl: 30
cacheInodes: 5000`;
    expect(coordinator(text)).toEqual({
      cluster: 'demo-1',
      listen: '0.0.0.0:7400',
      advertise: 'coordinator.example.org:7400',
      http: '[::1]:7401',
      stateDir: '/srv/state',
      store: {
        kind: 'etcd',
        endpoints: ['https://e1:2379', 'https://[fd00::1]:2379'],
        tls: { ca: '/etc/globalfs/etcd/ca.pem', cert: '/etc/c.pem', key: '/k.pem' },
      },
      tls: {
        ca: '/etc/globalfs/ca.pem',
        cert: '/etc/globalfs/server.pem',
        key: '/etc/globalfs/server.key',
      },
      sessionTtlMs: 30_000,
      cacheInodes: 5000,
    });
  });

  test.each([
    ['', /1:1: the file is empty/],
    ['store: { kind: lmdb }', /'cluster' is missing/],
    ['cluster: c', /'store' is missing/],
    ['cluster: C\nstore: { kind: lmdb }', /:1:10: 'cluster': use up to 63/],
    ['cluster: c\nstore: { kind: etc }', /:2:16: .*did you mean 'etcd'/],
    ['cluster: c\nstore: { kind: etcd }', /'store.endpoints' is missing/],
    ['cluster: c\nstore: { kind: etcd, endpoints: [] }', /name at least one endpoint/],
    ['cluster: c\nstore: { kind: etcd, endpoints: [e1] }', /:2:34: .*'http:\/\/host:2379'/],
    ['cluster: c\nstore: { kind: lmdb, endpoints: [] }', /unknown key 'endpoints'/],
    [`${ETCD}sesionTtl: 5s`, /:3:1: unknown key 'sesionTtl'; did you mean 'sessionTtl'/],
    [`${ETCD}sessionTtl: soon`, /:3:13: .*not a duration: 'soon'; write it like/],
    [`${ETCD}sessionTtl: 100ms`, /use 1s to 600s/],
    [`${ETCD}cacheInodes: 3`, /:3:14: 'cacheInodes'/],
    [`${ETCD}listen: 7400`, /not an address: '7400'; write it as 'host:port'/],
    [`${ETCD}listen: 0.0.0.0:7400`, /add 'advertise: HOST:PORT'/],
    [`${ETCD}advertise: "[::]:7400"`, /nobody can connect to \[::\]:7400/],
    [`${ETCD}tls: { ca: a, cert: b }`, /'tls.key' is missing/],
    [
      'cluster: c\nstore: { kind: etcd, endpoints: ["http://e:1"], tls: { ca: a, cert: b, key: c } }',
      /:2:34: certificates are configured/,
    ],
    ['cluster: c\n store: x', /:1:10: /],
    ['cluster: c\ncluster: d', /:2:1: .*unique/],
  ])('%j is refused, with the place', (text, message) => {
    const error = errorOf(() => coordinator(text));
    expect(error.code).toBe('CONFIG');
    expect(error.message).toMatch(message);
    expect(error.message).toContain('/etc/globalfs/c.yaml:');
  });

  test('all that is wrong is told at once, each below its line', () => {
    const error = errorOf(() => coordinator('cluster: c\nstore: { kind: lmdb }\nsessionTtl: x\nhtpt: 1'));
    const problems = error.context.problems as YamlProblem[];
    expect(problems.map(({ line, column }) => [line, column])).toEqual([
      [3, 13],
      [4, 1],
    ]);
    expect(problems[1]?.excerpt).toBe('4 | htpt: 1\n  | ^^^^');
  });
});

describe('globalfs.yaml', () => {
  test('names coordinators and a site, and the rest is default', () => {
    expect(mount('coordinators: [127.0.0.1:7400]\nsite: onprem')).toEqual({
      coordinators: ['127.0.0.1:7400'],
      site: 'onprem',
      member: hostname(),
      cacheSize: undefined,
      tls: undefined,
      unreachable: { kind: 'wait' },
      storeUnreachable: { kind: 'wait' },
    });
  });

  test('every field is understood', () => {
    const text = `
coordinators: [a:1, b:2]
site: cloud
member: node1
cacheSize: 20G
tls: { ca: ca.pem, cert: c.pem, key: k.pem }
unreachable: 30s
storeUnreachable: 2m
consistency: strict`;
    expect(mount(text)).toEqual({
      coordinators: ['a:1', 'b:2'],
      site: 'cloud',
      member: 'node1',
      cacheSize: { kind: 'bytes', bytes: 20 * 1024 ** 3 },
      tls: { ca: '/etc/globalfs/ca.pem', cert: '/etc/globalfs/c.pem', key: '/etc/globalfs/k.pem' },
      unreachable: { kind: 'fail', afterMs: 30_000 },
      storeUnreachable: { kind: 'fail', afterMs: 120_000 },
    });
  });

  const HEAD = 'coordinators: [a:1]\nsite: s\n';
  test.each([
    ['site: s', /'coordinators' is missing/],
    ['coordinators: []\nsite: s', /name at least one coordinator/],
    ['coordinators: a:1\nsite: s', /'coordinators' must be a list/],
    ['coordinators: [a]\nsite: s', /:1:16: .*not an address: 'a'/],
    [`${HEAD}consistency: eventual`, /'consistency' cannot be "eventual"; use strict/],
    [`${HEAD}unreachable: never`, /not a duration: 'never'; 'wait', or a time/],
    [`${HEAD}unreachable: 10ms`, /use 'wait', or a time from 1s/],
    [`${HEAD}cacheSize: 120%`, /not a share of the disk/],
    [`${HEAD}cachesize: 1G`, /did you mean 'cacheSize'/],
    [`${HEAD}member: "a b"`, /use a host name/],
  ])('%j is refused', (text, message) => {
    expect(() => mount(text)).toThrow(message);
  });

  test('files that cannot be read are told where they are named', () => {
    const folder = mkdtempSync(join(tmpdir(), 'gfs-config-'));
    try {
      const file = join(folder, 'globalfs.yaml');
      expect(errorOf(() => loadMountConfig(file))).toMatchObject({ code: 'ENOENT' });
      writeFileSync(join(folder, 'ca.pem'), '');
      writeFileSync(file, `${HEAD}tls: { ca: ca.pem, cert: c.pem, key: k.pem }`);
      expect(errorOf(() => loadMountConfig(file)).message).toMatch(
        /:3:26: there is no file .*c\.pem;.*:3:38: there is no file .*k\.pem/,
      );
      writeFileSync(file, 'cluster: c\nstore: { kind: memory }\ntls: { ca: a, cert: b, key: c }');
      expect(errorOf(() => loadCoordinatorConfig(file)).message).toMatch(/3:12.*3:21.*3:29/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

test('the examples are right, and say the defaults', async () => {
  const read = loadCoordinatorConfig(join(projectDir, 'examples/coordinator.yaml'));
  expect(read).toMatchObject({ cluster: 'demo', store: { kind: 'etcd' }, sessionTtlMs: 10_000 });
  expect(loadMountConfig(join(projectDir, 'examples/globalfs.yaml'))).toMatchObject({
    site: 'onprem',
    coordinators: ['127.0.0.1:7400', '127.0.0.1:7410'],
  });
  expect(await readSiteConfig(join(projectDir, 'examples/site-s3.yaml'), 'onprem')).toMatchObject({
    name: 'onprem',
    role: 'primary',
    store: { kind: 's3', bucket: 'globalfs', prefix: '', pathStyle: true },
  });
  expect(await readSiteConfig(join(projectDir, 'examples/site-directory.yaml'), 'lab')).toEqual({
    name: 'lab',
    role: 'primary',
    status: 'active',
    store: { kind: 'directory', path: '/srv/globalfs-store' },
  });
});

describe('addresses', () => {
  test.each([
    ['127.0.0.1:7400', '127.0.0.1', 7400],
    ['host-1.example.org:1', 'host-1.example.org', 1],
    ['[::1]:65535', '::1', 65_535],
  ])('%s', (text, host, port) => {
    expect(parseAddress(text)).toEqual({ host, port, text });
  });

  test.each(['', 'host', ':7400', 'host:', 'host:0', 'host:65536', '::1:7400', '[host]:1', 'http://host:1'])(
    "'%s' is none",
    (text) => {
      expect(() => parseAddress(text)).toThrow(/not an address/);
    },
  );

  test('loopback is for this machine only', () => {
    const loopback = (text: string): boolean => isLoopback(parseAddress(text));
    expect(['127.0.0.1:1', '127.9.9.9:1', '[::1]:1', 'localhost:1'].map(loopback)).not.toContain(false);
    expect(['10.0.0.1:1', '0.0.0.0:1', '[::]:1', 'host:1', 'localhost.org:1'].map(loopback)).not.toContain(
      true,
    );
    expect(['0.0.0.0:1', '[::]:1', '[0:0::0]:1'].map((text) => isWildcard(parseAddress(text)))).not.toContain(
      false,
    );
  });
});
