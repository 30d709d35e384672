import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { AdminApi } from '../../src/coordinator/admin-api.js';
import {
  type CoordinatorService,
  type CoordinatorStore,
  startCoordinator,
} from '../../src/coordinator/coordinator-service.js';
import { EtcdKeys } from '../../src/coordinator/etcd/etcd-keys.js';
import { AdminClient, GrpcDialer } from '../../src/coordinator/grpc/index.js';
import { RemoteClient } from '../../src/coordinator/remote-client.js';
import { type Ino, ROOT_INO, parseName, silentLogger, systemClock, timeNs } from '../../src/core/index.js';
import { S_IFREG } from '../../src/namespace/index.js';
import { EtcdRig, until } from './etcd-rig.js';
import { SITE } from './scripted-mount.js';
import { SimpleHost } from './simple-host.js';

let directory: string;
const services: CoordinatorService[] = [];
const ends: (() => Promise<void> | void)[] = [];

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'globalfs-service-'));
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  for (const service of services.splice(0)) await service.stop();
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

async function start(
  name: string,
  store: CoordinatorStore,
  more: { http?: string } = {},
): Promise<CoordinatorService> {
  const service = await startCoordinator({
    cluster: 'demo',
    listen: '127.0.0.1:0',
    stateDir: join(directory, name),
    store,
    sessionTtlMs: 5000,
    cacheInodes: 4096,
    software: 'test',
    logger: silentLogger,
    ...more,
  });
  services.push(service);
  return service;
}

function adminOf(address: string): AdminApi {
  const client = new AdminClient({ address });
  ends.push(() => client.close());
  return client.api;
}

async function mount(member: string, addresses: readonly string[]): Promise<RemoteClient> {
  const client = new RemoteClient({
    dialer: new GrpcDialer({ logger: silentLogger }),
    addresses,
    facts: { software: 'test', site: SITE.name, member, mountpoint: '/globalfs', pid: 1 },
    clock: systemClock,
    logger: silentLogger,
    unreachable: { kind: 'wait' },
  });
  client.serve(new SimpleHost());
  await client.start(AbortSignal.timeout(60_000));
  ends.push(() => client.stop());
  return client;
}

async function create(client: RemoteClient, name: string): Promise<Ino> {
  const ino = await client.nextIno();
  const caller = { uid: 0, gid: 0 };
  const entry = { parent: ROOT_INO, name: parseName(name), ino, caller, timeNs: timeNs(1n) };
  const { inode } = await client.execute({ kind: 'create', ...entry, mode: S_IFREG | 0o644, umask: 0 });
  return inode.ino;
}

describe('a coordinator on a store of its own', () => {
  test('serves mounts by gRPC, and goes on where it was after a restart', async () => {
    const first = await start('lmdb', { kind: 'lmdb' });
    await adminOf(first.address).registerSite(SITE);
    const [a, b] = [await mount('a', [first.address]), await mount('b', [first.address])];
    const ino = await create(a, 'f');
    expect((await b.lookup(ROOT_INO, parseName('f')))?.ino).toBe(ino);
    expect((await adminOf(first.address).status()).store).toMatchObject({ kind: 'lmdb', members: [] });
    for (const client of [a, b]) await client.stop();
    const admin = adminOf(first.address);
    await until(async () => (await admin.mounts()).length === 0);
    await first.stop();

    const second = await start('lmdb', { kind: 'lmdb' });
    const c = await mount('c', [second.address]);
    expect((await c.lookup(ROOT_INO, parseName('f')))?.ino).toBe(ino);
  });

  test('says that it is ready', async () => {
    const { HealthServer } = await import('../../src/coordinator/health-server.js');
    let ready = false;
    const server = await HealthServer.listen('127.0.0.1:0', () => ({ ready, state: 'standby, loading' }));
    ends.push(() => server.close());
    const ask = async (path: string): Promise<[number, string]> => {
      const response = await fetch(`http://127.0.0.1:${server.port}${path}`);
      return [response.status, await response.text()];
    };
    expect(await ask('/readyz')).toEqual([503, 'standby, loading\n']);
    ready = true;
    expect([await ask('/readyz'), await ask('/healthz')]).toEqual([
      [200, 'standby, loading\n'],
      [200, 'ok\n'],
    ]);
    expect((await ask('/'))[0]).toBe(404);
  });

  test('two on one state directory: the second one is refused', async () => {
    await start('one', { kind: 'lmdb' });
    await expect(start('one', { kind: 'lmdb' })).rejects.toMatchObject({ code: 'EBUSY' });
  });
});

describe('coordinators on etcd', () => {
  let rig: EtcdRig;
  beforeAll(async () => {
    rig = await EtcdRig.start();
  });
  afterAll(() => rig.stop());

  const leaderOf = async (candidates: readonly CoordinatorService[]): Promise<CoordinatorService> => {
    await until(() => candidates.some(({ role }) => role === 'leader'));
    return candidates.find(({ role }) => role === 'leader') as CoordinatorService;
  };

  test('one leads, the other sends mounts there; when the leader stops, the mounts go on at the other', async () => {
    const store: CoordinatorStore = { kind: 'etcd', endpoints: rig.server.endpoints };
    const first = await start('etcd-1', store);
    await until(() => first.role === 'leader');
    const second = await start('etcd-2', store);
    await until(async () => {
      const { code, context } = (await adminOf(second.address)
        .status()
        .catch((error: unknown) => error)) as { code: string; context: object };
      return code === 'UNAVAILABLE' && (context as { leader?: string }).leader === first.address;
    });
    await adminOf(first.address).registerSite(SITE);
    await until(async () => (await adminOf(first.address).status()).standbys.length === 1);
    const status = await adminOf(first.address).status();
    expect(status.standbys).toMatchObject([{ address: second.address, role: 'standby' }]);
    expect(status.store).toMatchObject({ kind: 'etcd', members: [{ version: expect.any(String) }] });

    const [a, b] = [
      await mount('a', [second.address, first.address]),
      await mount('b', [first.address, second.address]),
    ];
    const ino = await create(a, 'f');
    expect((await b.lookup(ROOT_INO, parseName('f')))?.ino).toBe(ino);

    await first.stop();
    const made = await create(b, 'g'); // waits for the new leader, and for the other mount
    expect((await a.lookup(ROOT_INO, parseName('g')))?.ino).toBe(made);
    expect(second.role).toBe('leader');
    expect((await adminOf(second.address).mounts()).map(({ member }) => member).sort()).toEqual(['a', 'b']);
  });

  test('a leader that is deposed stands by, and can lead again', async () => {
    const store: CoordinatorStore = { kind: 'etcd', endpoints: rig.server.endpoints };
    const both = [await start('etcd-1', store), await start('etcd-3', store)];
    const before = await leaderOf(both);
    const client = await mount(
      'a',
      [...both].map(({ address }) => address),
    );
    const client2 = rig.client();
    for (let round = 0; round < 2; round++) {
      const { leader } = new EtcdKeys('demo');
      await client2.transaction({ compare: [], writes: [{ delete: leader }], otherwiseGet: [] });
      await create(client, `deposed-${round}`);
      await leaderOf(both);
    }
    expect(before.address).toBeTruthy();
    const names = (await client.readDirectory(ROOT_INO, '', 100)).map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(['deposed-0', 'deposed-1']));
  });
});
