import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { type Ino, ROOT_INO } from '../../src/core/index.js';
import { Coordinator } from '../../src/coordinator/coordinator.js';
import { LmdbStore } from '../../src/coordinator/lmdb-store.js';
import { refuseAsStandby, standbyAdmin } from '../../src/coordinator/standby.js';
import type { Request } from '../../src/coordinator/wire/index.js';
import { EMPTY_MANIFEST, type KvStore, MemoryStore, S_IFREG } from '../../src/namespace/index.js';
import { HoldingStore } from './holding-store.js';
import { ADDRESS, Cluster, SITE, ScriptedMount, TTL_MS, isOpen } from './scripted-mount.js';
import { turns } from './stepped-clock.js';
import { nameOf } from '../namespace/support.js';

const clusters: Cluster[] = [];
afterEach(() => {
  for (const cluster of clusters.splice(0)) cluster.stop();
});

async function start(kv?: KvStore): Promise<Cluster> {
  const cluster = await Cluster.start(kv);
  clusters.push(cluster);
  return cluster;
}

const commit = (ino: Ino, baseVersion: number, size: number) =>
  ({ kind: 'commit', ino, baseVersion, manifest: EMPTY_MANIFEST, size, allocatedBytes: size }) as const;

describe('hello', () => {
  test('a mount of another protocol is told which side to upgrade', async () => {
    const cluster = await start();
    const old = new ScriptedMount(cluster.network.link('old'), 'old');
    expect(await old.hello({ protocolMin: 0, protocolMax: 0 })).toMatchObject({
      kind: 'refused',
      code: 'CONFIG',
      message: expect.stringMatching(/upgrade the mount/),
    });
    const young = new ScriptedMount(cluster.network.link('young'), 'young');
    expect(await young.hello({ protocolMin: 7, protocolMax: 9 })).toMatchObject({
      kind: 'refused',
      message: expect.stringMatching(/upgrade the coordinator/),
    });
    await turns();
    expect(young.closed).toBe(true);
  });

  test('the newest protocol that both speak is used', async () => {
    const cluster = await start();
    const mount = new ScriptedMount(cluster.network.link('m'), 'm');
    expect(await mount.hello({ protocolMin: 0, protocolMax: 5 })).toMatchObject({ protocol: 1 });
  });

  test('a mount of a site that nobody has registered is refused', async () => {
    const cluster = await start();
    const mount = new ScriptedMount(cluster.network.link('m'), 'm');
    expect(await mount.hello({ site: 'nowhere' })).toMatchObject({ kind: 'refused', code: 'CONFIG' });
  });

  test('a session is stored before its mount is welcomed', async () => {
    const kv = new HoldingStore();
    const cluster = await start(kv);
    kv.holding = true;
    const mount = new ScriptedMount(cluster.network.link('m'), 'm');
    const welcome = mount.hello();
    expect(await isOpen(welcome)).toBe(true);
    kv.letGo();
    expect(await welcome).toMatchObject({ kind: 'welcome', resumed: false, sites: [SITE] });
  });

  test('whoever does not begin with hello is cut off', async () => {
    const cluster = await start();
    const heard: string[] = [];
    let closed = false;
    const stream = cluster.network.link('x').connect(ADDRESS, {
      message: ({ kind }) => heard.push(kind),
      closed: () => (closed = true),
    });
    stream.send({ kind: 'heartbeat', beat: 1 });
    await turns();
    expect([heard, closed]).toEqual([['refused'], true]);
  });

  test('a standby sends mounts and administrators to the leader', async () => {
    const cluster = await start();
    cluster.network.listen('standby:7400', (stream) => refuseAsStandby(stream, () => ADDRESS));
    const heard: unknown[] = [];
    const stream = cluster.network.link('x').connect('standby:7400', {
      message: (message) => heard.push(message),
      closed: () => undefined,
    });
    stream.send({
      kind: 'hello',
      protocolMin: 1,
      protocolMax: 1,
      software: 'test',
      site: 'here',
      member: 'x',
      mountpoint: '/globalfs',
      pid: 1,
      claims: [],
      locks: [],
      answeredBelow: 0,
      connection: 1,
    });
    await turns();
    expect(heard).toMatchObject([{ kind: 'refused', code: 'UNAVAILABLE', leader: ADDRESS }]);
    await expect(standbyAdmin(() => ADDRESS).status()).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      context: { leader: ADDRESS },
    });
  });
});

describe('a session', () => {
  test('lives by its heartbeats, and ends without them', async () => {
    const cluster = await start();
    const a = await cluster.mount('a');
    for (let beat = 0; beat < 5; beat++) {
      a.say({ kind: 'heartbeat', beat });
      await turns();
      await cluster.clock.advance(TTL_MS - 1000);
    }
    expect(a.heardOf('heartbeat')).toHaveLength(5);
    expect(a.closed).toBe(false);
    await cluster.clock.advance(3000);
    expect(a.closed).toBe(true);
    expect(await cluster.coordinator.admin.mounts()).toEqual([]);
  });

  test('that has expired is fenced: its epoch is refused, and it gets a new one that holds nothing', async () => {
    const cluster = await start();
    const [a, b] = [await cluster.mount('a'), await cluster.mount('b')];
    const ino = await a.create('f');
    const before = a.welcome?.session;
    a.link.stall();
    for (let i = 0; i < 12; i++) {
      b.say({ kind: 'heartbeat', beat: i });
      await turns();
      await cluster.clock.advance(1000);
    }
    await b.ask({ op: 'acquire', ino, mode: 'write' });
    a.link.resume();
    await turns();
    // What it says on the old stream is not heard any more.
    void a.send(a.command(commit(ino, 0, 66)));
    await turns();
    expect((await b.ask({ op: 'inode', ino })).inode?.record.version).toBe(0);
    const again = await a.hello({ claims: [{ ino, mode: 'write' }] });
    expect(again).toMatchObject({ kind: 'welcome', resumed: false });
    expect(a.welcome?.session.id).not.toBe(before?.id);
    expect(a.welcome?.session.epoch).toBe((before?.epoch ?? 0) + 1);
    expect(await a.errorOf(a.command(commit(ino, 0, 66)))).toBe('ESTALE');
  });

  test('comes back with what it claims; everything else lapses', async () => {
    const cluster = await start();
    const [a, b] = [await cluster.mount('a'), await cluster.mount('b')];
    const [f, g] = [await a.create('f'), await a.create('g')];
    expect(await a.comeBack([{ ino: f, mode: 'write' }])).toMatchObject({ resumed: true });
    expect((await b.lookup('f')).inode).toMatchObject({ volatile: true });
    expect((await b.lookup('g')).inode).toMatchObject({ volatile: false, leased: true });
    expect(g).not.toBe(f);
  });

  test('that comes back while the old stream still seems alive takes its place', async () => {
    const cluster = await start();
    const a = await cluster.mount('a');
    const { id } = a.welcome?.session ?? { id: '' };
    expect(await a.hello()).toMatchObject({ resumed: true, session: { id } });
    await a.create('f');
    expect(await cluster.coordinator.admin.mounts()).toMatchObject([{ session: id, state: 'connected' }]);
  });

  test('a recall that the holder did not hear is sent again when it comes back', async () => {
    const cluster = await start();
    const [a, b] = [await cluster.mount('a'), await cluster.mount('b')];
    const ino = await a.create('f');
    a.link.stall();
    const { answer } = b.send({ op: 'acquire', ino, mode: 'write' });
    expect(await isOpen(answer)).toBe(true);
    a.link.cut();
    a.link.resume();
    await a.comeBack([{ ino, mode: 'write' }]);
    await turns();
    expect(a.heardOf('recall')).toMatchObject([{ ino, to: 'known' }]);
    expect(await answer).toMatchObject({ op: 'acquire' });
  });

  test('that ends in order frees what it held at once', async () => {
    const cluster = await start();
    const [a, b] = [await cluster.mount('a'), await cluster.mount('b')];
    const ino = await a.create('f');
    a.obliging = false;
    const { answer } = b.send({ op: 'acquire', ino, mode: 'write' });
    await turns();
    a.say({ kind: 'goodbye' });
    expect(await answer).toMatchObject({ op: 'acquire' });
  });

  test('what it held is free only when its end is stored', async () => {
    const kv = new HoldingStore();
    const cluster = await start(kv);
    const [a, b] = [await cluster.mount('a'), await cluster.mount('b')];
    const ino = await a.create('f');
    kv.holding = true;
    a.say({ kind: 'goodbye' });
    const { answer } = b.send({ op: 'acquire', ino, mode: 'write' });
    expect(await isOpen(answer)).toBe(true);
    kv.letGo();
    expect(await answer).toMatchObject({ op: 'acquire' });
  });

  test('is not ended for the time in which the coordinator itself was stopped', async () => {
    const cluster = await start();
    const a = await cluster.mount('a');
    cluster.clock.jump(5 * TTL_MS);
    await cluster.clock.advance(TTL_MS / 2);
    expect(a.closed).toBe(false);
    await cluster.clock.advance(TTL_MS);
    expect(a.closed).toBe(true);
  });
});

describe('a command that is sent again', () => {
  test('while it is under way, is applied once and answered on the new stream', async () => {
    const kv = new HoldingStore();
    const cluster = await start(kv);
    const a = await cluster.mount('a');
    const command = a.command(await a.creation('f'));
    kv.holding = true;
    void a.send(command);
    await turns();
    await a.comeBack();
    const { answer } = a.send(command);
    expect(await isOpen(answer)).toBe(true);
    kv.letGo();
    expect(await answer).toMatchObject({ op: 'execute', inode: { record: { nlink: 1 } } });
  });

  test('after it was answered, says the same', async () => {
    const cluster = await start();
    const a = await cluster.mount('a');
    const command = a.command(await a.creation('f'));
    const first = await a.ask(command as Request & { op: 'execute' });
    const second = await a.ask(command as Request & { op: 'execute' });
    expect(second.inode.record).toEqual(first.inode.record);
    expect((await a.ask({ op: 'inode', ino: ROOT_INO })).inode?.record.entries).toBe(1);
  });

  test('to another leader, is applied once', async () => {
    const cluster = await start();
    const a = await cluster.mount('a');
    const creation = a.command(await a.creation('f'));
    const unlink = a.command({ kind: 'unlink', parent: ROOT_INO, name: nameOf('f') });
    await a.ask(creation);
    await a.ask(unlink);
    await cluster.failOver();
    expect(await a.comeBack()).toMatchObject({ resumed: true });
    const [made, gone] = [a.send(creation).answer, a.send(unlink).answer];
    expect(await made).toMatchObject({ op: 'execute' });
    expect(await gone).toMatchObject({ op: 'execute', orphaned: { nlink: 0 } });
    expect(await a.errorOf(a.command({ kind: 'unlink', parent: ROOT_INO, name: nameOf('f') }))).toBe(
      'ENOENT',
    );
  });

  test('that made a file without a name finds it, though the answer got lost', async () => {
    const cluster = await start();
    const a = await cluster.mount('a');
    const ino = await a.nextIno();
    const caller = { uid: 1, gid: 1 };
    const tmpfile = a.command({
      kind: 'tmpfile',
      parent: ROOT_INO,
      ino,
      caller,
      mode: S_IFREG | 0o600,
      umask: 0,
    });
    await a.ask(tmpfile);
    await cluster.failOver();
    await a.comeBack();
    await a.ask(tmpfile);
    await a.do({ kind: 'link', ino, parent: ROOT_INO, name: nameOf('named') });
    expect((await a.lookup('named')).inode?.record.ino).toBe(ino);
  });

  test('is forgotten when the mount has its answer', async () => {
    const kv = new MemoryStore();
    const cluster = await start(kv);
    const a = await cluster.mount('a');
    const records = () => kv.range({ start: 'applied/', end: 'applied0' }).length;
    for (let i = 0; i < 5; i++) await a.create(`f${i}`);
    expect(records()).toBe(5);
    const last = a.command(await a.creation('last')) as Request & { op: 'execute' };
    await a.ask({ ...last, answeredBelow: last.number });
    expect(records()).toBe(1);
    a.say({ kind: 'goodbye' });
    await turns();
    expect(records()).toBe(0);
  });
});

describe('a new leader', () => {
  test('keeps requests until all sessions are back', async () => {
    const cluster = await start();
    const [a, b] = [await cluster.mount('a'), await cluster.mount('b')];
    const ino = await a.create('f');
    await cluster.failOver();
    await b.comeBack();
    const { answer } = b.send({ op: 'acquire', ino, mode: 'write' });
    expect(await isOpen(answer)).toBe(true);
    expect((await cluster.coordinator.admin.status()).graceLeftMs).toBeGreaterThan(0);
    a.obliging = false;
    await a.comeBack([{ ino, mode: 'write' }]);
    // Now it is as it was: the writer is recalled.
    expect(await isOpen(answer)).toBe(true);
    expect(a.heardOf('recall')).toMatchObject([{ ino, to: 'known' }]);
    a.acknowledgeAll();
    expect(await answer).toMatchObject({ op: 'acquire' });
  });

  test('waits for a missing session until it would have ended', async () => {
    const cluster = await start();
    const [a, b] = [await cluster.mount('a'), await cluster.mount('b')];
    const ino = await a.create('f');
    await cluster.failOver();
    await b.comeBack();
    const { answer } = b.send({ op: 'acquire', ino, mode: 'write' });
    await cluster.clock.advance(TTL_MS / 2);
    b.say({ kind: 'heartbeat', beat: 1 });
    expect(await isOpen(answer)).toBe(true);
    await cluster.clock.advance(TTL_MS * 0.7);
    expect(await answer).toMatchObject({ op: 'acquire' });
    expect(await a.comeBack([{ ino, mode: 'write' }])).toMatchObject({ resumed: false });
  });

  test('deletes orphans only when those who know them had the chance to say so', async () => {
    const cluster = await start();
    const [a, b] = [await cluster.mount('a'), await cluster.mount('b')];
    const [kept, lost] = [await a.create('kept'), await a.create('lost')];
    for (const name of ['kept', 'lost']) {
      await b.lookup(name);
      await a.do({ kind: 'unlink', parent: ROOT_INO, name: nameOf(name) });
    }
    await cluster.failOver();
    await a.comeBack();
    await b.comeBack([{ ino: kept, mode: 'known' }]);
    expect((await b.ask({ op: 'inode', ino: kept })).inode?.record.nlink).toBe(0);
    expect((await b.ask({ op: 'inode', ino: lost })).inode).toBeUndefined();
  });

  test('serves new mounts in between, after the old ones are settled', async () => {
    const cluster = await start();
    await cluster.mount('a');
    await cluster.failOver();
    const b = await cluster.mount('b');
    const made = b.create('g');
    expect(await isOpen(made)).toBe(true);
    await cluster.clock.advance(TTL_MS / 2);
    b.say({ kind: 'heartbeat', beat: 1 });
    await turns();
    await cluster.clock.advance(TTL_MS * 0.7);
    await made;
  });

  test('gives no number again, of inodes or of sessions', async () => {
    const cluster = await start();
    const a = await cluster.mount('a');
    const { first, count } = await a.ask({ op: 'reserve-inos', count: 100 });
    a.say({ kind: 'goodbye' });
    await turns();
    await cluster.failOver();
    const b = await cluster.mount('b');
    expect((await b.ask({ op: 'reserve-inos', count: 1 })).first).toBeGreaterThanOrEqual(first + count);
    expect(Number(b.session)).toBeGreaterThan(Number(a.session));
  });
});

describe('over LMDB', () => {
  test('everything is there after the coordinator was stopped and started', async () => {
    const path = mkdtempSync(join(tmpdir(), 'globalfs-coordinator-'));
    try {
      const cluster = await start(LmdbStore.open({ path }));
      const a = await cluster.mount('a');
      const dir = await a.mkdir('d');
      await Promise.all(Array.from({ length: 50 }, (_, i) => a.create(`f${i}`, dir)));
      await cluster.coordinator.stop();
      await cluster.failOver(LmdbStore.open({ path }));
      await a.comeBack();
      const listing = await a.ask({ op: 'read-directory', ino: dir, after: '', limit: 100, plus: true });
      expect(listing.entries).toHaveLength(50);
      await a.create('more', dir);
      await cluster.coordinator.stop();
    } finally {
      rmSync(path, { recursive: true, force: true });
    }
  });

  test('a store of another schema is refused', async () => {
    const kv = new MemoryStore();
    await kv.commit([{ key: 'meta/schema', value: Buffer.from('{"schema":99,"clusterId":"x"}') }]);
    await expect(Coordinator.open({ kv })).rejects.toMatchObject({ code: 'CONFIG' });
  });
});
