import { afterEach, describe, expect, test } from '@jest/globals';
import { type Ino, ROOT_INO } from '../../src/core/index.js';
import type { LockRange, LockRequest } from '../../src/leases/index.js';
import { BLOCK_BYTES, EMPTY_MANIFEST } from '../../src/namespace/index.js';
import { Cluster, SITE, type ScriptedMount, TTL_MS, isOpen } from './scripted-mount.js';
import { turns } from './stepped-clock.js';
import { nameOf } from '../namespace/support.js';

const clusters: Cluster[] = [];
afterEach(() => {
  for (const cluster of clusters.splice(0)) cluster.stop();
});

async function pair(): Promise<{ cluster: Cluster; a: ScriptedMount; b: ScriptedMount }> {
  const cluster = await Cluster.start();
  clusters.push(cluster);
  return { cluster, a: await cluster.mount('a'), b: await cluster.mount('b') };
}

const lock = (type: LockRequest['type'], start = 0, end = 9): LockRequest => ({
  owner: 'o',
  pid: 1,
  type,
  start,
  end,
});
const range = (start = 0, end = 9): LockRange => ({ owner: 'o', pid: 1, type: 'write', start, end });
const file = 7 as Ino;
const posix = { ino: file, family: 'posix' } as const;

describe('file locks', () => {
  test('hold across mounts, though their owners have the same name there', async () => {
    const { a, b } = await pair();
    expect(await a.ask({ op: 'try-lock', ...posix, request: lock('write') })).toMatchObject({
      acquired: true,
    });
    expect(await b.ask({ op: 'try-lock', ...posix, request: lock('read') })).toMatchObject({
      acquired: false,
    });
    const { range: conflict } = await b.ask({ op: 'lock-conflict', ...posix, request: lock('read') });
    expect(conflict).toEqual(range());
    expect(await b.ask({ op: 'try-lock', ...posix, request: lock('write', 10, 20) })).toMatchObject({
      acquired: true,
    });
  });

  test('a waiter gets the lock when the other mount lets go', async () => {
    const { a, b } = await pair();
    await a.ask({ op: 'try-lock', ...posix, request: lock('write') });
    const { answer } = b.send({ op: 'wait-lock', ...posix, request: lock('write') });
    expect(await isOpen(answer)).toBe(true);
    await a.ask({ op: 'try-lock', ...posix, request: lock('unlock') });
    expect(await answer).toEqual({ op: 'wait-lock' });
  });

  test('a waiter that is interrupted does not get it later', async () => {
    const { a, b } = await pair();
    await a.ask({ op: 'try-lock', ...posix, request: lock('write') });
    const { id, answer } = b.send({ op: 'wait-lock', ...posix, request: lock('write') });
    await turns();
    b.say({ kind: 'cancel', id });
    expect(await answer).toMatchObject({ code: 'EINTR' });
    await a.ask({ op: 'try-lock', ...posix, request: lock('unlock') });
    expect(await a.ask({ op: 'try-lock', ...posix, request: lock('write') })).toMatchObject({
      acquired: true,
    });
  });

  test('two mounts that would wait for each other for ever: the second is refused', async () => {
    const { a, b } = await pair();
    await a.ask({ op: 'try-lock', ...posix, request: lock('write', 0, 0) });
    await b.ask({ op: 'try-lock', ...posix, request: lock('write', 1, 1) });
    void a.send({ op: 'wait-lock', ...posix, request: lock('write', 1, 1) });
    await turns();
    expect(await b.errorOf({ op: 'wait-lock', ...posix, request: lock('write', 0, 0) })).toBe('EDEADLK');
  });

  test('die with their session', async () => {
    const { cluster, a, b } = await pair();
    await a.ask({ op: 'try-lock', ...posix, request: lock('write') });
    const { answer } = b.send({ op: 'wait-lock', ...posix, request: lock('write') });
    await turns();
    a.link.cut();
    expect(await isOpen(answer)).toBe(true);
    await cluster.clock.advance(TTL_MS / 2);
    b.say({ kind: 'heartbeat', beat: 1 });
    await turns();
    await cluster.clock.advance(TTL_MS * 0.7);
    expect(await answer).toEqual({ op: 'wait-lock' });
  });

  test('are claimed again after a cut, and nobody gets in between', async () => {
    const { a, b } = await pair();
    await a.ask({ op: 'try-lock', ...posix, request: lock('write') });
    const { answer } = b.send({ op: 'wait-lock', ...posix, request: lock('write') });
    await turns();
    await a.comeBack([], [{ ...posix, range: range() }]);
    expect(await isOpen(answer)).toBe(true);
    await a.comeBack();
    expect(await answer).toEqual({ op: 'wait-lock' });
  });

  test('are claimed again from a new leader', async () => {
    const { cluster, a, b } = await pair();
    await a.ask({ op: 'try-lock', ...posix, request: lock('write') });
    await cluster.failOver();
    await b.comeBack();
    const { answer } = b.send({ op: 'try-lock', ...posix, request: lock('write') });
    await turns();
    await a.comeBack([], [{ ...posix, range: range() }]);
    expect(await answer).toMatchObject({ acquired: false });
  });
});

describe('administration', () => {
  test('status tells mounts, leases, locks and inodes', async () => {
    const { cluster, a } = await pair();
    await a.create('f');
    await a.ask({ op: 'try-lock', ...posix, request: lock('write') });
    expect(await cluster.coordinator.admin.status()).toMatchObject({
      clusterId: 'test',
      leader: { role: 'leader' },
      sites: [{ spec: SITE, mounts: 2, storeReachable: null }],
      mounts: 2,
      leases: { known: 0, read: 1, write: 1 },
      locks: 1,
      inodes: 2,
      graceLeftMs: 0,
    });
    expect(await cluster.coordinator.admin.mounts()).toMatchObject([
      { member: 'a', state: 'connected', leases: { write: 1 } },
      { member: 'b', state: 'connected', leases: { write: 0 } },
    ]);
  });

  test('leases tells who holds and who waits', async () => {
    const { cluster, a, b } = await pair();
    const dir = await a.mkdir('d');
    const ino = await a.create('f', dir);
    a.obliging = false;
    void b.send({ op: 'acquire', ino, mode: 'write' });
    await turns();
    const { admin } = cluster.coordinator;
    const [report] = await admin.leases({ path: '/d/f', limit: 10 });
    expect(report).toMatchObject({
      ino,
      holders: [{ session: a.session, member: 'a', mode: 'write' }],
      waiting: [{ session: b.session, mode: 'write' }],
    });
    const all = await admin.leases({ limit: 10 });
    expect(all.map(({ path }) => path).sort()).toEqual(['/', '/d', '/d/f']);
    expect(await admin.leases({ limit: 1 })).toEqual([report]); // what is contended for comes first
    await expect(admin.leases({ path: '/nothing', limit: 1 })).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('where tells the sites that hold the content', async () => {
    const { cluster, a } = await pair();
    const ino = await a.create('f');
    await a.do({
      kind: 'commit',
      ino,
      baseVersion: 0,
      manifest: EMPTY_MANIFEST,
      size: BLOCK_BYTES,
      allocatedBytes: 0,
      sources: ['here'],
    });
    const { admin } = cluster.coordinator;
    expect(await admin.where('/f')).toMatchObject({ ino, version: 1, blocks: 0, sources: ['here'] });
    await expect(admin.where('/')).rejects.toMatchObject({ code: 'EINVAL' });
  });

  test('a site goes only when nobody mounts from it and no file needs it', async () => {
    const { cluster, a, b } = await pair();
    const { admin } = cluster.coordinator;
    const there = { ...SITE, name: 'there' };
    await admin.registerSite(there);
    await turns();
    expect(a.heardOf('sites').at(-1)?.sites).toHaveLength(2);
    await expect(admin.registerSite({ ...there, role: 'backup' })).rejects.toMatchObject({ code: 'EEXIST' });
    await admin.setSiteStatus('there', 'draining');
    expect((await admin.status()).sites[1]?.spec.status).toBe('draining');
    await expect(admin.removeSite('here')).rejects.toMatchObject({ code: 'EBUSY' });
    const ino = await b.create('f');
    const content = { kind: 'commit', ino, manifest: EMPTY_MANIFEST, size: 0, allocatedBytes: 0 } as const;
    await b.do({ ...content, baseVersion: 0, sources: ['there'] });
    await expect(admin.removeSite('there')).rejects.toMatchObject({ code: 'EBUSY' });
    await b.do({ kind: 'unlink', parent: ROOT_INO, name: nameOf('f') });
    b.say({ kind: 'release', inos: [ino] });
    await turns();
    await admin.removeSite('there');
    await expect(admin.removeSite('there')).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
