import { beforeEach, describe, expect, test } from '@jest/globals';
import { type Ino, ROOT_INO, timeNs } from '../../src/core/index.js';
import { decodeInode, encodeCounter, encodeDentry, encodeInode } from '../../src/namespace/codec.js';
import {
  type InodeRecord,
  InodeFlag,
  MemoryStore,
  Namespace,
  type NamespaceCheck,
  type NamespaceProblemKind,
  S_IFDIR,
  S_IFREG,
  checkNamespace,
} from '../../src/namespace/index.js';
import { Tree } from './support.js';

let kv: MemoryStore;
let tree: Tree;
/** /dir/sub, /dir/file (with an xattr), /top */
let dir: Ino;
let sub: Ino;
let file: Ino;
let top: Ino;

beforeEach(async () => {
  kv = new MemoryStore();
  tree = await Tree.make(kv);
  dir = tree.directory('dir');
  sub = tree.directory('sub', dir);
  file = tree.file('file', dir);
  top = tree.file('top');
  const value = Buffer.from('v');
  tree.do({ kind: 'setxattr', ino: file, name: 'user.a', value, mode: 'either', killSgid: false });
});

const check = (repair: boolean): Promise<NamespaceCheck> =>
  checkNamespace(kv, { repair, timeNs: timeNs(7n) });

const kinds = ({ problems }: NamespaceCheck): string[] => problems.map(({ kind }) => kind).sort();

const set = (key: string, value: Uint8Array | undefined): Promise<void> => kv.commit([{ key, value }]);

async function damage(ino: Ino, change: Partial<InodeRecord>): Promise<void> {
  const bytes = kv.get(`inode/${ino}`);
  if (bytes === undefined) throw new Error('no such inode');
  await set(`inode/${ino}`, encodeInode({ ...decodeInode(ino, bytes), ...change }));
}

/** Finds exactly these problems, the same without repair and with it, and none after it. */
async function expectRepaired(...expected: NamespaceProblemKind[]): Promise<NamespaceCheck> {
  const found = await check(false);
  expect(kinds(found)).toEqual([...expected].sort());
  expect(found.problems.every(({ repaired }) => !repaired)).toBe(true);
  const repaired = await check(true);
  expect(kinds(repaired)).toEqual(kinds(found));
  expect(repaired.problems.every((problem) => problem.repaired)).toBe(true);
  expect(await check(false)).toMatchObject({ problems: [] });
  return found;
}

const reopened = (): Promise<Namespace> => Namespace.open({ kv, root: { uid: 0, gid: 0 } });

describe('checkNamespace', () => {
  test('finds nothing in a sound namespace, and counts it', async () => {
    expect(await check(true)).toEqual({ problems: [], counts: { inodes: 5, dentries: 4, xattrs: 1 } });
  });

  test('an entry without inode is removed', async () => {
    await set(`inode/${top}`, undefined);
    const found = await expectRepaired('dentry-without-inode', 'wrong-counter', 'wrong-entries');
    expect(found.problems[0]).toMatchObject({ ino: top, path: '/top' });
  });

  test('an inode without name gets one in /lost+found', async () => {
    await set(`dentry/${dir}/file`, undefined);
    await expectRepaired('inode-without-name', 'wrong-entries');
    const namespace = await reopened();
    const lost = namespace.lookup(ROOT_INO, 'lost+found' as never);
    expect(lost).toMatchObject({ mode: S_IFDIR | 0o700, entries: 1, nlink: 2 });
    expect(namespace.readDirectory(lost?.ino as Ino, '', 9)).toEqual([
      { name: `#${file}`, ino: file, type: S_IFREG },
    ]);
    expect(namespace.inode(file)?.nlink).toBe(1);
    expect(namespace.stats()).toEqual({ inodes: 6 });
  });

  test('a lost directory keeps what is in it', async () => {
    await set(`dentry/1/dir`, undefined);
    await expectRepaired('inode-without-name', 'wrong-entries', 'wrong-nlink');
    const namespace = await reopened();
    const lost = namespace.lookup(ROOT_INO, 'lost+found' as never)?.ino as Ino;
    expect(namespace.lookup(lost, `#${dir}` as never)).toMatchObject({
      ino: dir,
      parent: lost,
      entries: 2,
      nlink: 3,
    });
    expect(namespace.inode(lost)).toMatchObject({ nlink: 3, entries: 1 });
    expect(namespace.inode(ROOT_INO)).toMatchObject({ nlink: 3, entries: 2 });
  });

  test('wrong numbers of an inode are set right', async () => {
    await damage(file, { nlink: 7, flags: InodeFlag.hasCapability });
    await damage(dir, { entries: 9, nlink: 2, parent: 77 });
    await expectRepaired('wrong-nlink', 'wrong-flags', 'wrong-entries', 'wrong-nlink', 'wrong-parent');
    expect(decodeInode(dir, kv.get(`inode/${dir}`) as Uint8Array)).toEqual(tree.get(dir));
    expect(decodeInode(file, kv.get(`inode/${file}`) as Uint8Array)).toEqual(tree.get(file));
  });

  test('an entry of the wrong type is set right', async () => {
    await set(`dentry/1/top`, encodeDentry({ ino: top, type: S_IFDIR }));
    const found = await expectRepaired('dentry-wrong-type');
    expect(found.problems[0]).toMatchObject({ path: '/top' });
  });

  test('an entry of what is no directory is removed', async () => {
    await set(`dentry/${top}/x`, encodeDentry({ ino: file, type: S_IFREG }));
    await set(`dentry/4711/x`, encodeDentry({ ino: file, type: S_IFREG }));
    await expectRepaired('dentry-without-directory', 'dentry-without-directory');
  });

  test('a directory keeps one of two names', async () => {
    await set(`dentry/1/again`, encodeDentry({ ino: sub, type: S_IFDIR }));
    const found = await expectRepaired('directory-named-twice');
    expect(found.problems[0]).toMatchObject({ path: '/again' });
    expect(kv.get('dentry/1/again')).toBeUndefined();
  });

  test('directories that hold each other are brought back', async () => {
    await set(`dentry/1/dir`, undefined);
    await set(`dentry/${sub}/dir`, encodeDentry({ ino: dir, type: S_IFDIR }));
    await expectRepaired(
      'unreachable-directory',
      'wrong-entries',
      'wrong-entries',
      'wrong-nlink',
      'wrong-nlink',
    );
    const namespace = await reopened();
    const lost = namespace.lookup(ROOT_INO, 'lost+found' as never)?.ino as Ino;
    expect(namespace.readDirectory(lost, '', 9)).toHaveLength(1);
  });

  test('orphan records agree with orphans', async () => {
    tree.do({ kind: 'unlink', parent: ROOT_INO, name: 'top' as never });
    expect((await check(false)).problems).toEqual([]);
    await set(`orphan/${top}`, undefined);
    await expectRepaired('orphan-without-record');
    await set('orphan/99', Uint8Array.of(1));
    await set(`orphan/${file}`, Uint8Array.of(1));
    await expectRepaired('orphan-without-inode', 'orphan-with-name');
  });

  test('xattrs of no inode are removed', async () => {
    await set('xattr/99/user.x', Buffer.from('v'));
    await expectRepaired('xattr-without-inode');
  });

  test('records that cannot be read are set aside', async () => {
    await set(`inode/${top}`, Buffer.from('rubbish'));
    await set('dentry/x/y', Buffer.from('z'));
    await expectRepaired(
      'undecodable',
      'undecodable',
      'dentry-without-inode',
      'wrong-entries',
      'wrong-counter',
    );
    expect(Buffer.from(kv.get(`corrupt/inode/${top}`) ?? []).toString()).toBe('rubbish');
  });

  test('counters are set right', async () => {
    await set('meta/next-ino', encodeCounter(3));
    await set('meta/inode-count', Buffer.from('many'));
    await expectRepaired('wrong-counter', 'wrong-counter');
    const namespace = await reopened();
    expect(namespace.reserveInos(1).first).toBeGreaterThan(top);
  });

  test('a missing root is made anew, and what hung on it is found again', async () => {
    await set('inode/1', undefined);
    await expectRepaired('no-root', 'wrong-entries', 'wrong-nlink');
    const namespace = await reopened();
    expect(namespace.lookup(ROOT_INO, 'dir' as never)?.ino).toBe(dir);
  });

  test('a check on an open namespace repairs what it serves', async () => {
    await set(`dentry/${dir}/file`, undefined);
    const { problems } = await tree.namespace.check({ repair: true, timeNs: timeNs(7n) });
    expect(problems.map(({ kind }) => kind)).toEqual(['inode-without-name', 'wrong-entries']);
    const lost = tree.find(ROOT_INO, 'lost+found') as Ino;
    expect(tree.find(lost, `#${file}`)).toBe(file);
    expect(tree.get(dir).entries).toBe(1);
    expect(tree.namespace.stats()).toEqual({ inodes: 6 });
    expect((await check(false)).problems).toEqual([]);
  });
});
