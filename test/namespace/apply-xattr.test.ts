import { beforeEach, describe, expect, test } from '@jest/globals';
import { type Ino, ROOT_INO } from '../../src/core/index.js';
import { InodeFlag } from '../../src/namespace/index.js';
import { ACL_ACCESS, ACL_DEFAULT, decodeAcl } from '../../src/namespace/posix-acl.js';
import { Tree, caller, nameOf } from './support.js';

let tree: Tree;
let file: Ino;
let dir: Ino;

beforeEach(async () => {
  tree = await Tree.make();
  file = tree.file('f', ROOT_INO, 0o640, 0);
  dir = tree.directory('d');
});

const U = 1;
const NAMED_USER = 2;
const G = 4;
const MASK = 16;
const OTHER = 32;

/** An ACL as the kernel writes it: [tag, perm, id]. */
function acl(...entries: [tag: number, perm: number, id?: number][]): Uint8Array {
  const bytes = Buffer.alloc(4 + 8 * entries.length);
  bytes.writeUInt32LE(2, 0);
  entries.forEach(([tag, perm, id], index) => {
    bytes.writeUInt16LE(tag, 4 + 8 * index);
    bytes.writeUInt16LE(perm, 6 + 8 * index);
    bytes.writeUInt32LE(id ?? 0xffff_ffff, 8 + 8 * index);
  });
  return bytes;
}

const setting = (
  ino: Ino,
  name: string,
  value: Uint8Array | string,
  mode: 'either' | 'create' | 'replace' = 'either',
) => ({ kind: 'setxattr', ino, name, value: Buffer.from(value), mode, killSgid: false }) as const;

const set = (...args: Parameters<typeof setting>) => tree.do(setting(...args));
const remove = (ino: Ino, name: string) => tree.do({ kind: 'removexattr', ino, name });
const permissions = (ino: Ino): number => tree.get(ino).mode & 0o7777;
const perms = (ino: Ino, name: string): [number, number][] | undefined => {
  const bytes = tree.namespace.xattr(ino, name);
  return bytes === undefined ? undefined : decodeAcl(bytes)?.map(({ tag, perm }) => [tag, perm]);
};

describe('xattrs', () => {
  test('are set, replaced, listed and removed; ctime changes, the flag says that there are some', () => {
    set(file, 'user.b', 'one');
    set(file, 'user.a', '');
    expect(tree.get(file)).toMatchObject({ flags: InodeFlag.hasXattr, ctimeNs: tree.nowNs });
    expect(tree.namespace.xattrNames(file)).toEqual(['user.a', 'user.b']);
    expect(tree.namespace.xattr(file, 'user.a')).toHaveLength(0);
    set(file, 'user.b', 'two', 'replace');
    expect(Buffer.from(tree.namespace.xattr(file, 'user.b') ?? []).toString()).toBe('two');
    remove(file, 'user.a');
    expect(tree.get(file).flags).toBe(InodeFlag.hasXattr);
    remove(file, 'user.b');
    expect(tree.get(file)).toMatchObject({ flags: 0, ctimeNs: tree.nowNs });
  });

  test('the value is the store’s own: the caller may use the buffer again', () => {
    const value = Buffer.from('mine');
    tree.do({ ...setting(file, 'user.a', ''), value });
    value.fill(0);
    expect(Buffer.from(tree.namespace.xattr(file, 'user.a') ?? []).toString()).toBe('mine');
  });

  test.each([
    ['create of one that is there', 'EEXIST', () => setting(file, 'user.there', 'x', 'create')],
    ['replace of none', 'ENODATA', () => setting(file, 'user.none', 'x', 'replace')],
    ['a value of 64 KiB + 1', 'E2BIG', () => setting(file, 'user.x', Buffer.alloc(65_537))],
    ['a value of 64 KiB', 'none', () => setting(file, 'user.x', Buffer.alloc(65_536))],
    ['a name of 256 bytes', 'ERANGE', () => setting(file, `user.${'x'.repeat(251)}`, 'x')],
    ['a name of 255 bytes', 'none', () => setting(file, `user.${'x'.repeat(250)}`, 'x')],
    ['no namespace', 'EOPNOTSUPP', () => setting(file, 'color', 'x')],
    ['system namespace', 'EOPNOTSUPP', () => setting(file, 'system.other', 'x')],
    ['nothing after the prefix', 'EINVAL', () => setting(file, 'user.', 'x')],
    ['removing none', 'ENODATA', () => ({ kind: 'removexattr', ino: file, name: 'user.none' }) as const],
  ])('%s: %s', (_what, code, command) => {
    set(file, 'user.there', 'x');
    expect(tree.errorOf(command())).toBe(code);
  });

  test('names beyond what listxattr can return are refused', () => {
    let set255 = 0;
    while (tree.errorOf(setting(file, `user.${String(set255).padEnd(250, 'x')}`, '')) === 'none') set255++;
    expect(set255).toBe(256);
  });

  test('a capability is flagged, and killed by writes', () => {
    set(file, 'security.capability', 'cap');
    set(file, 'user.a', 'x');
    expect(tree.get(file).flags).toBe(InodeFlag.hasXattr | InodeFlag.hasCapability);
    tree.do({ kind: 'setattr', ino: file, killPrivileges: 'capability' });
    expect(tree.get(file).flags).toBe(InodeFlag.hasXattr);
    expect(tree.namespace.xattrNames(file)).toEqual(['user.a']);
    remove(file, 'user.a');
    set(file, 'security.capability', 'cap');
    tree.do({ kind: 'setattr', ino: file, uid: 5, killPrivileges: 'all' });
    expect(tree.get(file).flags).toBe(0);
  });
});

describe('POSIX ACLs', () => {
  const extended = () => acl([U, 7], [NAMED_USER, 6, 1234], [G, 5], [MASK, 6], [OTHER, 1]);

  test('an access ACL sets the mode; the group bits are its mask', () => {
    set(file, ACL_ACCESS, extended());
    expect(permissions(file)).toBe(0o761);
    expect(tree.get(file).flags).toBe(InodeFlag.hasXattr | InodeFlag.hasAccessAcl);
  });

  test('an ACL that says no more than a mode is not kept', () => {
    set(file, ACL_ACCESS, extended());
    set(file, ACL_ACCESS, acl([U, 6], [G, 4], [OTHER, 0]));
    expect(permissions(file)).toBe(0o640);
    expect(tree.get(file).flags).toBe(0);
    expect(tree.namespace.xattrNames(file)).toEqual([]);
  });

  test('chmod rewrites owner, mask and others', () => {
    set(file, ACL_ACCESS, extended());
    tree.do({ kind: 'setattr', ino: file, mode: 0o4710 });
    expect(perms(file, ACL_ACCESS)).toEqual([
      [U, 7],
      [NAMED_USER, 6],
      [G, 5],
      [MASK, 1],
      [OTHER, 0],
    ]);
    expect(permissions(file)).toBe(0o4710);
  });

  test('setting what is there already, or removing what is not, leaves ctime alone, as on ext4', () => {
    const named = acl([U, 6], [NAMED_USER, 7, 1000], [G, 4], [MASK, 6], [OTHER, 0]);
    set(file, ACL_ACCESS, named);
    set(dir, ACL_DEFAULT, named);
    set(file, 'user.a', 'one');
    const [fileNs, dirNs] = [tree.get(file).ctimeNs, tree.get(dir).ctimeNs];
    set(file, ACL_ACCESS, named);
    set(file, 'user.a', 'one');
    remove(file, ACL_DEFAULT);
    set(dir, ACL_DEFAULT, named);
    remove(dir, ACL_ACCESS);
    expect([tree.get(file).ctimeNs, tree.get(dir).ctimeNs]).toEqual([fileNs, dirNs]);
    set(file, 'user.a', 'two');
    expect(tree.get(file).ctimeNs).toBeGreaterThan(fileNs);
  });

  test('setgid is dropped where the kernel asks for it', () => {
    tree.do({ kind: 'setattr', ino: file, mode: 0o2755 });
    tree.do({ ...setting(file, ACL_ACCESS, extended()), killSgid: true });
    expect(permissions(file)).toBe(0o761);
  });

  test('removing an ACL leaves the mode, and succeeds where there is none', () => {
    set(file, ACL_ACCESS, extended());
    remove(file, ACL_ACCESS);
    remove(file, ACL_ACCESS);
    expect([permissions(file), tree.get(file).flags]).toEqual([0o761, 0]);
    set(file, ACL_ACCESS, acl()); // an empty list means the same
  });

  test('files and directories inherit a default ACL, whatever the umask', () => {
    set(dir, ACL_DEFAULT, acl([U, 7], [NAMED_USER, 7, 1234], [G, 5], [MASK, 7], [OTHER, 5]));
    const child = tree.file('x', dir, 0o664, 0o077);
    expect(permissions(child)).toBe(0o664);
    expect(perms(child, ACL_ACCESS)).toEqual([
      [U, 6],
      [NAMED_USER, 7],
      [G, 5],
      [MASK, 6],
      [OTHER, 4],
    ]);
    expect(tree.get(child).flags).toBe(InodeFlag.hasXattr | InodeFlag.hasAccessAcl);
    const sub = tree.directory('s', dir, 0o750, 0o077);
    expect(permissions(sub)).toBe(0o750);
    expect(perms(sub, ACL_DEFAULT)).toEqual([
      [U, 7],
      [NAMED_USER, 7],
      [G, 5],
      [MASK, 7],
      [OTHER, 5],
    ]);
  });

  test('a minimal default ACL gives modes only, and goes on to subdirectories', () => {
    set(dir, ACL_DEFAULT, acl([U, 7], [G, 5], [OTHER, 0]));
    const child = tree.file('x', dir, 0o666, 0o077);
    expect([permissions(child), tree.get(child).flags]).toEqual([0o640, 0]);
    const sub = tree.directory('s', dir, 0o777, 0o077);
    expect(permissions(sub)).toBe(0o750);
    expect(tree.get(sub).flags).toBe(InodeFlag.hasXattr | InodeFlag.hasDefaultAcl);
  });

  test('a symlink inherits none', () => {
    set(dir, ACL_DEFAULT, acl([U, 7], [G, 5], [OTHER, 0]));
    const ino = tree.nextIno();
    tree.do({ kind: 'symlink', parent: dir, name: nameOf('l'), ino, caller, target: 'x' });
    expect([permissions(ino), tree.get(ino).flags]).toEqual([0o777, 0]);
    expect(tree.errorOf(setting(ino, ACL_ACCESS, extended()))).toBe('EOPNOTSUPP');
  });

  test.each([
    ['a default ACL of a file', 'EACCES', () => setting(file, ACL_DEFAULT, extended())],
    ['no bytes', 'EINVAL', () => setting(file, ACL_ACCESS, '')],
    ['another version', 'EOPNOTSUPP', () => setting(file, ACL_ACCESS, Buffer.from([1, 0, 0, 0]))],
    ['half an entry', 'EINVAL', () => setting(file, ACL_ACCESS, extended().subarray(0, 22))],
    [
      'no mask',
      'EINVAL',
      () => setting(file, ACL_ACCESS, acl([U, 7], [NAMED_USER, 6, 1], [G, 5], [OTHER, 1])),
    ],
    ['no owner', 'EINVAL', () => setting(file, ACL_ACCESS, acl([G, 5], [OTHER, 1]))],
    ['wrong order', 'EINVAL', () => setting(file, ACL_ACCESS, acl([G, 5], [U, 7], [OTHER, 1]))],
    ['two owners', 'EINVAL', () => setting(file, ACL_ACCESS, acl([U, 7], [U, 7], [G, 5], [OTHER, 1]))],
    ['an unknown tag', 'EINVAL', () => setting(file, ACL_ACCESS, acl([U, 7], [G, 5], [OTHER, 1], [64, 1]))],
    ['an unknown permission', 'EINVAL', () => setting(file, ACL_ACCESS, acl([U, 8], [G, 5], [OTHER, 1]))],
    [
      'a user without id',
      'EINVAL',
      () => setting(file, ACL_ACCESS, acl([U, 7], [NAMED_USER, 6], [G, 5], [MASK, 6], [OTHER, 1])),
    ],
  ])('%s: %s', (_what, code, command) => {
    expect(tree.errorOf(command())).toBe(code);
  });
});
