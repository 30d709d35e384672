import { GfsError, type Ino, type Name, type TimeNs } from '../core/index.js';
import type { Applied, Invalidation, RecordWrite } from './commands.js';
import { LINK_MAX } from './limits.js';
import { type InodeRecord, InodeFlag, S_IFMT, copyOf, isDirectory } from './records.js';
import type { NamespaceView } from './view.js';

/** What one command writes and invalidates, collected while it is decided. */
export class ChangeSet {
  readonly #writes: RecordWrite[] = [];
  readonly #invalidations: Invalidation[] = [];

  /** An inode that was not there before: nobody has it cached. */
  add(record: InodeRecord): InodeRecord {
    this.#writes.push({ kind: 'inode', ino: record.ino, record });
    return record;
  }

  put(record: InodeRecord): InodeRecord {
    this.#writes.push({ kind: 'inode', ino: record.ino, record });
    this.#invalidations.push({ kind: 'inode', ino: record.ino });
    return record;
  }

  remove(ino: Ino): void {
    this.#writes.push({ kind: 'inode', ino, record: undefined });
    this.#invalidations.push({ kind: 'inode', ino });
  }

  /** Points a name at an inode. */
  name(parent: Ino, name: Name, inode: InodeRecord): void {
    this.#writes.push({ kind: 'dentry', parent, name, ino: inode.ino, type: inode.mode & S_IFMT });
    this.#invalidations.push({ kind: 'entry', parent, name });
  }

  unname(parent: Ino, name: Name): void {
    this.#writes.push({ kind: 'no-dentry', parent, name });
    this.#invalidations.push({ kind: 'entry', parent, name });
  }

  xattr(ino: Ino, name: string, value: Uint8Array | undefined): void {
    this.#writes.push({ kind: 'xattr', ino, name, value });
  }

  orphan(ino: Ino, present: boolean): void {
    this.#writes.push({ kind: 'orphan', ino, present });
  }

  /**
   * Writes an inode that lost one name: a directory is then gone, anything else when it was the last.
   * Its ctime changes (unlink(2), rename(2)).
   */
  dropLink(inode: InodeRecord, ctimeNs: TimeNs): InodeRecord {
    const dropped = copyOf(inode);
    dropped.nlink = isDirectory(inode) ? 0 : inode.nlink - 1;
    dropped.ctimeNs = ctimeNs;
    if (dropped.nlink === 0) this.orphan(inode.ino, true);
    return this.put(dropped);
  }

  applied(inode: InodeRecord, orphaned?: InodeRecord): Applied {
    return {
      writes: this.#writes,
      invalidations: this.#invalidations,
      result: orphaned === undefined ? { inode } : { inode, orphaned },
    };
  }
}

/** @throws GfsError ESTALE when the inode is no more */
export function inodeOf(view: NamespaceView, ino: Ino): InodeRecord {
  const inode = view.inode(ino);
  if (inode === undefined) throw new GfsError('ESTALE', 'the inode is no more', { context: { ino } });
  return inode;
}

/** @throws GfsError ESTALE; ENOTDIR */
export function directoryOf(view: NamespaceView, ino: Ino): InodeRecord {
  const inode = inodeOf(view, ino);
  if (!isDirectory(inode)) throw new GfsError('ENOTDIR', 'not a directory', { context: { ino } });
  return inode;
}

/**
 * A directory that may get entries.
 * @throws GfsError ESTALE; ENOTDIR; ENOENT for a directory that was removed but is still somebody's cwd
 */
export function liveDirectoryOf(view: NamespaceView, ino: Ino): InodeRecord {
  const directory = directoryOf(view, ino);
  if (directory.nlink === 0) throw new GfsError('ENOENT', 'the directory was removed', { context: { ino } });
  return directory;
}

/** The inode that a name means. @throws GfsError ENOENT; CORRUPT for a dentry without inode */
export function childOf(view: NamespaceView, parent: Ino, name: Name): InodeRecord {
  const child = childIfAny(view, parent, name);
  if (child === undefined) throw new GfsError('ENOENT', 'no such entry', { context: { parent, name } });
  return child;
}

export function childIfAny(view: NamespaceView, parent: Ino, name: Name): InodeRecord | undefined {
  const dentry = view.dentry(parent, name);
  if (dentry === undefined) return undefined;
  const inode = view.inode(dentry.ino);
  if (inode === undefined) {
    throw new GfsError('CORRUPT', 'a directory entry has no inode', {
      context: { parent, name, ino: dentry.ino },
    });
  }
  return inode;
}

/** The directory after its number of entries and of subdirectories changed; mtime and ctime change with them. */
export function directoryAfter(
  directory: InodeRecord,
  change: { readonly entries: number; readonly subdirectories: number },
  timeNs: TimeNs,
): InodeRecord {
  const after = copyOf(directory);
  after.entries += change.entries;
  after.nlink += change.subdirectories;
  after.mtimeNs = timeNs;
  after.ctimeNs = timeNs;
  return after;
}

/** @throws GfsError EMLINK */
export function requireLinkRoom(inode: InodeRecord): void {
  if (inode.nlink >= LINK_MAX) {
    throw new GfsError('EMLINK', `more than ${LINK_MAX} links`, { context: { ino: inode.ino } });
  }
}

export const hasFlag = (inode: InodeRecord, flag: keyof typeof InodeFlag): boolean =>
  (inode.flags & InodeFlag[flag]) !== 0;
