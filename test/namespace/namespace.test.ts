import { describe, expect, test } from '@jest/globals';
import { type Ino, ROOT_INO, parseName, timeNs } from '../../src/core/index.js';
import { type Command, MemoryStore, Namespace, S_IFDIR, S_IFREG } from '../../src/namespace/index.js';

const caller = { uid: 1000, gid: 100 };

async function openOn(kv: MemoryStore): Promise<Namespace> {
  return Namespace.open({ kv, root: { uid: 0, gid: 0 }, clusterId: 'test' });
}

function create(ino: Ino, name: string, parent = ROOT_INO): Command {
  return {
    kind: 'create',
    parent,
    name: parseName(name),
    ino,
    caller,
    timeNs: timeNs(5n),
    mode: S_IFREG | 0o666,
    umask: 0o022,
  };
}

describe('Namespace', () => {
  test('a new store has a root directory of the given owner, and nothing else', async () => {
    const namespace = await openOn(new MemoryStore());
    expect(namespace.inode(ROOT_INO)).toMatchObject({ mode: S_IFDIR | 0o755, uid: 0, nlink: 2, entries: 0 });
    expect(namespace.stats()).toEqual({ inodes: 1 });
    expect(namespace.readDirectory(ROOT_INO, '', 10)).toEqual([]);
    expect(namespace.orphans()).toEqual([]);
  });

  test('what was executed is seen at once, and again after a reopen', async () => {
    const kv = new MemoryStore();
    const first = await openOn(kv);
    const { first: ino } = first.reserveInos(1);
    first.execute(create(ino, 'file'));
    const seen = first.lookup(ROOT_INO, parseName('file'));
    expect(seen).toMatchObject({ ino, mode: S_IFREG | 0o644, uid: 1000, gid: 100, nlink: 1 });
    await first.close();
    const second = await openOn(kv);
    expect(second.lookup(ROOT_INO, parseName('file'))).toEqual(seen);
    expect(second.inode(ROOT_INO)).toEqual(first.inode(ROOT_INO));
    expect(second.stats()).toEqual({ inodes: 2 });
    expect(second.clusterId).toBe('test');
  });

  test('inode numbers go on after a clean close, and are skipped after a crash', async () => {
    const kv = new MemoryStore();
    const first = await openOn(kv);
    expect(first.reserveInos(3)).toEqual({ first: 2, count: 3 });
    expect(first.reserveInos(1).first).toBe(5);
    await first.close();
    const second = await openOn(kv);
    expect(second.reserveInos(1).first).toBe(6);
    const third = await openOn(kv); // the second one was not closed
    expect(third.reserveInos(1).first).toBeGreaterThan(2 ** 20);
  });

  test('a directory can be read in parts while it changes', async () => {
    const namespace = await openOn(new MemoryStore());
    const { first } = namespace.reserveInos(100);
    for (let i = 0; i < 50; i++)
      namespace.execute(create((first + i) as Ino, `f${String(i).padStart(2, '0')}`));
    const head = namespace.readDirectory(ROOT_INO, '', 10);
    expect(head.map(({ name }) => name)).toEqual(Array.from({ length: 10 }, (_, i) => `f0${i}`));
    const last = head[9]?.name ?? '';
    const timeOfUnlink = timeNs(9n);
    for (const name of ['f09', 'f10']) {
      namespace.execute({ kind: 'unlink', parent: ROOT_INO, name: parseName(name), timeNs: timeOfUnlink });
    }
    const tail = namespace.readDirectory(ROOT_INO, last, 1000);
    expect(tail.map(({ name }) => name)).toEqual(Array.from({ length: 39 }, (_, i) => `f${i + 11}`));
    expect(namespace.orphans()).toHaveLength(2);
  });

  test('a store of an unknown schema is refused', async () => {
    const kv = new MemoryStore();
    await kv.commit([{ key: 'meta/schema', value: Buffer.from('{"schema":99,"clusterId":"x"}') }]);
    await expect(openOn(kv)).rejects.toMatchObject({ code: 'CONFIG' });
  });
});
