import { GfsError } from '../core/index.js';
import { requireFreeName } from './apply-create.js';
import {
  ChangeSet,
  childOf,
  directoryAfter,
  directoryOf,
  hasFlag,
  inodeOf,
  liveDirectoryOf,
  requireLinkRoom,
} from './change-set.js';
import type { Applied, LinkCommand, RmdirCommand, UnlinkCommand } from './commands.js';
import { InodeFlag, copyOf, isDirectory } from './records.js';
import type { NamespaceView } from './view.js';

/** A further name, or the first one of what `tmpfile` made. */
export function applyLink(view: NamespaceView, command: LinkCommand): Applied {
  const { ino, name, timeNs } = command;
  const inode = inodeOf(view, ino);
  const parent = liveDirectoryOf(view, command.parent);
  requireFreeName(view, command.parent, name);
  if (isDirectory(inode)) throw new GfsError('EPERM', 'directories have one name', { context: { ino } });
  if (inode.nlink === 0 && !hasFlag(inode, 'linkable')) {
    throw new GfsError('ENOENT', 'an unlinked file gets no new name', { context: { ino } });
  }
  requireLinkRoom(inode);
  const changes = new ChangeSet();
  const linked = copyOf(inode);
  linked.nlink++;
  linked.flags &= ~InodeFlag.linkable;
  linked.ctimeNs = timeNs;
  changes.put(linked);
  if (inode.nlink === 0) changes.orphan(ino, false);
  changes.name(command.parent, name, linked);
  changes.put(directoryAfter(parent, { entries: 1, subdirectories: 0 }, timeNs));
  return changes.applied(linked);
}

export function applyUnlink(view: NamespaceView, command: UnlinkCommand): Applied {
  const { name, timeNs } = command;
  const parent = directoryOf(view, command.parent);
  const inode = childOf(view, command.parent, name);
  if (isDirectory(inode)) throw new GfsError('EISDIR', 'is a directory', { context: { ino: inode.ino } });
  const changes = new ChangeSet();
  changes.unname(command.parent, name);
  const left = changes.dropLink(inode, timeNs);
  changes.put(directoryAfter(parent, { entries: -1, subdirectories: 0 }, timeNs));
  return changes.applied(left, left.nlink === 0 ? left : undefined);
}

export function applyRmdir(view: NamespaceView, command: RmdirCommand): Applied {
  const { name, timeNs } = command;
  const parent = directoryOf(view, command.parent);
  const inode = childOf(view, command.parent, name);
  if (!isDirectory(inode)) {
    throw new GfsError('ENOTDIR', 'not a directory', { context: { ino: inode.ino } });
  }
  if (inode.entries > 0) {
    throw new GfsError('ENOTEMPTY', 'directory not empty', { context: { ino: inode.ino } });
  }
  const changes = new ChangeSet();
  changes.unname(command.parent, name);
  // ext4_rmdir stamps the removed directory's mtime too: who holds it open sees when it went.
  const left = changes.dropLink({ ...inode, mtimeNs: timeNs }, timeNs);
  changes.put(directoryAfter(parent, { entries: -1, subdirectories: -1 }, timeNs));
  return changes.applied(left, left);
}
