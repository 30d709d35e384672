import { afterEach, describe, expect, test } from '@jest/globals';
import { type Ino, ROOT_INO } from '../../src/core/index.js';
import type { Request } from '../../src/coordinator/wire/index.js';
import { EMPTY_MANIFEST, type KvStore } from '../../src/namespace/index.js';
import { HoldingStore } from './holding-store.js';
import { Cluster, ScriptedMount, isOpen } from './scripted-mount.js';
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

describe('a session that comes back', () => {
  test('is not reset by a hello of a stream that was given up, however late it comes', async () => {
    const cluster = await start();
    const [a, b] = [await cluster.mount('a'), await cluster.mount('b')];
    const ino = await a.create('f');
    await a.comeBack([{ ino, mode: 'write' }]);
    const late = new ScriptedMount(cluster.network.link('late'), 'a');
    late.welcome = a.welcome;
    expect(await late.hello({ connection: 1 })).toMatchObject({ kind: 'refused', code: 'UNAVAILABLE' });
    expect(await late.hello({ connection: 2 })).toMatchObject({ kind: 'refused', code: 'UNAVAILABLE' });
    await turns();
    expect([a.closed, late.closed]).toEqual([false, true]);
    expect((await b.lookup('f')).inode).toMatchObject({ volatile: true });
    await a.create('g');
    expect(await a.comeBack([{ ino, mode: 'write' }])).toMatchObject({ resumed: true });
  });

  test.each(['author', 'next writer'])(
    'claims in vain what an unanswered commit has given up; to another leader the %s comes first',
    async (first) => {
      const kv = new HoldingStore();
      const cluster = await start(kv);
      const [a, b] = [await cluster.mount('a'), await cluster.mount('b')];
      const ino = await a.create('f');
      kv.holding = true;
      const committing = a.command(commit(ino, 0, 66)) as Request & { op: 'execute' };
      void a.send(committing);
      const { answer } = b.send({ op: 'acquire', ino, mode: 'write' });
      expect(await isOpen(answer)).toBe(true);
      expect(a.heardOf('recall')).toMatchObject([{ ino, to: 'known' }]);
      // The author has let go of what its commit left it, and does not hear that this is done.
      a.link.stall('down');
      kv.holding = false;
      kv.letGo();
      await answer;
      await cluster.failOver();
      a.link.cut();
      a.link.resume();
      const author = () => a.comeBack([{ ino, mode: 'write', committing: committing.number }]);
      const next = () => b.comeBack([{ ino, mode: 'write' }]);
      const both = first === 'author' ? [author, next] : [next, author];
      for (const comeBack of both) expect(await comeBack()).toMatchObject({ resumed: true });
      expect(await a.ask(committing)).toMatchObject({ inode: { record: { version: 1 }, volatile: true } });
      expect(await cluster.coordinator.admin.mounts()).toHaveLength(2);
      expect((await b.do(commit(ino, 1, 77))).inode.record.version).toBe(2);
    },
  );

  test('keeps what it was making, though others have unlinked it before it knows', async () => {
    const cluster = await start();
    const [a, b] = [await cluster.mount('a'), await cluster.mount('b')];
    const creation = await a.creation('f');
    a.link.stall('down');
    const making = a.command(creation) as Request & { op: 'execute' };
    void a.send(making);
    await turns();
    const { ino } = making.command as { ino: Ino };
    await cluster.failOver();
    a.link.cut();
    a.link.resume();
    const removal = b.command({ kind: 'unlink', parent: ROOT_INO, name: nameOf('f') });
    await b.comeBack();
    const removed = b.send(removal).answer;
    await a.comeBack([{ ino, mode: 'known' }]);
    expect(await removed).toMatchObject({ op: 'execute' });
    expect(await a.ask(making)).toMatchObject({ inode: { record: { ino, nlink: 0 } } });
    expect((await a.ask({ op: 'inode', ino })).inode?.record.ino).toBe(ino);
    a.say({ kind: 'release', inos: [ino] });
    expect((await a.ask({ op: 'inode', ino })).inode).toBeUndefined();
  });
});
