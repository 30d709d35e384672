import { beforeEach, describe, expect, test } from '@jest/globals';
import { type Ino, ROOT_INO } from '../../src/core/index.js';
import { Tree, nameOf, renaming } from './support.js';

let tree: Tree;
let a: Ino;
let b: Ino;
let file: Ino;

/** /a/file, /b */
beforeEach(async () => {
  tree = await Tree.make();
  a = tree.directory('a');
  b = tree.directory('b');
  file = tree.file('file', a);
});

describe('rename', () => {
  test('moves a file: both directories and its ctime change', () => {
    const before = tree.get(file);
    tree.rename([a, 'file'], [b, 'moved']);
    const now = tree.nowNs;
    expect([tree.find(a, 'file'), tree.find(b, 'moved')]).toEqual([undefined, file]);
    expect(tree.get(file)).toEqual({ ...before, ctimeNs: now });
    expect(tree.get(a)).toMatchObject({ entries: 0, nlink: 2, mtimeNs: now, ctimeNs: now });
    expect(tree.get(b)).toMatchObject({ entries: 1, nlink: 2, mtimeNs: now, ctimeNs: now });
  });

  test('moves a directory: its parent, and the parents’ links', () => {
    const sub = tree.directory('sub', a);
    tree.rename([a, 'sub'], [b, 'sub']);
    expect(tree.get(sub)).toMatchObject({ parent: b, nlink: 2 });
    expect(tree.get(a)).toMatchObject({ nlink: 2, entries: 1 });
    expect(tree.get(b)).toMatchObject({ nlink: 3, entries: 1 });
  });

  test('replaces a file, which is orphaned', () => {
    const other = tree.file('other', b);
    const { orphaned } = tree.rename([a, 'file'], [b, 'other']);
    expect(orphaned).toMatchObject({ ino: other, nlink: 0, ctimeNs: tree.nowNs });
    expect(tree.namespace.orphans()).toEqual([other]);
    expect(tree.get(b).entries).toBe(1);
  });

  test('replaces one name of several: nothing is orphaned', () => {
    const other = tree.file('other', b);
    tree.do({ kind: 'link', ino: other, parent: ROOT_INO, name: nameOf('again') });
    expect(tree.rename([a, 'file'], [b, 'other']).orphaned).toBeUndefined();
    expect(tree.get(other)).toMatchObject({ nlink: 1, ctimeNs: tree.nowNs });
  });

  test('replaces an empty directory, also within one parent', () => {
    const sub = tree.directory('sub', b);
    expect(tree.rename([ROOT_INO, 'a'], [b, 'sub']).orphaned).toMatchObject({ ino: sub, nlink: 0 });
    expect(tree.get(ROOT_INO)).toMatchObject({ nlink: 3, entries: 1 });
    expect(tree.get(b)).toMatchObject({ nlink: 3, entries: 1 });
    const c = tree.directory('c', b);
    tree.rename([b, 'sub'], [b, 'c']);
    expect(tree.get(b)).toMatchObject({ nlink: 3, entries: 1 });
    expect(tree.get(c).nlink).toBe(0);
  });

  test('over a further name of the same file does nothing', () => {
    tree.do({ kind: 'link', ino: file, parent: b, name: nameOf('twin') });
    const before = [tree.get(a), tree.get(b), tree.get(file)];
    expect(tree.rename([a, 'file'], [b, 'twin']).invalidations).toEqual([]);
    tree.rename([a, 'file'], [b, 'twin'], 'exchange');
    tree.rename([a, 'file'], [a, 'file']);
    expect([tree.get(a), tree.get(b), tree.get(file)]).toEqual(before);
    expect(tree.errorOf(renaming([a, 'file'], [b, 'twin'], 'noreplace'))).toBe('EEXIST');
  });

  test('exchange: a file and a directory of two parents change places', () => {
    const sub = tree.directory('sub', b);
    tree.rename([a, 'file'], [b, 'sub'], 'exchange');
    const now = tree.nowNs;
    expect([tree.find(a, 'file'), tree.find(b, 'sub')]).toEqual([sub, file]);
    expect(tree.get(sub)).toMatchObject({ parent: a, ctimeNs: now });
    expect(tree.get(file)).toMatchObject({ ctimeNs: now });
    expect(tree.get(a)).toMatchObject({ nlink: 3, entries: 1, mtimeNs: now, ctimeNs: now });
    expect(tree.get(b)).toMatchObject({ nlink: 2, entries: 1, mtimeNs: now, ctimeNs: now });
  });

  test('exchange within one directory moves no counts', () => {
    const other = tree.directory('other', a);
    tree.rename([a, 'file'], [a, 'other'], 'exchange');
    expect([tree.find(a, 'file'), tree.find(a, 'other')]).toEqual([other, file]);
    expect(tree.get(a)).toMatchObject({ nlink: 3, entries: 2, mtimeNs: tree.nowNs });
  });

  test('a name of 255 bytes is the longest', () => {
    expect(tree.rename([a, 'file'], [b, '\xff'.repeat(255)]).inode.ino).toBe(file);
  });
});

describe('rename refuses', () => {
  const cases: [string, string, () => Parameters<typeof renaming>][] = [
    [
      'what is not there',
      'ENOENT',
      () => [
        [a, 'none'],
        [b, 'x'],
      ],
    ],
    [
      'a directory into itself',
      'EINVAL',
      () => [
        [ROOT_INO, 'a'],
        [a, 'x'],
      ],
    ],
    [
      'a directory into a descendant',
      'EINVAL',
      () => [
        [ROOT_INO, 'a'],
        [deep(), 'x'],
      ],
    ],
    [
      'to exchange a directory with its ancestor',
      'EINVAL',
      () => [[deep(), 'leaf'], [ROOT_INO, 'a'], 'exchange'],
    ],
    [
      'to replace its own ancestor',
      'ENOTEMPTY',
      () => [
        [deep(), 'leaf'],
        [ROOT_INO, 'a'],
      ],
    ],
    ['to exchange with nothing', 'ENOENT', () => [[a, 'file'], [b, 'none'], 'exchange']],
    ['noreplace of a taken name', 'EEXIST', () => [[a, 'file'], [ROOT_INO, 'b'], 'noreplace']],
    [
      'a file over a directory',
      'EISDIR',
      () => [
        [a, 'file'],
        [ROOT_INO, 'b'],
      ],
    ],
    [
      'a directory over a file',
      'ENOTDIR',
      () => [
        [ROOT_INO, 'b'],
        [a, 'file'],
      ],
    ],
    [
      'a directory over one with entries',
      'ENOTEMPTY',
      () => [
        [ROOT_INO, 'b'],
        [ROOT_INO, 'a'],
      ],
    ],
    [
      'a parent that is a file',
      'ENOTDIR',
      () => [
        [ROOT_INO, 'b'],
        [file, 'x'],
      ],
    ],
  ];

  const deep = (): Ino => {
    const sub = tree.directory('sub', a);
    tree.directory('leaf', sub);
    return sub;
  };

  test.each(cases)('%s: %s', (_what, code, make) => {
    const [from, to, mode] = make();
    const before = tree.namespace.readDirectory(a, '', 99);
    expect(tree.errorOf(renaming(from, to, mode))).toBe(code);
    expect(tree.namespace.readDirectory(a, '', 99)).toEqual(before);
  });
});
