import { GfsError, type TimeNs } from '../core/index.js';
import { CAPABILITY, flagsWithout } from './apply-attr.js';
import { ChangeSet, inodeOf } from './change-set.js';
import type { Applied, RemovexattrCommand, SetxattrCommand } from './commands.js';
import { XATTR_LIST_BYTES_MAX, XATTR_NAME_BYTES_MAX, XATTR_VALUE_BYTES_MAX } from './limits.js';
import { ACL_ACCESS, ACL_DEFAULT, decodeAcl, encodeAcl, modeOfAcl } from './posix-acl.js';
import { type InodeRecord, InodeFlag, S_ISGID, isDirectory, isSymlink } from './records.js';
import type { NamespaceView } from './view.js';

/** The namespaces that ext4 keeps; `system.` holds nothing but the ACLs. */
const PREFIXES = ['user.', 'trusted.', 'security.'];

/** The flag that says that this very xattr exists, for those that have one. */
export function xattrFlag(name: string): number {
  switch (name) {
    case ACL_ACCESS:
      return InodeFlag.hasAccessAcl;
    case ACL_DEFAULT:
      return InodeFlag.hasDefaultAcl;
    case CAPABILITY:
      return InodeFlag.hasCapability;
    default:
      return 0;
  }
}

export function applySetxattr(view: NamespaceView, command: SetxattrCommand): Applied {
  const { name, value, mode, timeNs } = command;
  const inode = inodeOf(view, command.ino);
  requireName(name);
  if (value.length > XATTR_VALUE_BYTES_MAX) throw new GfsError('E2BIG', 'xattr value too long');
  if (name === ACL_ACCESS || name === ACL_DEFAULT) return applySetAcl(view, inode, command);
  const before = view.xattr(inode.ino, name);
  if (before !== undefined && mode === 'create') throw new GfsError('EEXIST', 'the xattr exists');
  if (before === undefined && mode === 'replace') throw new GfsError('ENODATA', 'no such xattr');
  if (before === undefined) requireListRoom(view, inode, name);
  else if (sameBytes(before, value)) return unchanged(inode);
  // A copy: the value may lie in the buffer that requests are read into.
  return withXattr(new ChangeSet(), inode, name, Uint8Array.from(value), timeNs);
}

/** posix_acl_update_mode and simple_set_acl: an access ACL sets the mode; one that says no more is not kept. */
function applySetAcl(view: NamespaceView, inode: InodeRecord, command: SetxattrCommand): Applied {
  const { name, timeNs } = command;
  if (isSymlink(inode)) throw new GfsError('EOPNOTSUPP', 'symlinks have no ACL');
  const acl = decodeAcl(command.value);
  if (acl === undefined) return removeAcl(view, inode, name, timeNs);
  const value = encodeAcl(acl);
  const before = view.xattr(inode.ino, name);
  const same = before !== undefined && sameBytes(before, value);
  if (name === ACL_DEFAULT) {
    if (!isDirectory(inode)) throw new GfsError('EACCES', 'only directories have a default ACL');
    return same ? unchanged(inode) : withXattr(new ChangeSet(), inode, name, value, timeNs);
  }
  const { bits, minimal } = modeOfAcl(acl);
  const mode = ((inode.mode & ~0o777) | bits) & (command.killSgid ? ~S_ISGID : ~0);
  if (mode === inode.mode && (minimal ? before === undefined : same)) return unchanged(inode);
  if (minimal) return withoutXattr(view, { ...inode, mode }, name, timeNs);
  return withXattr(new ChangeSet(), { ...inode, mode }, name, value, timeNs);
}

export function applyRemovexattr(view: NamespaceView, command: RemovexattrCommand): Applied {
  const { name, timeNs } = command;
  const inode = inodeOf(view, command.ino);
  requireName(name);
  if (name === ACL_ACCESS || name === ACL_DEFAULT) return removeAcl(view, inode, name, timeNs);
  if (view.xattr(inode.ino, name) === undefined) throw new GfsError('ENODATA', 'no such xattr');
  return withoutXattr(view, inode, name, timeNs);
}

/** To remove an ACL that is not there succeeds on Linux (vfs_remove_acl), and changes nothing. */
function removeAcl(view: NamespaceView, inode: InodeRecord, name: string, timeNs: TimeNs): Applied {
  if (view.xattr(inode.ino, name) === undefined) return unchanged(inode);
  return withoutXattr(view, inode, name, timeNs);
}

/** ext4 leaves an inode alone, ctime included, when an xattr is set to what it is (ext4_xattr_set_handle). */
const unchanged = (inode: InodeRecord): Applied => new ChangeSet().applied(inode);

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

function withXattr(
  changes: ChangeSet,
  inode: InodeRecord,
  name: string,
  value: Uint8Array,
  ctimeNs: TimeNs,
): Applied {
  changes.xattr(inode.ino, name, value);
  const flags = inode.flags | InodeFlag.hasXattr | xattrFlag(name);
  return changes.applied(changes.put({ ...inode, flags, ctimeNs }));
}

function withoutXattr(view: NamespaceView, inode: InodeRecord, name: string, ctimeNs: TimeNs): Applied {
  const changes = new ChangeSet();
  if (view.xattr(inode.ino, name) !== undefined) changes.xattr(inode.ino, name, undefined);
  const flags = flagsWithout(view, inode, name, xattrFlag(name));
  return changes.applied(changes.put({ ...inode, flags, ctimeNs }));
}

/** @throws GfsError ERANGE, EOPNOTSUPP, EINVAL */
function requireName(name: string): void {
  if (name === '' || name.length > XATTR_NAME_BYTES_MAX) {
    throw new GfsError('ERANGE', 'xattr names have 1 to 255 bytes');
  }
  if (name === ACL_ACCESS || name === ACL_DEFAULT) return;
  const prefix = PREFIXES.find((known) => name.startsWith(known));
  if (prefix === undefined) throw new GfsError('EOPNOTSUPP', `no such kind of xattr: ${name}`);
  if (name === prefix) throw new GfsError('EINVAL', `xattr name ends after its prefix: ${name}`);
}

/** More names than listxattr(2) can return would be names that nobody can list. @throws GfsError ENOSPC */
function requireListRoom(view: NamespaceView, inode: InodeRecord, name: string): void {
  let bytes = name.length + 1;
  for (const other of view.xattrNames(inode.ino)) bytes += other.length + 1;
  if (bytes > XATTR_LIST_BYTES_MAX) throw new GfsError('ENOSPC', 'too many xattrs on one file');
}
