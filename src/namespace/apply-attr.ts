import { GfsError } from '../core/index.js';
import { ChangeSet, hasFlag, inodeOf } from './change-set.js';
import type { Applied, CommitCommand, ReapCommand, SetattrCommand } from './commands.js';
import { FILE_BYTES_MAX } from './limits.js';
import { ACL_ACCESS, aclAfterChmod, decodeAcl, encodeAcl } from './posix-acl.js';
import {
  type InodeRecord,
  InodeFlag,
  NO_SOURCES,
  PERMISSION_BITS,
  S_IFMT,
  S_ISGID,
  S_ISUID,
  copyOf,
  isDirectory,
  isRegular,
} from './records.js';
import type { NamespaceView } from './view.js';

const S_IXGRP = 0o010;
export const CAPABILITY = 'security.capability';

/** chmod, chown, truncate, utimensat; see SetattrCommand for which times move. */
export function applySetattr(view: NamespaceView, command: SetattrCommand): Applied {
  const inode = inodeOf(view, command.ino);
  if (command.size !== undefined) requireSizable(inode, command.size);
  const changes = new ChangeSet();
  const after = copyOf(inode);
  after.ctimeNs = command.ctimeNs ?? command.timeNs;
  if (command.uid !== undefined) after.uid = command.uid;
  if (command.gid !== undefined) after.gid = command.gid;
  if (command.size !== undefined) after.size = command.size;
  if (command.allocatedBytes !== undefined) after.allocatedBytes = command.allocatedBytes;
  if (command.atimeNs !== undefined) after.atimeNs = command.atimeNs;
  if (command.mtimeNs !== undefined) after.mtimeNs = command.mtimeNs;
  if (command.mode !== undefined) {
    after.mode = (inode.mode & S_IFMT) | (command.mode & PERMISSION_BITS);
    chmodAcl(view, changes, inode, after.mode);
  }
  const { killPrivileges } = command;
  if (killPrivileges === 'all' || killPrivileges === 'suid-sgid') {
    after.mode = withoutSetid(after.mode, command.killSetgid);
  }
  if ((killPrivileges === 'all' || killPrivileges === 'capability') && hasFlag(inode, 'hasCapability')) {
    changes.xattr(inode.ino, CAPABILITY, undefined);
    after.flags = flagsWithout(view, inode, CAPABILITY, InodeFlag.hasCapability);
  }
  return changes.applied(changes.put(after));
}

/** @throws GfsError EISDIR, EINVAL, EFBIG */
function requireSizable(inode: InodeRecord, size: number): void {
  if (isDirectory(inode)) throw new GfsError('EISDIR', 'a directory has no size to set');
  if (!isRegular(inode) || size < 0) throw new GfsError('EINVAL', 'only regular files can be truncated');
  if (size > FILE_BYTES_MAX) throw new GfsError('EFBIG', `the largest file has ${FILE_BYTES_MAX} bytes`);
}

/**
 * What a write, truncate or chown takes away: setuid, and setgid where it means more than mandatory
 * locking (with `killSetgid`, anyhow). Directories keep theirs (there it means something else).
 */
export function withoutSetid(mode: number, killSetgid = false): number {
  if (isDirectory({ mode })) return mode;
  return mode & ~S_ISUID & ((mode & S_IXGRP) !== 0 || killSetgid ? ~S_ISGID : ~0);
}

/** The access ACL's owner, mask and others follow the mode. */
function chmodAcl(view: NamespaceView, changes: ChangeSet, inode: InodeRecord, mode: number): void {
  if (!hasFlag(inode, 'hasAccessAcl')) return;
  const bytes = view.xattr(inode.ino, ACL_ACCESS);
  const acl = bytes === undefined ? undefined : decodeAcl(bytes);
  if (acl !== undefined) changes.xattr(inode.ino, ACL_ACCESS, encodeAcl(aclAfterChmod(acl, mode)));
}

/** The inode's flags once the xattr `name` is gone. `own` is that xattr's own flag, or 0. */
export function flagsWithout(view: NamespaceView, inode: InodeRecord, name: string, own: number): number {
  const othersLeft = view.xattrNames(inode.ino).some((other) => other !== name);
  return inode.flags & ~own & (othersLeft ? ~0 : ~InodeFlag.hasXattr);
}

/**
 * Publishes content, and with it the times of the writes that made it, where they are not known already.
 * @throws GfsError ENOENT when the inode is no more; ESTALE when somebody committed since `baseVersion`
 */
export function applyCommit(view: NamespaceView, command: CommitCommand): Applied {
  const { ino, baseVersion, manifest, size, allocatedBytes } = command;
  const inode = view.inode(ino);
  if (inode === undefined) throw new GfsError('ENOENT', 'the inode is no more', { context: { ino } });
  requireSizable(inode, size);
  if (inode.version !== baseVersion) {
    throw new GfsError('ESTALE', `version is ${inode.version}, not ${baseVersion}`, { context: { ino } });
  }
  const changes = new ChangeSet();
  const next = copyOf(inode);
  next.version = baseVersion + 1;
  next.manifest = manifest;
  next.size = size;
  next.allocatedBytes = allocatedBytes;
  next.sources = command.sources ?? NO_SOURCES;
  if (command.atimeNs !== undefined) next.atimeNs = command.atimeNs;
  if (command.mtimeNs !== undefined) next.mtimeNs = command.mtimeNs;
  // A chmod since the last write is later than that.
  if (command.ctimeNs !== undefined && command.ctimeNs > next.ctimeNs) next.ctimeNs = command.ctimeNs;
  return changes.applied(changes.put(next));
}

/** @throws GfsError ESTALE when the inode is no more */
export function applyReap(view: NamespaceView, command: ReapCommand): Applied {
  const inode = inodeOf(view, command.ino);
  const changes = new ChangeSet();
  if (inode.nlink > 0) return changes.applied(inode);
  for (const name of view.xattrNames(inode.ino)) changes.xattr(inode.ino, name, undefined);
  changes.remove(inode.ino);
  changes.orphan(inode.ino, false);
  return changes.applied(inode);
}
