import { afterEach, describe, expect, test } from '@jest/globals';
import { type Ino, ROOT_INO, timeNs } from '../../src/core/index.js';
import { EMPTY_MANIFEST, type KvStore } from '../../src/namespace/index.js';
import { HoldingStore } from './holding-store.js';
import { Cluster, type ScriptedMount, isOpen } from './scripted-mount.js';
import { turns } from './stepped-clock.js';
import { nameOf, renaming } from '../namespace/support.js';

const clusters: Cluster[] = [];
afterEach(() => {
  for (const cluster of clusters.splice(0)) cluster.stop();
});

async function start(kv?: KvStore): Promise<Cluster> {
  const cluster = await Cluster.start(kv);
  clusters.push(cluster);
  return cluster;
}

async function pair(kv?: KvStore): Promise<{ cluster: Cluster; a: ScriptedMount; b: ScriptedMount }> {
  const cluster = await start(kv);
  return { cluster, a: await cluster.mount('a'), b: await cluster.mount('b') };
}

const commit = (ino: Ino, baseVersion: number, size: number) =>
  ({ kind: 'commit', ino, baseVersion, manifest: EMPTY_MANIFEST, size, allocatedBytes: size }) as const;

const live = (size: number) => ({
  size,
  allocatedBytes: size,
  atimeNs: timeNs(1n),
  mtimeNs: timeNs(2n),
  ctimeNs: timeNs(3n),
});

describe('what one mount changes, the others are told of first', () => {
  test('a holder of the old state is told, and acknowledges, before the author is answered', async () => {
    const { a, b } = await pair();
    expect((await b.lookup('f')).entryLeased).toBe(true);
    b.obliging = false;
    const { answer } = a.send(a.command(await a.creation('f')));
    expect(await isOpen(answer)).toBe(true);
    const [notice] = b.heardOf('notice');
    expect(notice?.notices).toEqual([
      { kind: 'entry', parent: ROOT_INO, name: 'f' },
      { kind: 'inode', ino: ROOT_INO, orphaned: false },
    ]);
    b.acknowledgeAll();
    expect(await answer).toMatchObject({ op: 'execute', leased: [true, true, true] });
  });

  test('a change that somebody has not heard of is shown to nobody else', async () => {
    const { cluster, a, b } = await pair();
    const c = await cluster.mount('c');
    await b.lookup('f');
    b.obliging = false;
    const made = a.send(a.command(await a.creation('f')));
    await turns();
    const seen = c.lookup('f');
    const own = b.lookup('f');
    expect((await own).inode?.record.nlink).toBe(1); // whoever was told may look
    expect(await isOpen(seen)).toBe(true);
    b.acknowledgeAll();
    expect((await seen).inode?.record.nlink).toBe(1);
    await made.answer;
  });

  test('a lease stays after a notice: the next change is told again', async () => {
    const { a, b } = await pair();
    await b.lookup('f');
    await a.create('f');
    await a.create('g');
    expect(b.heardOf('notice')).toHaveLength(2);
  });

  test('who holds nothing is told nothing', async () => {
    const { a, b } = await pair();
    await a.create('f');
    expect(b.heardOf('notice')).toEqual([]);
  });

  test('the answer keeps only what is still so when it is sent', async () => {
    const { cluster, a, b } = await pair();
    const c = await cluster.mount('c');
    await c.lookup('f');
    c.obliging = false;
    const first = a.send(a.command(await a.creation('f')));
    await turns();
    const second = b.send(b.command({ kind: 'setattr', ino: ROOT_INO, mode: 0o700 }));
    await turns();
    c.acknowledgeAll();
    await turns();
    c.acknowledgeAll();
    // Of the three writes, the directory's record is not what the create has made of it any more.
    expect(await first.answer).toMatchObject({ leased: [true, true, false] });
    await second.answer;
  });

  test('a silent holder delays the author until its session ends', async () => {
    const { cluster, a, b } = await pair();
    await b.lookup('f');
    b.obliging = false;
    const { answer } = a.send(a.command(await a.creation('f')));
    await turns();
    for (let i = 0; i < 11; i++) {
      expect(await isOpen(answer)).toBe(true);
      a.say({ kind: 'heartbeat', beat: i });
      await turns();
      await cluster.clock.advance(1000);
    }
    expect(await answer).toMatchObject({ op: 'execute' });
    expect(b.closed).toBe(true);
  });

  test('relatime tells nobody', async () => {
    const { a, b } = await pair();
    const ino = await a.create('f');
    await a.do(commit(ino, 0, 1));
    await b.lookup('f');
    await a.do({ kind: 'setattr', ino, atimeNs: timeNs(5n), ctimeNs: timeNs(5n) });
    expect(b.heardOf('notice')).toEqual([]);
  });
});

describe('nothing is shown that a crash of the leader would undo', () => {
  test('a command is answered when it is stored', async () => {
    const kv = new HoldingStore();
    const { a } = await pair(kv);
    const creation = await a.creation('f');
    kv.holding = true;
    const { answer } = a.send(a.command(creation));
    expect(await isOpen(answer)).toBe(true);
    expect(kv.held).toBe(1);
    kv.letGo();
    expect(await answer).toMatchObject({ op: 'execute' });
  });

  test('others do not see it before, by name, by number or in a listing', async () => {
    const kv = new HoldingStore();
    const { a, b } = await pair(kv);
    const creation = await a.creation('f');
    kv.holding = true;
    const made = a.send(a.command(creation));
    await turns();
    const seen = Promise.all([
      b.lookup('f'),
      b.ask({ op: 'inode', ino: ROOT_INO }),
      b.ask({ op: 'read-directory', ino: ROOT_INO, after: '', limit: 10, plus: true }),
    ]);
    expect(await isOpen(seen)).toBe(true);
    kv.letGo();
    const [lookup, root, listing] = await seen;
    expect(lookup.inode?.record.nlink).toBe(1);
    expect(root.inode?.record.entries).toBe(1);
    expect(listing).toMatchObject({ entries: [{ name: 'f' }], complete: true, leased: true });
    await made.answer;
  });

  test('what the store cannot keep is an error to its author, and was never there', async () => {
    const kv = new HoldingStore();
    const { a, b } = await pair(kv);
    const creation = await a.creation('f');
    kv.holding = true;
    const { answer } = a.send(a.command(creation));
    await turns();
    const seen = b.lookup('f');
    await turns();
    kv.fail();
    kv.holding = false;
    expect(await answer).toMatchObject({ kind: 'error', code: 'ENOSPC' });
    expect(await seen).toMatchObject({ op: 'lookup', entryLeased: true });
    expect((await seen).inode).toBeUndefined();
    await a.create('f');
  });

  test('a directory that always has a change under way can be listed all the same', async () => {
    const kv = new HoldingStore();
    const { a, b } = await pair(kv);
    const creations = [];
    for (let i = 0; i < 8; i++) creations.push(await a.creation(`f${i}`));
    kv.holding = true;
    a.send(a.command(creations[0] as never));
    await turns();
    const listing = b.ask({ op: 'read-directory', ino: ROOT_INO, after: '', limit: 10, plus: false });
    await turns();
    let listed = 0;
    void listing.then(({ entries }) => (listed = entries.length));
    for (let i = 1; i < 8 && listed === 0; i++) {
      a.send(a.command(creations[i] as never));
      await turns();
      kv.letGo(1);
      await turns();
    }
    expect(listed).toBeGreaterThan(0);
    expect((await listing).leased).toBe(false);
    kv.letGo();
  });
});

describe('files that are written', () => {
  test('a new file may be written by its author alone, from birth', async () => {
    const { a, b } = await pair();
    const ino = await a.create('f');
    a.live = live(77);
    const seen = (await b.lookup('f')).inode;
    expect(seen).toMatchObject({ leased: false, volatile: true });
    expect(seen?.record).toMatchObject({ ino, size: 77, mtimeNs: 2n });
    expect(a.heardOf('query')).toHaveLength(1);
  });

  test('a stat asks the writer each time; after the commit nobody is asked', async () => {
    const { a, b } = await pair();
    const ino = await a.create('f');
    a.live = live(1);
    expect((await b.ask({ op: 'inode', ino })).inode?.record.size).toBe(1);
    a.live = live(2);
    expect((await b.ask({ op: 'inode', ino })).inode?.record.size).toBe(2);
    await a.do(commit(ino, 0, 3));
    expect((await b.ask({ op: 'inode', ino })).inode).toMatchObject({
      record: { size: 3, version: 1 },
      leased: true,
      volatile: false,
    });
    expect(a.heardOf('query')).toHaveLength(2);
  });

  test('a reader recalls the writer, which commits first', async () => {
    const { a, b } = await pair();
    const ino = await a.create('f');
    a.obliging = false;
    const { answer } = b.send({ op: 'acquire', ino, mode: 'read' });
    expect(await isOpen(answer)).toBe(true);
    const [recall] = a.heardOf('recall');
    expect(recall).toMatchObject({ ino, to: 'read' });
    await a.do(commit(ino, 0, 9), { keepWrite: true });
    expect(await isOpen(answer)).toBe(true);
    a.say({ kind: 'ack', id: recall?.id ?? 0 });
    expect(await answer).toMatchObject({ inode: { record: { size: 9 }, leased: true } });
    expect((await a.ask({ op: 'inode', ino })).inode?.leased).toBe(true);
  });

  test('a writer recalls readers to nothing, and is granted when the last one has let go', async () => {
    const { cluster, a, b } = await pair();
    const c = await cluster.mount('c');
    const ino = await a.create('f');
    await a.do(commit(ino, 0, 1));
    for (const reader of [b, c]) await reader.ask({ op: 'acquire', ino, mode: 'read' });
    c.obliging = false;
    const { answer } = a.send({ op: 'acquire', ino, mode: 'write' });
    expect(await isOpen(answer)).toBe(true);
    expect([b, c].map((reader) => reader.heardOf('recall').map(({ to }) => to))).toEqual([
      ['known'],
      ['known'],
    ]);
    c.acknowledgeAll();
    expect(await answer).toMatchObject({ op: 'acquire', inode: { leased: true } });
  });

  test('a commit by a mount that has lost the file is refused', async () => {
    const { a, b } = await pair();
    const ino = await a.create('f');
    await a.do(commit(ino, 0, 1));
    await b.ask({ op: 'acquire', ino, mode: 'write' });
    expect(await a.errorOf(a.command(commit(ino, 1, 2)))).toBe('ESTALE');
    await b.do(commit(ino, 1, 3));
    expect(await a.errorOf(a.command(commit(ino, 1, 2)))).toBe('ESTALE');
  });

  test('a truncation elsewhere waits until the writer has committed', async () => {
    const { a, b } = await pair();
    const ino = await a.create('f');
    a.obliging = false;
    const { answer } = b.send(b.command({ kind: 'setattr', ino, size: 0 }));
    expect(await isOpen(answer)).toBe(true);
    expect(a.heardOf('recall')).toMatchObject([{ ino, to: 'known' }]);
    await a.do(commit(ino, 0, 10), { keepWrite: true });
    a.acknowledgeAll();
    expect(await answer).toMatchObject({ inode: { record: { size: 0, version: 1 } } });
  });

  test('a commit takes the content from those that read it', async () => {
    const { a, b } = await pair();
    const ino = await a.create('f');
    await a.do(commit(ino, 0, 1));
    await b.ask({ op: 'acquire', ino, mode: 'read' });
    await a.do(commit(ino, 1, 2));
    expect(b.heardOf('recall')).toMatchObject([{ ino, to: 'known' }]);
  });

  test('what is granted and recalled before it could be answered is asked for again', async () => {
    const kv = new HoldingStore();
    const { cluster, a, b } = await pair(kv);
    const c = await cluster.mount('c');
    const ino = await a.create('f');
    await a.do(commit(ino, 0, 1));
    kv.holding = true;
    void a.do({ kind: 'setattr', ino, mode: 0o600 });
    await turns();
    const first = b.send({ op: 'acquire', ino, mode: 'write' }).answer;
    await turns();
    const second = c.send({ op: 'acquire', ino, mode: 'write' }).answer;
    await turns();
    expect(b.heardOf('recall')).toMatchObject([{ ino, to: 'known' }]);
    kv.letGo();
    expect(await second).toMatchObject({ inode: { leased: true, record: { mode: 0o100600 } } });
    expect(await first).toMatchObject({ inode: { leased: true } });
  });
});

describe('two mounts in one directory', () => {
  test('one of two creations of a name wins, whole', async () => {
    const { a, b } = await pair();
    const [x, y] = [await a.creation('f'), await b.creation('f')];
    const answers = await Promise.all([a.send(a.command(x)).answer, b.send(b.command(y)).answer]);
    const codes = answers.map((answer) => ('kind' in answer ? answer.code : 'made'));
    expect(codes.sort()).toEqual(['EEXIST', 'made']);
  });

  test('a rename over a name shows the old or the new, never neither', async () => {
    const { a, b } = await pair();
    const [old, fresh] = [await a.create('f'), await a.create('g')];
    await b.lookup('f');
    await a.do(renaming([ROOT_INO, 'g'], [ROOT_INO, 'f']));
    expect((await b.lookup('f')).inode?.record.ino).toBe(fresh);
    expect(old).not.toBe(fresh);
    expect((await b.lookup('g')).inode).toBeUndefined();
  });

  test('a directory that others fill cannot be removed', async () => {
    const { a, b } = await pair();
    const dir = await a.mkdir('d');
    await b.create('f', dir);
    expect(await a.errorOf(a.command({ kind: 'rmdir', parent: ROOT_INO, name: nameOf('d') }))).toBe(
      'ENOTEMPTY',
    );
    expect(await b.errorOf(b.command({ kind: 'rmdir', parent: ROOT_INO, name: nameOf('f') }))).toBe('ENOENT');
  });
});

describe('unlinked files', () => {
  const unlink = (name: string) => ({ kind: 'unlink', parent: ROOT_INO, name: nameOf(name) }) as const;

  test('stay as long as any mount knows them', async () => {
    const { cluster, a, b } = await pair();
    const ino = await a.create('f');
    await a.do(commit(ino, 0, 1));
    await b.ask({ op: 'acquire', ino, mode: 'read' });
    await a.do(unlink('f'));
    expect(b.heardOf('notice').at(-1)?.notices).toContainEqual({ kind: 'inode', ino, orphaned: true });
    a.say({ kind: 'release', inos: [ino] });
    await turns();
    expect((await a.ask({ op: 'inode', ino })).inode?.record.nlink).toBe(0);
    a.say({ kind: 'release', inos: [ino] });
    b.say({ kind: 'release', inos: [ino] });
    await turns();
    expect((await a.ask({ op: 'inode', ino })).inode).toBeUndefined();
    expect((await cluster.coordinator.admin.status()).inodes).toBe(1);
  });

  test('go when the last session that knew them ends', async () => {
    const { a, b } = await pair();
    const ino = await b.create('f');
    await a.do(unlink('f'));
    a.say({ kind: 'release', inos: [ino] });
    expect((await a.ask({ op: 'statistics' })).inodes).toBe(2);
    b.say({ kind: 'goodbye' });
    await turns();
    expect((await a.ask({ op: 'statistics' })).inodes).toBe(1);
  });

  test('to reap is to release', async () => {
    const { a, b } = await pair();
    const ino = await a.create('f');
    await b.ask({ op: 'acquire', ino, mode: 'known' });
    await a.do(unlink('f'));
    await a.do({ kind: 'reap', ino });
    expect((await a.ask({ op: 'statistics' })).inodes).toBe(2);
    await b.do({ kind: 'reap', ino });
    expect((await a.ask({ op: 'statistics' })).inodes).toBe(1);
    expect(await b.errorOf(b.command({ kind: 'reap', ino }))).toBe('ESTALE');
  });
});
