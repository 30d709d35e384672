import { read } from 'node:fs';
import { promisify } from 'node:util';
import { GfsError, type Ino, native, SEEK_DATA, SEEK_HOLE } from '../core/index.js';
import type { AttributeOperations } from './attributes.js';
import { type FilesystemContext, requireInode } from './context.js';
import type { FileOpener } from './file-opener.js';
import type { FileHandle, OpenFile, OpenIntent, OpenTable } from './open-table.js';
import { O_ACCMODE, O_DSYNC, O_RDONLY, O_TRUNC, OpenReplyFlag } from './protocol/constants.js';
import type { Opened } from './protocol/reply.js';
import { type CallingProcess, needsKill, privilegesLost } from './privileges.js';

const readAsync = promisify(read);

/** How many inodes' last closed state is remembered, to keep the kernel's pages over a close: about 100 B each. */
const KEEP_CACHE_MAX = 65_536;

/** Largest part of a copy_file_range done in one go, so that other requests get their turn: about 10 ms. */
const COPY_BYTES_MAX = 16 * 1024 * 1024;

/** Operations on open regular files. */
export class FileOperations {
  readonly #context: FilesystemContext;
  readonly #table: OpenTable;
  readonly #opener: FileOpener;
  readonly #attributes: AttributeOperations;
  /** mtime and size of a file when its last open through this process ended: its cached pages are that. */
  readonly #cachedPages = new Map<Ino, string>();
  /** Whether closing a file must be announced (FLUSH): for locks that this process keeps. */
  readonly #flushOnClose: boolean;

  constructor(
    context: FilesystemContext,
    table: OpenTable,
    opener: FileOpener,
    attributes: AttributeOperations,
    flushOnClose: boolean,
  ) {
    this.#context = context;
    this.#table = table;
    this.#opener = opener;
    this.#attributes = attributes;
    this.#flushOnClose = flushOnClose;
  }

  async open(ino: Ino, flags: number, killSuidSgid: boolean, caller: CallingProcess): Promise<Opened> {
    const readOnly = (flags & O_ACCMODE) === O_RDONLY;
    const truncate = (flags & O_TRUNC) !== 0;
    const intent: OpenIntent = truncate ? 'truncate' : readOnly ? 'read' : 'write';
    const file = await this.#opener.open(ino, intent);
    try {
      if (truncate) await this.#truncateAtOpen(file, killSuidSgid, caller);
      // Attributes that the kernel was given for long may change under a memory map from now on.
      else if (!readOnly && file.writers === 1 && file.mode.kind === 'passthrough') {
        this.#context.kernel.forgetInode(ino, false);
      }
      await this.#syncAtOpen(file, flags);
    } catch (thrown) {
      await this.#opener.close(file, intent);
      throw thrown;
    }
    return this.opened(file, intent);
  }

  /** The reply to an open that made the file. */
  async openedNew(file: OpenFile, flags: number): Promise<Opened> {
    try {
      await this.#syncAtOpen(file, flags);
    } catch (thrown) {
      await this.#opener.close(file, 'write');
      throw thrown;
    }
    return this.opened(file, 'write');
  }

  /**
   * O_SYNC, O_DSYNC: what the kernel writes by passthrough it also syncs, and tells nobody. So before the first
   * write the file's name, and its place in staging, must survive a power cut.
   */
  async #syncAtOpen(file: OpenFile, flags: number): Promise<void> {
    if ((flags & O_DSYNC) === 0 || (flags & O_ACCMODE) === O_RDONLY) return;
    if (file.mode.kind !== 'passthrough') return;
    await file.content.sync(true);
    await this.#context.client.flush();
  }

  async #truncateAtOpen(file: OpenFile, killSuidSgid: boolean, caller: CallingProcess): Promise<void> {
    const { client, clock } = this.#context;
    await file.content.truncate(0);
    const record = requireInode(await client.inode(file.ino), file.ino);
    const nowNs = clock.wallNs();
    const { inode } = await client.execute({
      kind: 'setattr',
      ino: file.ino,
      timeNs: nowNs,
      mtimeNs: nowNs,
      size: 0,
      allocatedBytes: 0,
      ...privilegesLost(record, killSuidSgid ? 'all' : 'capability', caller),
    });
    this.#opener.recordTimes(inode);
  }

  /** The reply to an open of a file that is in the table. */
  opened(file: OpenFile, intent: OpenIntent): Opened {
    const fh = this.#table.add({ kind: 'file', file, intent });
    const flush = this.#flushOnClose ? 0 : OpenReplyFlag.NOFLUSH;
    if (file.mode.kind === 'passthrough') {
      return { fh, flags: OpenReplyFlag.PASSTHROUGH | flush, backingId: file.mode.backingId };
    }
    const keep = file.handles > 1 || this.#cachedPages.get(file.ino) === pagesKey(file);
    return { fh, flags: (keep ? OpenReplyFlag.KEEP_CACHE : 0) | flush, backingId: 0 };
  }

  async release(fh: number): Promise<void> {
    const { file, intent } = this.#table.file(fh);
    this.#table.remove(fh);
    if (file.mode.kind === 'process') this.#rememberPages(file);
    else this.#cachedPages.delete(file.ino);
    const before = file.knownMtimeNs;
    await this.#opener.close(file, intent);
    // Writes through a memory map leave the kernel's attributes as they were.
    if (file.mode.kind === 'passthrough' && before !== undefined && file.knownMtimeNs !== before) {
      this.#context.kernel.forgetInode(file.ino, false);
    }
  }

  #rememberPages(file: OpenFile): void {
    this.#cachedPages.delete(file.ino);
    this.#cachedPages.set(file.ino, pagesKey(file));
    if (this.#cachedPages.size > KEEP_CACHE_MAX) {
      const oldest = this.#cachedPages.keys().next().value;
      if (oldest !== undefined) this.#cachedPages.delete(oldest);
    }
  }

  /**
   * Makes a range readable in the file at `handle.file.content.fd`; a promise where it has to be fetched.
   */
  prepareRead(handle: FileHandle, offset: number, length: number): Promise<void> | undefined {
    return handle.file.content.ensure(offset, length);
  }

  /** Reads in a thread what was not in the page cache. */
  async readSlow(handle: FileHandle, offset: number, length: number): Promise<Buffer> {
    const bytes = Buffer.allocUnsafe(length);
    let done = 0;
    while (done < length) {
      const { bytesRead } = await readAsync(
        handle.file.content.fd,
        bytes,
        done,
        length - done,
        offset + done,
      );
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return bytes.subarray(0, done);
  }

  /**
   * @param bytes holds the data at `[start, start + length)`; when the result is a promise, it was copied
   * @param kill the writer, if it may not leave setuid and setgid
   * @returns bytes written
   */
  write(
    handle: FileHandle,
    bytes: Buffer,
    start: number,
    length: number,
    offset: number,
    kill: CallingProcess | undefined,
  ): number | Promise<number> {
    const { content } = handle.file;
    const waiting = content.ensureForWrite(offset, length);
    if (waiting === undefined && kill === undefined) return pwrite(content.fd, bytes, start, length, offset);
    const copy = Buffer.from(bytes.subarray(start, start + length));
    return (async () => {
      await waiting;
      if (kill !== undefined) await this.#killPrivileges(handle.file.ino, kill);
      return pwrite(content.fd, copy, 0, length, offset);
    })();
  }

  /** A write takes setuid, setgid and capabilities away, where the writer may not keep them. */
  async #killPrivileges(ino: Ino, caller: CallingProcess): Promise<void> {
    const { client, clock, kernel } = this.#context;
    const record = await client.inode(ino);
    if (record === undefined || !needsKill(record)) return;
    const lost = privilegesLost(record, 'all', caller);
    await client.execute({ kind: 'setattr', ino, timeNs: clock.wallNs(), ...lost });
    kernel.forgetInode(ino, false);
  }

  /** A descriptor of the file was closed: what was written through it is to be seen by all. */
  publish(handle: FileHandle): Promise<void> {
    return this.#opener.publish(handle.file);
  }

  async fsync(fh: number, dataOnly: boolean): Promise<void> {
    const { file } = this.#table.file(fh);
    await this.#opener.publish(file);
    await file.content.sync(dataOnly);
    await this.#context.client.flush();
  }

  async fallocate(
    fh: number,
    mode: number,
    offset: number,
    length: number,
    caller: CallingProcess,
  ): Promise<void> {
    const { file } = this.#table.file(fh);
    await file.content.fallocate(mode, offset, length);
    if (caller.uid !== 0) await this.#killPrivileges(file.ino, caller);
  }

  seek(fh: number, offset: number, whence: number): number {
    if (whence !== SEEK_DATA && whence !== SEEK_HOLE) {
      throw new GfsError('EINVAL', `lseek whence ${whence} is not for the filesystem to answer`);
    }
    return this.#table.file(fh).file.content.seek(offset, whence);
  }

  async copyRange(
    source: { fh: number; offset: number },
    target: { fh: number; offset: number },
    length: number,
    caller: CallingProcess,
  ): Promise<number> {
    const from = this.#table.file(source.fh).file;
    const to = this.#table.file(target.fh).file;
    const size = from.content.stat().size;
    const count = Math.min(length, COPY_BYTES_MAX, Math.max(0, size - source.offset));
    if (count === 0) return 0;
    await from.content.ensure(source.offset, count);
    await to.content.ensureForWrite(target.offset, count);
    const done = native.copyFileRange(from.content.fd, source.offset, to.content.fd, target.offset, count);
    if (caller.uid !== 0) await this.#killPrivileges(to.ino, caller);
    return done;
  }

  /** A read that reached this process. */
  touch(ino: Ino): Promise<void> {
    return this.#attributes.touch(ino);
  }
}

function pagesKey(file: OpenFile): string {
  const { mtimeNs, size } = file.content.stat();
  return `${mtimeNs}/${size}`;
}

function pwrite(fd: number, bytes: Buffer, start: number, length: number, offset: number): number {
  const written = native.pwrite(fd, bytes, start, length, offset);
  if (written < 0) throw errnoError(-written, 'write');
  return written;
}

function errnoError(errno: number, syscall: string): GfsError {
  // errno numbers of Linux that a write to a local file can meet (write(2)).
  const codes: Readonly<Record<number, 'EFBIG' | 'ENOSPC' | 'EINVAL' | 'EBADF'>> = {
    9: 'EBADF',
    22: 'EINVAL',
    27: 'EFBIG',
    28: 'ENOSPC',
    122: 'ENOSPC', // EDQUOT: to the writer a full quota is a full disk
  };
  return new GfsError(codes[errno] ?? 'EIO', `${syscall} of a staging file failed with errno ${errno}`);
}
