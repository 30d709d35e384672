import { GfsError, type Ino, NAME_BYTES_MAX, type Name, type TimeNs } from '../core/index.js';
import { ChangeSet, directoryAfter, hasFlag, liveDirectoryOf, requireLinkRoom } from './change-set.js';
import type {
  Applied,
  CreateCommand,
  MkdirCommand,
  MknodCommand,
  SymlinkCommand,
  TmpfileCommand,
} from './commands.js';
import { TARGET_BYTES_MAX } from './limits.js';
import { ACL_ACCESS, ACL_DEFAULT, type Acl, decodeAcl, encodeAcl, inheritAcl } from './posix-acl.js';
import {
  EMPTY_MANIFEST,
  type InodeRecord,
  InodeFlag,
  type MutableInode,
  NO_SOURCES,
  PERMISSION_BITS,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
  S_ISGID,
} from './records.js';
import type { NamespaceView } from './view.js';

/** `create`, `mkdir` and `mknod`: an inode with a name, whose mode depends on umask or default ACL. */
export function applyCreate(
  view: NamespaceView,
  command: CreateCommand | MkdirCommand | MknodCommand,
): Applied {
  const parent = parentForNew(view, command);
  const type = typeOfNew(command);
  if (type === S_IFDIR) requireLinkRoom(parent);
  const changes = new ChangeSet();
  const rdev = command.kind === 'mknod' && (type === S_IFBLK || type === S_IFCHR) ? command.rdev : 0;
  const inode = newInode(command, parent, initialMode(view, changes, parent, command, type));
  inode.rdev = rdev;
  changes.add(inode);
  changes.name(command.parent, command.name, inode);
  const subdirectories = type === S_IFDIR ? 1 : 0;
  changes.put(directoryAfter(parent, { entries: 1, subdirectories }, command.timeNs));
  return changes.applied(inode);
}

/** Symlinks have mode 0777, whatever umask and default ACL say. */
export function applySymlink(view: NamespaceView, command: SymlinkCommand): Applied {
  const parent = parentForNew(view, command);
  const { target } = command;
  if (target.length > TARGET_BYTES_MAX) throw new GfsError('ENAMETOOLONG', 'symlink target too long');
  if (target === '') throw new GfsError('ENOENT', 'symlink target is empty');
  const changes = new ChangeSet();
  const inode = newInode(command, parent, { mode: S_IFLNK | 0o777, flags: 0 });
  inode.size = target.length;
  inode.target = target;
  changes.add(inode);
  changes.name(command.parent, command.name, inode);
  changes.put(directoryAfter(parent, { entries: 1, subdirectories: 0 }, command.timeNs));
  return changes.applied(inode);
}

/** An inode without a name; the directory does not change. */
export function applyTmpfile(view: NamespaceView, command: TmpfileCommand): Applied {
  const parent = liveDirectoryOf(view, command.parent);
  const changes = new ChangeSet();
  const initial = initialMode(view, changes, parent, command, S_IFREG);
  const inode = newInode(command, parent, initial);
  inode.nlink = 0;
  inode.flags |= InodeFlag.linkable;
  changes.add(inode);
  changes.orphan(inode.ino, true);
  return changes.applied(inode, inode);
}

function parentForNew(view: NamespaceView, command: { parent: Ino; name: Name }): InodeRecord {
  const parent = liveDirectoryOf(view, command.parent);
  requireFreeName(view, command.parent, command.name);
  return parent;
}

/** @throws GfsError EEXIST; ENAMETOOLONG (the name's own parser has refused it before: a pair of checks) */
export function requireFreeName(view: NamespaceView, parent: Ino, name: Name): void {
  if (name.length > NAME_BYTES_MAX) throw new GfsError('ENAMETOOLONG', 'name too long');
  if (view.dentry(parent, name) !== undefined) {
    throw new GfsError('EEXIST', 'the name is taken', { context: { parent, name } });
  }
}

/** @throws GfsError EPERM for a directory by mknod(2), EINVAL for a type that does not exist */
function typeOfNew(command: CreateCommand | MkdirCommand | MknodCommand): number {
  if (command.kind === 'create') return S_IFREG;
  if (command.kind === 'mkdir') return S_IFDIR;
  const type = command.mode & S_IFMT;
  switch (type) {
    case 0:
    case S_IFREG:
      return S_IFREG;
    case S_IFIFO:
    case S_IFSOCK:
    case S_IFBLK:
    case S_IFCHR:
      return type;
    case S_IFDIR:
      throw new GfsError('EPERM', 'mknod makes no directories');
    default:
      throw new GfsError('EINVAL', `mknod: unknown type ${type.toString(8)}`);
  }
}

interface InitialMode {
  readonly mode: number;
  readonly flags: number;
}

/** Mode and ACLs of a new inode: by the parent's default ACL where there is one, else by the umask. */
function initialMode(
  view: NamespaceView,
  changes: ChangeSet,
  parent: InodeRecord,
  command: { readonly ino: Ino; readonly mode: number; readonly umask: number },
  type: number,
): InitialMode {
  const setgid = type === S_IFDIR ? parent.mode & S_ISGID : 0;
  const asked = type | (command.mode & PERMISSION_BITS) | setgid;
  const inherited = hasFlag(parent, 'hasDefaultAcl') ? defaultAclOf(view, parent) : undefined;
  if (inherited === undefined) return { mode: asked & ~(command.umask & 0o777), flags: 0 };

  const { mode, access } = inheritAcl(inherited.acl, asked);
  let flags = 0;
  if (access !== undefined) {
    changes.xattr(command.ino, ACL_ACCESS, encodeAcl(access));
    flags |= InodeFlag.hasXattr | InodeFlag.hasAccessAcl;
  }
  if (type === S_IFDIR) {
    changes.xattr(command.ino, ACL_DEFAULT, inherited.bytes);
    flags |= InodeFlag.hasXattr | InodeFlag.hasDefaultAcl;
  }
  return { mode, flags };
}

function defaultAclOf(view: NamespaceView, parent: InodeRecord): { acl: Acl; bytes: Uint8Array } | undefined {
  const bytes = view.xattr(parent.ino, ACL_DEFAULT);
  const acl = bytes === undefined ? undefined : decodeAcl(bytes);
  return bytes === undefined || acl === undefined ? undefined : { acl, bytes };
}

/** Owner: the caller; group: the caller's, or in a setgid directory the directory's (inode_init_owner). */
function newInode(
  command: { ino: Ino; caller: { uid: number; gid: number }; timeNs: TimeNs },
  parent: InodeRecord,
  { mode, flags }: InitialMode,
): MutableInode {
  const { ino, caller, timeNs } = command;
  const directory = (mode & S_IFMT) === S_IFDIR;
  return {
    ino,
    mode,
    uid: caller.uid,
    gid: (parent.mode & S_ISGID) === 0 ? caller.gid : parent.gid,
    nlink: directory ? 2 : 1,
    size: 0,
    allocatedBytes: 0,
    rdev: 0,
    atimeNs: timeNs,
    mtimeNs: timeNs,
    ctimeNs: timeNs,
    btimeNs: timeNs,
    flags,
    version: 0,
    manifest: EMPTY_MANIFEST,
    sources: NO_SOURCES,
    target: '',
    parent: directory ? parent.ino : 0,
    entries: 0,
  };
}
