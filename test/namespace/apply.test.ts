import { beforeEach, describe, expect, test } from '@jest/globals';
import { type Ino, ROOT_INO, timeNs } from '../../src/core/index.js';
import { EMPTY_MANIFEST, S_IFDIR, S_IFLNK, S_IFMT } from '../../src/namespace/index.js';
import { Tree, caller, nameOf, renaming } from './support.js';

let tree: Tree;

beforeEach(async () => {
  tree = await Tree.make();
});

type TimeField = 'atimeNs' | 'mtimeNs' | 'ctimeNs';

/** Which of an inode's times a step changes; each must then be the step's own time. */
function timesChanged(ino: Ino, step: () => unknown): TimeField[] {
  const before = tree.get(ino);
  step();
  const after = tree.get(ino);
  const changed = (['atimeNs', 'mtimeNs', 'ctimeNs'] as const).filter(
    (field) => after[field] !== before[field],
  );
  for (const field of changed) expect(after[field]).toBe(tree.nowNs);
  return changed;
}

describe('making inodes', () => {
  test('a new file has the caller as owner, one link, and one time', () => {
    const ino = tree.file('f');
    const now = tree.nowNs;
    expect(tree.get(ino)).toMatchObject({
      ...{ uid: caller.uid, gid: caller.gid, nlink: 1, size: 0, version: 0, manifest: EMPTY_MANIFEST },
      ...{ atimeNs: now, mtimeNs: now, ctimeNs: now, btimeNs: now, flags: 0, parent: 0, rdev: 0 },
    });
    expect(tree.get(ino).mode & 0o7777).toBe(0o644);
  });

  test('the parent gets an entry, and new mtime and ctime; a subdirectory is a link too', () => {
    expect(timesChanged(ROOT_INO, () => tree.file('f'))).toEqual(['mtimeNs', 'ctimeNs']);
    expect(tree.get(ROOT_INO)).toMatchObject({ nlink: 2, entries: 1 });
    expect(timesChanged(ROOT_INO, () => tree.directory('d'))).toEqual(['mtimeNs', 'ctimeNs']);
    expect(tree.get(ROOT_INO)).toMatchObject({ nlink: 3, entries: 2 });
    expect(tree.get(tree.find(ROOT_INO, 'd') as Ino)).toMatchObject({
      nlink: 2,
      entries: 0,
      parent: ROOT_INO,
    });
  });

  test('a name is taken once', () => {
    tree.file('f');
    const ino = tree.nextIno();
    const base = { parent: ROOT_INO, name: nameOf('f'), ino, caller };
    expect(tree.errorOf({ kind: 'create', ...base, mode: 0o644, umask: 0 })).toBe('EEXIST');
    expect(tree.errorOf({ kind: 'mkdir', ...base, mode: 0o755, umask: 0 })).toBe('EEXIST');
    expect(tree.errorOf({ kind: 'symlink', ...base, target: 'x' })).toBe('EEXIST');
  });

  test('a parent must be a directory, and be', () => {
    const file = tree.file('f');
    const base = { name: nameOf('x'), ino: tree.nextIno(), caller, mode: 0o644, umask: 0 };
    expect(tree.errorOf({ kind: 'create', parent: file, ...base })).toBe('ENOTDIR');
    expect(tree.errorOf({ kind: 'create', parent: 999_999 as Ino, ...base })).toBe('ESTALE');
  });

  test('nothing is made in a directory that was removed', () => {
    const dir = tree.directory('d');
    tree.do({ kind: 'rmdir', parent: ROOT_INO, name: nameOf('d') });
    const base = { parent: dir, name: nameOf('x'), ino: tree.nextIno(), caller, mode: 0o644, umask: 0 };
    expect(tree.errorOf({ kind: 'create', ...base })).toBe('ENOENT');
    expect(tree.errorOf({ kind: 'mkdir', ...base })).toBe('ENOENT');
    const file = tree.file('f');
    expect(tree.errorOf({ kind: 'link', ino: file, parent: dir, name: nameOf('x') })).toBe('ENOENT');
    expect(tree.errorOf(renaming([ROOT_INO, 'f'], [dir, 'x']))).toBe('ENOENT');
  });

  test('in a setgid directory the group is the directory’s, and subdirectories are setgid', () => {
    const dir = tree.directory('d');
    tree.do({ kind: 'setattr', ino: dir, mode: 0o2775, gid: 777 });
    expect(tree.get(tree.file('f', dir))).toMatchObject({ gid: 777 });
    expect(tree.get(tree.file('f2', dir)).mode & 0o7000).toBe(0);
    const sub = tree.get(tree.directory('s', dir));
    expect(sub).toMatchObject({ gid: 777, mode: S_IFDIR | 0o2755 });
  });

  test('a symlink has mode 0777 whatever the umask, and its target’s length as size', () => {
    const ino = tree.nextIno();
    tree.do({ kind: 'symlink', parent: ROOT_INO, name: nameOf('l'), ino, caller, target: 'some/where' });
    expect(tree.get(ino)).toMatchObject({ mode: S_IFLNK | 0o777, size: 10, target: 'some/where', nlink: 1 });
  });

  test('a symlink’s target has at most 4095 bytes', () => {
    const base = {
      kind: 'symlink',
      parent: ROOT_INO,
      name: nameOf('l'),
      ino: tree.nextIno(),
      caller,
    } as const;
    expect(tree.errorOf({ ...base, target: 'x'.repeat(4096) })).toBe('ENAMETOOLONG');
    expect(tree.errorOf({ ...base, target: '' })).toBe('ENOENT');
    expect(tree.errorOf({ ...base, target: 'x'.repeat(4095) })).toBe('none');
  });

  test.each([
    ['FIFO', 0o010644, 0, 'none'],
    ['socket', 0o140644, 0, 'none'],
    ['block device', 0o060644, 0x801, 'none'],
    ['character device', 0o020644, 0x103, 'none'],
    ['regular file', 0o100644, 0, 'none'],
    ['type 0', 0o644, 0, 'none'],
    ['directory', 0o040755, 0, 'EPERM'],
    ['symlink', 0o120777, 0, 'EINVAL'],
    ['unknown type', 0o130644, 0, 'EINVAL'],
  ])('mknod of a %s', (_what, mode, rdev, outcome) => {
    const ino = tree.nextIno();
    const base = { parent: ROOT_INO, name: nameOf('n'), ino, caller };
    expect(tree.errorOf({ kind: 'mknod', ...base, mode, rdev: rdev === 0 ? 99 : rdev, umask: 0 })).toBe(
      outcome,
    );
    if (outcome === 'none') {
      expect(tree.get(ino)).toMatchObject({ mode: (mode & S_IFMT) === 0 ? 0o100644 : mode, rdev });
    }
  });
});

describe('links', () => {
  test('a further name adds a link, and changes ctime and the directory', () => {
    const file = tree.file('f');
    const dir = tree.directory('d');
    const link = (): unknown => tree.do({ kind: 'link', ino: file, parent: dir, name: nameOf('g') });
    const parentTimes = timesChanged(dir, () => expect(timesChanged(file, link)).toEqual(['ctimeNs']));
    expect(parentTimes).toEqual(['mtimeNs', 'ctimeNs']);
    expect(tree.get(file).nlink).toBe(2);
    expect(tree.errorOf({ kind: 'link', ino: file, parent: dir, name: nameOf('g') })).toBe('EEXIST');
    expect(tree.errorOf({ kind: 'link', ino: dir, parent: ROOT_INO, name: nameOf('h') })).toBe('EPERM');
  });

  test('unlink takes a name, and the last one leaves an orphan', () => {
    const file = tree.file('f');
    tree.do({ kind: 'link', ino: file, parent: ROOT_INO, name: nameOf('g') });
    const unlink = (name: string) => tree.do({ kind: 'unlink', parent: ROOT_INO, name: nameOf(name) });
    expect(timesChanged(file, () => expect(unlink('f').orphaned).toBeUndefined())).toEqual(['ctimeNs']);
    const parentTimes = timesChanged(ROOT_INO, () =>
      expect(unlink('g').orphaned).toMatchObject({ ino: file, nlink: 0 }),
    );
    expect(parentTimes).toEqual(['mtimeNs', 'ctimeNs']);
    expect(tree.get(ROOT_INO).entries).toBe(0);
    expect(tree.namespace.orphans()).toEqual([file]);
    expect(tree.errorOf({ kind: 'link', ino: file, parent: ROOT_INO, name: nameOf('h') })).toBe('ENOENT');
  });

  test('unlink and rmdir know files from directories', () => {
    tree.file('f');
    const dir = tree.directory('d');
    tree.file('x', dir);
    const at = (name: string) => ({ parent: ROOT_INO, name: nameOf(name) });
    expect(tree.errorOf({ kind: 'unlink', ...at('none') })).toBe('ENOENT');
    expect(tree.errorOf({ kind: 'rmdir', ...at('none') })).toBe('ENOENT');
    expect(tree.errorOf({ kind: 'unlink', ...at('d') })).toBe('EISDIR');
    expect(tree.errorOf({ kind: 'rmdir', ...at('f') })).toBe('ENOTDIR');
    expect(tree.errorOf({ kind: 'rmdir', ...at('d') })).toBe('ENOTEMPTY');
  });

  test('a removed directory has no links, and its parent one fewer', () => {
    const dir = tree.directory('d');
    const { orphaned } = tree.do({ kind: 'rmdir', parent: ROOT_INO, name: nameOf('d') });
    expect(orphaned).toMatchObject({ ino: dir, nlink: 0 });
    expect(tree.get(ROOT_INO)).toMatchObject({ nlink: 2, entries: 0 });
    expect(tree.namespace.orphans()).toEqual([dir]);
  });

  test('what tmpfile made can be named, once', () => {
    const ino = tree.nextIno();
    const made = tree.do({ kind: 'tmpfile', parent: ROOT_INO, ino, caller, mode: 0o600, umask: 0 });
    expect(made.inode).toMatchObject({ nlink: 0 });
    expect(tree.namespace.orphans()).toEqual([ino]);
    tree.do({ kind: 'link', ino, parent: ROOT_INO, name: nameOf('named') });
    expect(tree.get(ino)).toMatchObject({ nlink: 1, flags: 0 });
    expect(tree.namespace.orphans()).toEqual([]);
    tree.do({ kind: 'unlink', parent: ROOT_INO, name: nameOf('named') });
    expect(tree.errorOf({ kind: 'link', ino, parent: ROOT_INO, name: nameOf('again') })).toBe('ENOENT');
  });

  test('reap deletes an orphan with its xattrs, and leaves alone what has a name', () => {
    const file = tree.file('f');
    const value = Buffer.from('v');
    tree.do({ kind: 'setxattr', ino: file, name: 'user.a', value, mode: 'either', killSgid: false });
    tree.do({ kind: 'reap', ino: file });
    expect(tree.get(file).nlink).toBe(1);
    tree.do({ kind: 'unlink', parent: ROOT_INO, name: nameOf('f') });
    tree.do({ kind: 'reap', ino: file });
    expect(tree.namespace.inode(file)).toBeUndefined();
    expect(tree.namespace.orphans()).toEqual([]);
    expect(tree.namespace.stats()).toEqual({ inodes: 1 });
    expect(tree.errorOf({ kind: 'reap', ino: file })).toBe('ESTALE');
  });
});

describe('setattr', () => {
  test('chmod changes permission bits and ctime alone', () => {
    const ino = tree.file('f');
    expect(timesChanged(ino, () => tree.do({ kind: 'setattr', ino, mode: 0o100_4755 }))).toEqual(['ctimeNs']);
    expect(tree.get(ino).mode).toBe(0o104755);
  });

  test('times are set as given, ctime too', () => {
    const ino = tree.file('f');
    const [atimeNs, mtimeNs, ctimeNs] = [timeNs(-5n), timeNs(2n ** 62n), timeNs(7n)];
    tree.do({ kind: 'setattr', ino, atimeNs, mtimeNs, ctimeNs });
    expect(tree.get(ino)).toMatchObject({ atimeNs, mtimeNs, ctimeNs });
  });

  test.each([
    ['a directory', 'EISDIR', () => tree.directory('x'), 0],
    ['a FIFO', 'EINVAL', () => makeFifo(), 0],
    ['a file beyond 2^53', 'EFBIG', () => tree.file('x'), 2 ** 53],
    ['a file to its limit', 'none', () => tree.file('x'), 2 ** 53 - 1],
  ])('truncating %s: %s', (_what, outcome, make, size) => {
    expect(tree.errorOf({ kind: 'setattr', ino: make(), size })).toBe(outcome);
  });

  const makeFifo = (): Ino => {
    const ino = tree.nextIno();
    const base = { parent: ROOT_INO, name: nameOf('p'), ino, caller };
    tree.do({ kind: 'mknod', ...base, mode: 0o010644, umask: 0, rdev: 0 });
    return ino;
  };

  test.each([
    [0o6755, 'suid-sgid', 0o0755],
    [0o6745, 'suid-sgid', 0o2745], // setgid without group-execute means mandatory locking
    [0o6755, 'capability', 0o6755],
    [0o7777, 'all', 0o1777],
  ] as const)('privileges of %o killed by %s leave %o', (mode, killPrivileges, left) => {
    const ino = tree.file('f');
    tree.do({ kind: 'setattr', ino, mode });
    tree.do({ kind: 'setattr', ino, killPrivileges });
    expect(tree.get(ino).mode & 0o7777).toBe(left);
  });

  test('setgid without group-execute goes too where the caller is not of the group', () => {
    const ino = tree.file('f');
    tree.do({ kind: 'setattr', ino, mode: 0o6745 });
    tree.do({ kind: 'setattr', ino, killPrivileges: 'all', killSetgid: true });
    expect(tree.get(ino).mode & 0o7777).toBe(0o745);
  });

  test('a directory keeps setgid when its owner changes', () => {
    const ino = tree.directory('d');
    tree.do({ kind: 'setattr', ino, mode: 0o6777 });
    tree.do({ kind: 'setattr', ino, uid: 5, killPrivileges: 'all' });
    expect(tree.get(ino)).toMatchObject({ uid: 5, mode: S_IFDIR | 0o6777 });
  });
});

describe('commit', () => {
  test('publishes the next version, and leaves the times alone', () => {
    const ino = tree.file('f');
    const manifest = { kind: 'inline', blocks: [{ index: 0, hash: 'ab'.repeat(32) as never }] } as const;
    const content = { kind: 'commit', ino, manifest, size: 9, allocatedBytes: 4096 } as const;
    const commit = () => tree.namespace.execute({ ...content, baseVersion: 0 });
    expect(timesChanged(ino, commit)).toEqual([]);
    expect(tree.get(ino)).toMatchObject({ version: 1, manifest, size: 9, allocatedBytes: 4096 });
    expect(tree.errorOf({ ...content, baseVersion: 0 })).toBe('ESTALE');
    expect(tree.errorOf({ ...content, ino: 4711 as Ino, baseVersion: 0 })).toBe('ENOENT');
  });
});
