import { GfsError, type Ino, type Name, ROOT_INO, type TimeNs } from '../core/index.js';
import type { OpenContent } from '../transfer/index.js';

export type OpenIntent = 'read' | 'write' | 'truncate';

/** A regular file that somebody has open, or that is being opened: one per inode. */
export interface OpenFile {
  readonly ino: Ino;
  content: OpenContent;
  handles: number;
  writers: number;
  /**
   * While one open of an inode is passed through, the kernel refuses every other kind, and every other
   * backing file (linux/fs/fuse/iomode.c): the first open decides until the last close.
   */
  mode: { readonly kind: 'passthrough'; readonly backingId: number } | { readonly kind: 'process' };
  /** mtime of the staged file that the inode's record knows; a different one means that it was written. */
  knownMtimeNs: TimeNs | undefined;
  /** Of the writers, those that may write through the page cache: by write(2) or by a memory map. */
  pagedWriters: number;
  /** The content is the version that the lease vouches for (`FileLeases`). */
  fresh: boolean;
  refreshing: Promise<void> | undefined;
  /** What was written could not be published any more, and was put into this file: changes are refused. */
  overtaken: string | undefined;
  /** atime of the file when it was opened; a later one means that the kernel read it. */
  knownAtimeNs: TimeNs | undefined;
}

export interface FileHandle {
  readonly kind: 'file';
  readonly file: OpenFile;
  readonly intent: OpenIntent;
  /** Opened with O_APPEND where files are shared: written at the end, wherever the kernel believes that is. */
  readonly appends: boolean;
  /** Counted in `OpenFile.pagedWriters`. */
  readonly paged: boolean;
}

export interface DirectoryHandle {
  readonly kind: 'directory';
  readonly ino: Ino;
  /** Names in the order they were handed out: offset 2 + n is after the name at index n. */
  names: Name[];
}

export type Handle = FileHandle | DirectoryHandle;

/** What the kernel has open and what it knows: handles, open files, lookup counts. */
export class OpenTable {
  readonly files = new Map<Ino, OpenFile>();
  readonly #handles = new Map<number, Handle>();
  /** Per inode, how many replies have named it to the kernel and were not forgotten yet. */
  readonly #lookups = new Map<number, number>();
  /** Directories whose entries the kernel may have listed in its cache. */
  readonly #listed = new Set<number>();
  readonly #tails = new Map<Ino, Promise<unknown>>();
  #nextHandle = 1;

  get handleCount(): number {
    return this.#handles.size;
  }

  get knownInodes(): number {
    return this.#lookups.size;
  }

  /** Numbers of all inodes that the kernel knows. */
  known(): Iterable<number> {
    return this.#lookups.keys();
  }

  add(handle: Handle): number {
    const fh = this.#nextHandle++;
    this.#handles.set(fh, handle);
    return fh;
  }

  file(fh: number): FileHandle {
    const handle = this.#handles.get(fh);
    if (handle?.kind !== 'file') throw new GfsError('EBADF', `no open file has handle ${fh}`);
    return handle;
  }

  directory(fh: number): DirectoryHandle {
    const handle = this.#handles.get(fh);
    if (handle?.kind !== 'directory') throw new GfsError('EBADF', `no open directory has handle ${fh}`);
    return handle;
  }

  remove(fh: number): void {
    this.#handles.delete(fh);
  }

  /** All file handles: for the end of the mount. */
  *fileHandles(): Iterable<[fh: number, handle: FileHandle]> {
    for (const [fh, handle] of this.#handles) if (handle.kind === 'file') yield [fh, handle];
  }

  addLookup(ino: Ino): void {
    this.#lookups.set(ino, (this.#lookups.get(ino) ?? 0) + 1);
  }

  isKnown(ino: Ino): boolean {
    return this.#lookups.has(ino) || ino === ROOT_INO;
  }

  /** The kernel keeps a directory's list of entries from now on. @returns whether it did before */
  addListed(ino: Ino): boolean {
    const known = this.#listed.has(ino);
    this.#listed.add(ino);
    return known;
  }

  isListed(ino: Ino): boolean {
    return this.#listed.has(ino);
  }

  /** The kernel's lists are dropped: of one directory, or all of them. */
  dropListed(ino?: Ino): void {
    if (ino === undefined) this.#listed.clear();
    else this.#listed.delete(ino);
  }

  /** True when the kernel knows the inode no more. */
  forget(ino: Ino, count: number): boolean {
    const left = (this.#lookups.get(ino) ?? 0) - count;
    if (left > 0) {
      this.#lookups.set(ino, left);
      return false;
    }
    this.#lookups.delete(ino);
    this.#listed.delete(ino);
    return true;
  }

  /** Neither open nor known to the kernel: an orphan may go. */
  isUnused(ino: Ino): boolean {
    return !this.#lookups.has(ino) && !this.files.has(ino);
  }

  /**
   * Runs what opens, closes or resizes one inode's content one after the other, in the order asked.
   * Uncontested work starts at once.
   */
  async serial<T>(ino: Ino, work: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(ino);
    const run = before === undefined ? work() : before.then(work, work);
    this.#tails.set(ino, run);
    try {
      return await run;
    } finally {
      if (this.#tails.get(ino) === run) this.#tails.delete(ino);
    }
  }
}
