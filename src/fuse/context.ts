import type { Awaitable, NamespaceClient } from '../coordinator/index.js';
import { GfsError, type KernelClock, type Logger } from '../core/index.js';
import type { InodeRecord } from '../namespace/index.js';
import type { ContentCache } from '../transfer/index.js';
import type { DirectoryReadAhead } from './directory-read-ahead.js';
import type { DiscardQueue } from './discard-queue.js';
import type { FileLeases } from './file-leases.js';

/** FUSE passthrough: lets the kernel read and write a file of ours directly. */
export interface Passthrough {
  /** A backing id for the file, or undefined when the kernel refuses this file. */
  open(fd: number): number | undefined;
  close(backingId: number): void;
}

/** What the kernel is told when something changes behind its back. */
export interface KernelCache {
  /** The kernel drops an inode's cached attributes, and with `data` its cached pages. */
  forgetInode(ino: number, data: boolean): void;
  /** The same; resolves when it is so. */
  inodeForgotten(ino: number, data: boolean): Promise<void>;
  /** Resolves when the kernel has forgotten a name, or asks for it again before it is used. */
  entryForgotten(parent: number, name: string): Promise<void>;
  /** The kernel asks again for everything. */
  forgetAll(): void;
}

export interface FilesystemOptions {
  readonly readOnly: boolean;
  /** Do not update atime at all. */
  readonly noAtime: boolean;
  /** The same for directories only. */
  readonly noDirectoryAtime: boolean;
  /** How long the kernel may cache names and attributes; it is told when they change. */
  readonly validitySec: number;
  /** A directory whose disk is what `df` shows. */
  readonly stateDirectory: string;
  /** Where space is not the disk's: what `df` shows instead, bytes. */
  readonly spaceBytes?: number;
}

/** What every group of operations works with. */
export interface FilesystemContext {
  readonly client: NamespaceClient;
  readonly content: ContentCache;
  readonly clock: KernelClock;
  readonly logger: Logger;
  readonly options: FilesystemOptions;
  readonly kernel: KernelCache;
  /** Where other mounts share the files; undefined where this mount is the only one. */
  readonly leases: FileLeases | undefined;
  readonly discards: DiscardQueue;
  /** Where content is far away: fetches what will be opened next. */
  readonly readAhead: DirectoryReadAhead | undefined;
  /** Undefined where the kernel or our privileges do not allow it. */
  readonly passthrough: Passthrough | undefined;
}

export function requireInode(record: InodeRecord | undefined, ino: number): InodeRecord {
  if (record === undefined) throw new GfsError('ESTALE', `no inode ${ino}`, { context: { ino } });
  return record;
}

/** In this turn where nothing has to be waited for. */
export function allOf<T>(values: Awaitable<T>[]): Awaitable<T[]> {
  return values.some((value) => value instanceof Promise) ? Promise.all(values) : (values as T[]);
}
