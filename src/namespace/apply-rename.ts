import { GfsError, type Ino, NAME_BYTES_MAX, ROOT_INO } from '../core/index.js';
import {
  ChangeSet,
  childIfAny,
  childOf,
  directoryAfter,
  directoryOf,
  inodeOf,
  liveDirectoryOf,
  requireLinkRoom,
} from './change-set.js';
import type { Applied, RenameCommand } from './commands.js';
import { type InodeRecord, copyOf, isDirectory } from './records.js';
import type { NamespaceView } from './view.js';

/** rename(2) and renameat2(2). The order of the checks is that of Linux's do_renameat2 and vfs_rename. */
export function applyRename(view: NamespaceView, command: RenameCommand): Applied {
  const { parent, name, newParent, newName, mode } = command;
  if (newName.length > NAME_BYTES_MAX) throw new GfsError('ENAMETOOLONG', 'name too long');
  const from = directoryOf(view, parent);
  const to = newParent === parent ? from : directoryOf(view, newParent);
  const moved = childOf(view, parent, name);
  const target = childIfAny(view, newParent, newName);
  if (mode === 'noreplace' && target !== undefined) throw new GfsError('EEXIST', 'the name is taken');
  if (mode === 'exchange' && target === undefined) throw new GfsError('ENOENT', 'nothing to exchange with');
  liveDirectoryOf(view, newParent);
  if (moved.ino === target?.ino) return { writes: [], invalidations: [], result: { inode: moved } };
  requireNoLoop(view, moved, newParent);
  if (target !== undefined && mode === 'exchange') {
    requireNoLoop(view, target, parent);
    return exchange(command, { from, to, moved, target });
  }
  return replace(command, { from, to, moved, target });
}

/** The two directories (one record, if they are the same) and what their names mean. */
interface Move {
  readonly from: InodeRecord;
  readonly to: InodeRecord;
  readonly moved: InodeRecord;
}

function replace(command: RenameCommand, move: Move & { readonly target: InodeRecord | undefined }): Applied {
  const { parent, name, newParent, newName, timeNs } = command;
  const { from, to, moved, target } = move;
  if (target !== undefined) requireReplaceable(moved, target);
  const movedDirectory = isDirectory(moved) ? 1 : 0;
  const targetDirectory = target !== undefined && isDirectory(target) ? 1 : 0;
  const sameParent = parent === newParent;
  if (movedDirectory > targetDirectory && !sameParent) requireLinkRoom(to);

  const changes = new ChangeSet();
  changes.unname(parent, name);
  const after = changes.put(movedTo(moved, newParent, command));
  changes.name(newParent, newName, after);
  const orphan = target === undefined ? undefined : changes.dropLink(target, timeNs);

  const gone = { entries: -1, subdirectories: -movedDirectory };
  const come = {
    entries: target === undefined ? 1 : 0,
    subdirectories: movedDirectory - targetDirectory,
  };
  if (sameParent) {
    const both = {
      entries: gone.entries + come.entries,
      subdirectories: gone.subdirectories + come.subdirectories,
    };
    changes.put(directoryAfter(from, both, timeNs));
  } else {
    changes.put(directoryAfter(from, gone, timeNs));
    changes.put(directoryAfter(to, come, timeNs));
  }
  return changes.applied(after, orphan?.nlink === 0 ? orphan : undefined);
}

function exchange(command: RenameCommand, move: Move & { readonly target: InodeRecord }): Applied {
  const { parent, name, newParent, newName, timeNs } = command;
  const { from, to, moved, target } = move;
  const difference = Number(isDirectory(moved)) - Number(isDirectory(target));
  const sameParent = parent === newParent;
  if (difference > 0 && !sameParent) requireLinkRoom(to);
  if (difference < 0 && !sameParent) requireLinkRoom(from);

  const changes = new ChangeSet();
  const after = changes.put(movedTo(moved, newParent, command));
  changes.name(newParent, newName, after);
  changes.name(parent, name, changes.put(movedTo(target, parent, command)));
  if (sameParent) {
    changes.put(directoryAfter(from, { entries: 0, subdirectories: 0 }, timeNs));
  } else {
    changes.put(directoryAfter(from, { entries: 0, subdirectories: -difference }, timeNs));
    changes.put(directoryAfter(to, { entries: 0, subdirectories: difference }, timeNs));
  }
  return changes.applied(after);
}

/** A moved inode's ctime changes (ext4 and most others; POSIX leaves it open). */
function movedTo(inode: InodeRecord, parent: Ino, { timeNs }: RenameCommand): InodeRecord {
  const moved = copyOf(inode);
  moved.ctimeNs = timeNs;
  if (isDirectory(inode)) moved.parent = parent;
  return moved;
}

/** @throws GfsError ENOTDIR, EISDIR, ENOTEMPTY */
function requireReplaceable(moved: InodeRecord, target: InodeRecord): void {
  const context = { ino: target.ino };
  if (isDirectory(moved) && !isDirectory(target)) {
    throw new GfsError('ENOTDIR', 'a directory replaces only a directory', { context });
  }
  if (!isDirectory(moved) && isDirectory(target)) {
    throw new GfsError('EISDIR', 'only a directory replaces a directory', { context });
  }
  if (isDirectory(target) && target.entries > 0) {
    throw new GfsError('ENOTEMPTY', 'the replaced directory is not empty', { context });
  }
}

/** @throws GfsError EINVAL when `directory` would come to lie within itself */
function requireNoLoop(view: NamespaceView, directory: InodeRecord, newParent: Ino): void {
  if (!isDirectory(directory)) return;
  for (let at: Ino = newParent; ; at = inodeOf(view, at).parent as Ino) {
    if (at === directory.ino) {
      throw new GfsError('EINVAL', 'a directory cannot move into itself', { context: { ino: at } });
    }
    if (at === ROOT_INO) return;
  }
}
