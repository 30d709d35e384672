import { afterEach, describe, expect, test } from '@jest/globals';
import { type Ino, ROOT_INO } from '../../src/core/index.js';
import type { KvStore } from '../../src/namespace/index.js';
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

describe('no command fails', () => {
  test('on a name whose making is not stored yet: it is decided anew when it is, or was undone', async () => {
    const kv = new HoldingStore();
    const { a, b } = await pair(kv);
    for (const fate of ['stored', 'undone']) {
      const [first, second] = [await a.creation(fate), await b.creation(fate)];
      kv.holding = true;
      void a.send(a.command(first));
      const { answer } = b.send(b.command(second));
      expect(await isOpen(answer)).toBe(true);
      kv.holding = false;
      if (fate === 'stored') kv.letGo();
      else kv.fail();
      if (fate === 'stored') expect(await answer).toMatchObject({ kind: 'error', code: 'EEXIST' });
      else expect(await answer).toMatchObject({ op: 'execute', inode: { record: { nlink: 1 } } });
    }
  });

  test('on what is in a directory, or is gone, as long as a crash would undo that', async () => {
    const kv = new HoldingStore();
    const { a, b } = await pair(kv);
    const [dir, ino] = [await a.mkdir('d'), await a.create('f')];
    const filling = await a.creation('in', dir);
    kv.holding = true;
    void a.send(a.command(filling));
    void a.send(a.command({ kind: 'unlink', parent: ROOT_INO, name: nameOf('f') }));
    const removal = b.send(b.command({ kind: 'rmdir', parent: ROOT_INO, name: nameOf('d') })).answer;
    const move = b.send(b.command(renaming([ROOT_INO, 'f'], [ROOT_INO, 'g']))).answer;
    expect(await isOpen(Promise.race([removal, move]))).toBe(true);
    // What nobody changes is told at once.
    expect(await b.errorOf(b.command({ kind: 'rmdir', parent: ROOT_INO, name: nameOf('no') }))).toBe(
      'ENOENT',
    );
    kv.holding = false;
    kv.fail();
    expect(await removal).toMatchObject({ op: 'execute', inode: { record: { ino: dir } } });
    expect(await move).toMatchObject({ op: 'execute', inode: { record: { ino } } });
  });

  test('except in the end, when what it is about is changed all the time', async () => {
    const kv = new HoldingStore();
    const { a, b } = await pair(kv);
    await a.create('f0');
    const failing = await b.creation('f0');
    kv.holding = true;
    const touch = () => a.send(a.command({ kind: 'setattr', ino, mode: 0o600 + (kv.held % 2) }));
    const { inode } = await b.lookup('f0');
    const ino = inode?.record.ino as Ino;
    touch();
    const { answer } = b.send(b.command(failing));
    await turns();
    let failed = false;
    void answer.then(() => (failed = true));
    for (let i = 0; i < 8 && !failed; i++) {
      touch();
      await turns();
      kv.letGo(1);
      await turns();
    }
    expect(failed).toBe(true);
    expect(await answer).toMatchObject({ kind: 'error', code: 'EEXIST' });
    kv.letGo();
  });

  test('on a change that somebody has not heard of', async () => {
    const { cluster, a, b } = await pair();
    const c = await cluster.mount('c');
    await b.lookup('f');
    b.obliging = false;
    const made = a.send(a.command(await a.creation('f'))).answer;
    await turns();
    const { answer } = c.send(c.command(await c.creation('f')));
    expect(await isOpen(answer)).toBe(true);
    b.acknowledgeAll();
    expect(await answer).toMatchObject({ kind: 'error', code: 'EEXIST' });
    await made;
  });
});
