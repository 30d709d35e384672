/**
 * Numbers of the FUSE protocol, as Linux's include/uapi/linux/fuse.h defines them (7.31 is the least
 * that is served; what came later is used where the kernel offers it).
 */
export const FUSE_KERNEL_MAJOR = 7;
export const FUSE_MINOR_MIN = 31;
/** The newest minor version whose structures this driver knows. */
export const FUSE_MINOR_MAX = 45;

export enum Opcode {
  LOOKUP = 1,
  FORGET = 2,
  GETATTR = 3,
  SETATTR = 4,
  READLINK = 5,
  SYMLINK = 6,
  MKNOD = 8,
  MKDIR = 9,
  UNLINK = 10,
  RMDIR = 11,
  RENAME = 12,
  LINK = 13,
  OPEN = 14,
  READ = 15,
  WRITE = 16,
  STATFS = 17,
  RELEASE = 18,
  FSYNC = 20,
  SETXATTR = 21,
  GETXATTR = 22,
  LISTXATTR = 23,
  REMOVEXATTR = 24,
  FLUSH = 25,
  INIT = 26,
  OPENDIR = 27,
  READDIR = 28,
  RELEASEDIR = 29,
  FSYNCDIR = 30,
  GETLK = 31,
  SETLK = 32,
  SETLKW = 33,
  ACCESS = 34,
  CREATE = 35,
  INTERRUPT = 36,
  DESTROY = 38,
  BATCH_FORGET = 42,
  FALLOCATE = 43,
  READDIRPLUS = 44,
  RENAME2 = 45,
  LSEEK = 46,
  COPY_FILE_RANGE = 47,
  SYNCFS = 50,
  TMPFILE = 51,
}

/** INIT flags; those from bit 32 on are in `flags2`, here as their own numbers. */
export const InitFlag = {
  ASYNC_READ: 1 << 0,
  POSIX_LOCKS: 1 << 1,
  ATOMIC_O_TRUNC: 1 << 3,
  EXPORT_SUPPORT: 1 << 4,
  BIG_WRITES: 1 << 5,
  DONT_MASK: 1 << 6,
  FLOCK_LOCKS: 1 << 10,
  AUTO_INVAL_DATA: 1 << 12,
  DO_READDIRPLUS: 1 << 13,
  READDIRPLUS_AUTO: 1 << 14,
  ASYNC_DIO: 1 << 15,
  PARALLEL_DIROPS: 1 << 18,
  POSIX_ACL: 1 << 20,
  MAX_PAGES: 1 << 22,
  CACHE_SYMLINKS: 1 << 23,
  EXPLICIT_INVAL_DATA: 1 << 25,
  HANDLE_KILLPRIV_V2: 1 << 28,
  SETXATTR_EXT: 1 << 29,
  INIT_EXT: 1 << 30,
} as const;

export const InitFlag2 = {
  DIRECT_IO_ALLOW_MMAP: 1 << 4,
  PASSTHROUGH: 1 << 5,
} as const;

export const SetattrValid = {
  MODE: 1 << 0,
  UID: 1 << 1,
  GID: 1 << 2,
  SIZE: 1 << 3,
  ATIME: 1 << 4,
  MTIME: 1 << 5,
  FH: 1 << 6,
  ATIME_NOW: 1 << 7,
  MTIME_NOW: 1 << 8,
  CTIME: 1 << 10,
  KILL_SUIDGID: 1 << 11,
} as const;

export const OpenReplyFlag = {
  DIRECT_IO: 1 << 0,
  KEEP_CACHE: 1 << 1,
  CACHE_DIR: 1 << 3,
  NOFLUSH: 1 << 5,
  PASSTHROUGH: 1 << 7,
} as const;

/** `open_in.open_flags`: the caller has no CAP_FSETID and truncates. */
export const OPEN_KILL_SUIDGID = 1 << 0;
/** The page cache is written back: of a memory map, whatever descriptor the kernel finds for it. */
export const WRITE_CACHE = 1 << 0;
export const WRITE_KILL_SUIDGID = 1 << 2;
export const RELEASE_FLOCK_UNLOCK = 1 << 1;
export const LK_FLOCK = 1 << 0;
export const FSYNC_DATASYNC = 1 << 0;
export const SETXATTR_ACL_KILL_SGID = 1 << 0;

export enum NotifyCode {
  INVAL_INODE = 2,
  INVAL_ENTRY = 3,
  DELETE = 6,
  /** 7.44: every cached name is to be asked for again. */
  INC_EPOCH = 8,
}

/** fcntl.h on Linux (asm-generic: x86-64 and arm64 differ only in O_DIRECT and O_DIRECTORY, unused here). */
export const O_ACCMODE = 0o3;
export const O_WRONLY = 1;
export const O_RDONLY = 0;
export const O_TRUNC = 0o1000;
/** Part of O_SYNC, too. */
export const O_DSYNC = 0o10000;
export const O_APPEND = 0o2000;
export const F_RDLCK = 0;
export const F_WRLCK = 1;
export const F_UNLCK = 2;

export const RENAME_NOREPLACE = 1 << 0;
export const RENAME_EXCHANGE = 1 << 1;

export const XATTR_CREATE = 1;
export const XATTR_REPLACE = 2;

export const IN_HEADER_BYTES = 40;
export const OUT_HEADER_BYTES = 16;
/** Room that a read of the device needs beside the payload of a WRITE (header, write_in, slack). */
export const REQUEST_ROOM_BYTES = 4096;
