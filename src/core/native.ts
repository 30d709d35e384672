import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

/**
 * `native/globalfs.c`, typed: the system calls that Node does not offer. Every function throws an Error
 * with Node's `code` ('ENOSPC', ...) and `syscall` when the system call fails.
 */
export interface NativeAddon {
  /** fallocate(2); `mode` is an OR of FALLOC_FL_*. */
  fallocate(fd: number, mode: number, offset: number, length: number): void;
  /** lseek(2); returns the new offset. */
  lseek(fd: number, offset: number, whence: number): number;
  /** copy_file_range(2), offsets explicit; returns the bytes copied, 0 at the end of the source. */
  copyFileRange(fdIn: number, offsetIn: number, fdOut: number, offsetOut: number, length: number): number;
  /** ioctl FICLONERANGE: shares blocks between two files. EOPNOTSUPP/EXDEV/EINVAL where impossible. */
  cloneRange(fdIn: number, offsetIn: number, fdOut: number, offsetOut: number, length: number): void;
  /** syncfs(2), in the thread pool. */
  syncfs(fd: number): Promise<void>;
  /** CLOCK_REALTIME_COARSE in ns since 1970: the clock by which the kernel stamps files. */
  coarseTimeNs(): bigint;
  /** flock(2) LOCK_EX|LOCK_NB; false when somebody else holds it. */
  tryLock(fd: number): boolean;
  /**
   * Whether any process has the file open, or mapped, for writing (fcntl F_SETLEASE). `fd` must be open
   * for reading only. False where the filesystem does not do leases.
   */
  hasWriters(fd: number): boolean;

  /** Opens /dev/fuse and mounts it with mount(2), as root. `options` without `fd=`. Returns the descriptor. */
  mountFuse(source: string, target: string, type: string, flags: number, options: string): number;
  /** umount2(2). */
  unmount(target: string, flags: number): void;
  /** A connected pair of UNIX sockets, neither close-on-exec: for fusermount3's _FUSE_COMMFD. */
  socketPair(): [number, number];
  /** Receives one descriptor by SCM_RIGHTS; -1 when the other side closed without sending one. */
  receiveFd(socketFd: number): number;
  /** FUSE_DEV_IOC_BACKING_OPEN; returns the backing id. */
  backingOpen(fuseFd: number, fd: number): number;
  backingClose(fuseFd: number, backingId: number): void;
  /**
   * Serves a FUSE descriptor on this thread's event loop. All requests that are there are read into
   * `buffer`; `onBatch(count)` is called with `offsets[i]` and `offsets[i+1]` around request i. The buffer
   * is reused when it returns. `onEnd(errno)` is called once: 0 after an unmount.
   */
  fuseServe(
    fuseFd: number,
    buffer: Uint8Array,
    offsets: Uint32Array,
    maxRequestBytes: number,
    spinMicros: number,
    onBatch: (count: number) => void,
    onEnd: (errno: number) => void,
  ): NativeServer;
  /** write(2) of one reply or notification; returns 0 or the errno. */
  fuseReply(fuseFd: number, bytes: Uint8Array, length: number): number;
  /** writev(2) of a reply head of `headLength` bytes and its payload; returns 0 or the errno. */
  fuseReplyData(
    fuseFd: number,
    head: Uint8Array,
    headLength: number,
    data: Uint8Array,
    length: number,
  ): number;
  /**
   * Reads `length` bytes at `offset` of `fd` and replies to request `unique` with them, without a copy
   * through JavaScript. Returns the bytes sent, or a negative errno of the read (no reply was sent then).
   */
  fuseReplyFromFile(fuseFd: number, unique: Uint8Array, fd: number, offset: number, length: number): number;
  /** pwrite(2) all of `bytes[start, start+length)`; returns the bytes written, or a negative errno if none. */
  pwrite(fd: number, bytes: Uint8Array, start: number, length: number, offset: number): number;
  /** fstat(2) into `out`: size, blocks of 512 bytes, atime s and ns, mtime s and ns, links. */
  fstat(fd: number, out: Float64Array): void;
  /** futimens(2) with nanoseconds. */
  futimens(fd: number, atimeSec: number, atimeNsec: number, mtimeSec: number, mtimeNsec: number): void;
  /** Drops CAP_FSETID from this thread's effective set; false when it was not there. */
  dropFsetid(): boolean;
}

export interface NativeServer {
  /** Stops polling and releases the buffers; the descriptor stays the caller's. */
  stop(): void;
}

export const FALLOC_FL_KEEP_SIZE = 0x01;
export const FALLOC_FL_PUNCH_HOLE = 0x02;
export const FALLOC_FL_ZERO_RANGE = 0x10;
export const SEEK_DATA = 3;
export const SEEK_HOLE = 4;

/** The built addon lies beside the sources and beside the compiled output alike. */
const addonPath = fileURLToPath(new URL('../../native/build/globalfs.node', import.meta.url));

export const native = createRequire(import.meta.url)(addonPath) as NativeAddon;
