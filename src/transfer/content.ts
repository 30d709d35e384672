import type { Ino, TimeNs } from '../core/index.js';
import type { InodeRecord, ManifestRef } from '../namespace/index.js';

/** What a staged or cached file's own inode says; the truth about size and mtime while it is staged. */
export interface ContentStat {
  readonly size: number;
  /** st_blocks * 512 */
  readonly allocatedBytes: number;
  readonly atimeNs: TimeNs;
  readonly mtimeNs: TimeNs;
}

/**
 * The content of one inode, open. All opens of an inode share one `OpenContent`; it lives until each of
 * them is closed.
 *
 * It is `staged` from its first open for writing: then the file at `fd` is the only copy of what was
 * written, and its size and mtime are the truth. It stays staged until a seal commits it.
 * Methods that return a promise only when they must wait for a block do so for speed: `read`s of what is
 * present are answered in the caller's turn.
 */
export interface OpenContent {
  readonly ino: Ino;
  /** The file on the node's disk (sparse); readable, and writable once staged. Stable while open. */
  readonly fd: number;
  readonly staged: boolean;
  /** Every block is present in the file: the kernel may read (and, when staged, write) it directly. */
  readonly whole: boolean;
  /** The version that what is not staged belongs to; of staged content the one that it will replace. */
  readonly version: number;

  stat(): ContentStat;
  /** Makes `[offset, offset + length)` present in the file (fetch and verify what is absent, read ahead). */
  ensure(offset: number, length: number): Promise<void> | undefined;
  /** Like `ensure`, but only for what a write of this range does not overwrite wholly. Staged only. */
  ensureForWrite(offset: number, length: number): Promise<void> | undefined;
  /** Sets the size. Staged only. What lies beyond a smaller size is gone and reads as zeros later. */
  truncate(size: number): Promise<void> | undefined;
  /** fallocate(2) with FALLOC_FL_* mode. Staged only. */
  fallocate(mode: number, offset: number, length: number): Promise<void>;
  /** lseek(2) SEEK_DATA (3) or SEEK_HOLE (4). ENXIO at or past the end. */
  seek(offset: number, whence: number): number;
  /** Sets atime and mtime of the staged file, so that they survive a crash with it. */
  setTimes(atimeNs: TimeNs, mtimeNs: TimeNs): void;
  /** Resolves when what was written survives a power cut on this node (fdatasync). */
  sync(dataOnly: boolean): Promise<void>;
}

/** Sealed content, to be published as the version after `baseVersion`. */
export interface Sealed {
  readonly ino: Ino;
  readonly baseVersion: number;
  readonly manifest: ManifestRef;
  readonly size: number;
  readonly allocatedBytes: number;
  /** Names of the sites that hold its blocks; empty where there is one site only. */
  readonly sources: readonly string[];
  /** Of the staged file, read in the turn in which this is handed over. (Its atime tells of the seal itself.) */
  readonly mtimeNs: TimeNs;
  /** The file will be written on: the write lease is kept. */
  readonly keepWrite: boolean;
}

/**
 * What became of sealed content. `gone`: the inode is no more, and its content is then discarded.
 * `conflict`: somebody else has published a version meanwhile; what is staged is kept aside.
 */
export type CommitOutcome = 'committed' | 'gone' | 'conflict';
export type CommitSealed = (sealed: Sealed) => Promise<CommitOutcome>;

/** What the filesystem knows of an inode that the content needs. */
export type ContentInode = Pick<InodeRecord, 'ino' | 'size' | 'version' | 'manifest'> &
  Partial<Pick<InodeRecord, 'allocatedBytes' | 'sources'>>;

/** The contents of all inodes on this node: staging, content cache, seal, fetch. */
export interface ContentCache {
  /** A new inode's content: empty, staged, open. Synchronous: a create must not wait. */
  create(ino: Ino): OpenContent;
  /**
   * Opens content. With `write`, it is staged when this returns, and no seal of it is running; waits while
   * more is staged than the bound. With `truncate` (implies write) what was there is not fetched.
   * @throws GfsError ENOSPC, EIO, CORRUPT
   */
  open(inode: ContentInode, intent: 'read' | 'write' | 'truncate'): Promise<OpenContent>;
  /** Seals and commits one inode's content now, also while it is open. Shared only. */
  checkpoint(ino: Ino, keepWrite: boolean): Promise<void>;
  /** Makes open content the version that `inode` has; what was staged is put where the result says. Shared only. */
  refresh(content: OpenContent, inode: ContentInode): Promise<string | undefined>;
  /** The content if it is open or staged at present. */
  peek(ino: Ino): OpenContent | undefined;
  /** Brings small content here before somebody opens it. @throws GfsError as `open` */
  prefetch(inode: ContentInode): Promise<void>;
  /** Some version's content is here, if only in part. */
  isCached(ino: Ino): boolean;
  /** The newest version that this node has, or has published; 0 when it knows of none. */
  versionOf(ino: Ino): number;
  /** Calls `listener` whenever content that was staged is so no more. One listener; shared only. */
  whenClean(listener: (ino: Ino) => void): void;
  /** Inodes whose content is staged. */
  staged(): Iterable<Ino>;
  /** Ends one open. After the last one a staged file is sealed within the flush interval. */
  close(content: OpenContent, intent: 'read' | 'write' | 'truncate'): void;
  /** The inode is gone: deletes whatever is here of it; large files later, by when the promise resolves. Must not be open. */
  discard(ino: Ino): Promise<void> | undefined;
}
