import { GfsError } from '../core/index.js';
import { MAX_IO_BYTES } from './device.js';
import {
  FUSE_KERNEL_MAJOR,
  FUSE_MINOR_MAX,
  FUSE_MINOR_MIN,
  InitFlag,
  InitFlag2,
} from './protocol/constants.js';
import type { ReplyWriter } from './protocol/reply.js';
import type { RequestReader } from './protocol/request.js';

const PAGE_BYTES = 4096;
/** Background requests (read-ahead, writeback) in flight: enough to keep a disk busy; 64 MiB at most. */
const MAX_BACKGROUND = 64;
const CONGESTION_THRESHOLD = 48;
const READAHEAD_BYTES = 4 * 1024 * 1024;

export interface Negotiated {
  readonly minor: number;
  readonly passthrough: boolean;
}

/** What a mount wants; the kernel's offer decides. */
export interface Wishes {
  readonly passthrough: boolean;
  /** Locks are kept by this process, not by the kernel: other mounts share the files. */
  readonly sharedLocks: boolean;
  /** Content changes behind the kernel's back: it asks for expired attributes before it reads from its pages. */
  readonly sharedContent: boolean;
}

const WANTED =
  InitFlag.ASYNC_READ |
  InitFlag.ATOMIC_O_TRUNC |
  InitFlag.EXPORT_SUPPORT |
  InitFlag.BIG_WRITES |
  InitFlag.DONT_MASK |
  InitFlag.DO_READDIRPLUS |
  InitFlag.READDIRPLUS_AUTO |
  InitFlag.ASYNC_DIO |
  InitFlag.PARALLEL_DIROPS |
  InitFlag.POSIX_ACL |
  InitFlag.MAX_PAGES |
  InitFlag.CACHE_SYMLINKS |
  InitFlag.HANDLE_KILLPRIV_V2 |
  InitFlag.SETXATTR_EXT |
  InitFlag.INIT_EXT;

/**
 * Answers INIT.
 * @returns undefined when the kernel's major version is newer: it asks again with ours
 * @throws GfsError ENOSYS when the kernel's protocol is too old
 */
export function negotiate(
  request: RequestReader,
  reply: ReplyWriter,
  wishes: Wishes,
): Negotiated | undefined {
  const major = request.u32(0);
  const minor = request.u32(4);
  reply.begin(request.unique, 0);
  reply.u32(FUSE_KERNEL_MAJOR);
  if (major > FUSE_KERNEL_MAJOR) {
    reply.u32(FUSE_MINOR_MAX);
    reply.zeros(56);
    return undefined;
  }
  if (major < FUSE_KERNEL_MAJOR || minor < FUSE_MINOR_MIN) {
    throw new GfsError(
      'ENOSYS',
      `the kernel speaks FUSE ${major}.${minor}; ${FUSE_KERNEL_MAJOR}.${FUSE_MINOR_MIN} or later is needed (Linux 5.4)`,
    );
  }
  const offered = request.u32(12) >>> 0;
  // Structures of 7.36 and later have flags2.
  const offered2 = minor >= 36 && (offered & InitFlag.INIT_EXT) !== 0 ? request.u32(16) : 0;
  const inval = wishes.sharedContent ? InitFlag.AUTO_INVAL_DATA : InitFlag.EXPLICIT_INVAL_DATA;
  const locks = wishes.sharedLocks ? InitFlag.POSIX_LOCKS | InitFlag.FLOCK_LOCKS : 0;
  const wanted = WANTED | inval | locks;
  const passthrough = wishes.passthrough && (offered2 & InitFlag2.PASSTHROUGH) !== 0;
  reply.u32(Math.min(minor, FUSE_MINOR_MAX));
  reply.u32(Math.max(request.u32(8), READAHEAD_BYTES));
  reply.u32((offered & wanted) >>> 0);
  reply.u16(MAX_BACKGROUND);
  reply.u16(CONGESTION_THRESHOLD);
  reply.u32(MAX_IO_BYTES);
  reply.u32(1); // time granularity in ns
  reply.u16(MAX_IO_BYTES / PAGE_BYTES);
  reply.u16(0);
  // Files that are appended to bypass the page cache (FileOperations.opened); they can be mapped all the same.
  const maps = wishes.sharedContent ? offered2 & InitFlag2.DIRECT_IO_ALLOW_MMAP : 0;
  reply.u32((passthrough ? InitFlag2.PASSTHROUGH : 0) | maps);
  reply.u32(passthrough ? 1 : 0); // max_stack_depth: backing files lie on a filesystem that is no stack itself
  reply.zeros(24);
  return { minor: Math.min(minor, FUSE_MINOR_MAX), passthrough };
}
