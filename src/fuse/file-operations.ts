import { read } from 'node:fs';
import { promisify } from 'node:util';
import { GfsError, type Ino, native, SEEK_DATA, SEEK_HOLE } from '../core/index.js';
import type { AttributeOperations } from './attributes.js';
import { type FilesystemContext, requireInode } from './context.js';
import { requireWhole } from './file-leases.js';
import type { FileOpener } from './file-opener.js';
import type { FileHandle, OpenFile, OpenIntent, OpenTable } from './open-table.js';
import type { PageMemory } from './page-memory.js';
import {
  O_ACCMODE,
  O_APPEND,
  O_DSYNC,
  O_RDONLY,
  O_TRUNC,
  O_WRONLY,
  OpenReplyFlag,
} from './protocol/constants.js';
import type { Opened } from './protocol/reply.js';
import { type CallingProcess, needsKill, privilegesLost } from './privileges.js';

const readAsync = promisify(read);

/** Largest part of a copy_file_range done in one go, so that other requests get their turn: about 10 ms. */
const COPY_BYTES_MAX = 16 * 1024 * 1024;
/** Where files are shared it is copied through memory. */
const COPY_SHARED_BYTES_MAX = 4 * 1024 * 1024;

/** Operations on open regular files. */
export class FileOperations {
  readonly #context: FilesystemContext;
  readonly #table: OpenTable;
  readonly #opener: FileOpener;
  readonly #attributes: AttributeOperations;
  readonly #pages: PageMemory;
  /** Whether closing a file must be announced (FLUSH): for locks that this process keeps. */
  readonly #flushOnClose: boolean;

  constructor(
    context: FilesystemContext,
    table: OpenTable,
    opener: FileOpener,
    attributes: AttributeOperations,
    options: { readonly pages: PageMemory; readonly flushOnClose: boolean },
  ) {
    this.#context = context;
    this.#table = table;
    this.#opener = opener;
    this.#attributes = attributes;
    this.#pages = options.pages;
    this.#flushOnClose = options.flushOnClose;
  }

  async open(ino: Ino, flags: number, killSuidSgid: boolean, caller: CallingProcess): Promise<Opened> {
    const readOnly = (flags & O_ACCMODE) === O_RDONLY;
    const truncate = (flags & O_TRUNC) !== 0;
    const intent: OpenIntent = truncate ? 'truncate' : readOnly ? 'read' : 'write';
    if (intent === 'read') this.#context.readAhead?.opening(ino);
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
    return this.opened(file, intent, flags);
  }

  /** The reply to an open that made the file. */
  async openedNew(file: OpenFile, flags: number): Promise<Opened> {
    try {
      await this.#syncAtOpen(file, flags);
    } catch (thrown) {
      await this.#opener.close(file, 'write');
      throw thrown;
    }
    return this.opened(file, 'write', flags);
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
    const { client, clock, leases } = this.#context;
    if (leases !== undefined) {
      await leases.run(file, 'write', () => this.#attributes.resize(file, 0));
      if (killSuidSgid) await this.#killPrivileges(file.ino, caller);
      return;
    }
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
  opened(file: OpenFile, intent: OpenIntent, flags: number): Opened {
    const appends = this.#context.leases !== undefined && intent !== 'read' && (flags & O_APPEND) !== 0;
    // What is appended to bypasses the pages, but for maps: these need a descriptor that can be read.
    const paged = intent !== 'read' && (!appends || (flags & O_ACCMODE) !== O_WRONLY);
    const fh = this.#table.add({ kind: 'file', file, intent, appends, paged });
    if (paged) file.pagedWriters++;
    const flush = this.#flushOnClose ? 0 : OpenReplyFlag.NOFLUSH;
    if (file.mode.kind === 'passthrough') {
      return { fh, flags: OpenReplyFlag.PASSTHROUGH | flush, backingId: file.mode.backingId };
    }
    // The kernel appends where it believes the end is, and would put that into its pages.
    if (appends) return { fh, flags: OpenReplyFlag.DIRECT_IO | flush, backingId: 0 };
    const keep = file.handles > 1 || this.#pages.has(file);
    return { fh, flags: (keep ? OpenReplyFlag.KEEP_CACHE : 0) | flush, backingId: 0 };
  }

  async release(fh: number): Promise<void> {
    const { file, intent, paged } = this.#table.file(fh);
    this.#table.remove(fh);
    if (paged) file.pagedWriters--;
    if (file.mode.kind === 'process' && file.fresh) this.#pages.remember(file);
    else this.#pages.forget(file.ino);
    const before = file.knownMtimeNs;
    await this.#opener.close(file, intent);
    // Writes through a memory map leave the kernel's attributes as they were.
    if (file.mode.kind === 'passthrough' && before !== undefined && file.knownMtimeNs !== before) {
      this.#context.kernel.forgetInode(file.ino, false);
    }
  }

  /**
   * Undefined when the range can be read in this turn from the file at `handle.file.content.fd`; else it is
   * waited for, and handed to `reply` while it is sure to be right.
   */
  read(
    handle: FileHandle,
    offset: number,
    length: number,
    reply: (bytes: Buffer) => void,
  ): Promise<void> | undefined {
    const { leases } = this.#context;
    const { file } = handle;
    if (leases !== undefined && !leases.current(file, 'read'))
      return this.readSlow(handle, offset, length, reply);
    const waiting = file.content.ensure(offset, length);
    if (waiting === undefined) return undefined;
    waiting.catch(() => undefined); // asked for again, and then told
    return this.readSlow(handle, offset, length, reply);
  }

  /** Fetches what is absent, and reads in a thread what was not in the page cache. */
  readSlow(
    handle: FileHandle,
    offset: number,
    length: number,
    reply: (bytes: Buffer) => void,
  ): Promise<void> {
    const { leases } = this.#context;
    const work = async (): Promise<void> => {
      await handle.file.content.ensure(offset, length);
      reply(await readRange(handle.file.content.fd, offset, length));
    };
    return leases === undefined ? work() : leases.run(handle.file, 'read', work);
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
    const { leases } = this.#context;
    const { content } = handle.file;
    if (leases !== undefined)
      return this.#writeShared(handle, bytes.subarray(start, start + length), offset, kill);
    const waiting = content.ensureForWrite(offset, length);
    if (waiting === undefined && kill === undefined) return pwrite(content.fd, bytes, start, length, offset);
    const copy = Buffer.from(bytes.subarray(start, start + length));
    return (async () => {
      await waiting;
      if (kill !== undefined) await this.#killPrivileges(handle.file.ino, kill);
      return pwrite(content.fd, copy, 0, length, offset);
    })();
  }

  /** Under the write lease; what is appended goes to where the end is now, whatever the kernel believes. */
  #writeShared(
    handle: FileHandle,
    bytes: Buffer,
    offset: number,
    kill: CallingProcess | undefined,
  ): number | Promise<number> {
    const { leases } = this.#context;
    const { file } = handle;
    if (leases === undefined) throw new GfsError('INTERNAL', 'a file that is not shared has no leases');
    if (kill === undefined && file.overtaken === undefined && leases.current(file, 'write')) {
      const written = this.#tryWrite(handle, bytes, offset);
      if (typeof written === 'number') return written;
      written.catch(() => undefined); // waited for again, and then told
    }
    const copy = Buffer.from(bytes);
    return leases.run(file, 'write', async () => {
      if (kill !== undefined) await this.#killPrivileges(file.ino, kill);
      for (;;) {
        const written = this.#tryWrite(handle, copy, offset);
        if (typeof written === 'number') return written;
        await written;
      }
    });
  }

  /** Writes in this turn, or says what to wait for before it is tried again. */
  #tryWrite({ file, appends }: FileHandle, bytes: Buffer, offset: number): number | Promise<void> {
    const at = appends ? file.content.stat().size : offset;
    const waiting = file.content.ensureForWrite(at, bytes.length);
    if (waiting !== undefined) return waiting;
    const written = pwrite(file.content.fd, bytes, 0, bytes.length, at);
    if (at !== offset) this.#context.kernel.forgetInode(file.ino, false);
    return written;
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

  /**
   * A descriptor of the file was closed: what was written through it is to be seen by all.
   * @throws GfsError EIO when it cannot be, since somebody else's version came first
   */
  async publish(handle: FileHandle): Promise<void> {
    if (handle.intent !== 'read') requireWhole(handle.file);
    await this.#opener.publish(handle.file);
  }

  async fsync(fh: number, dataOnly: boolean): Promise<void> {
    const { file } = this.#table.file(fh);
    const { client, leases } = this.#context;
    if (leases === undefined) {
      await this.#opener.publish(file);
      await file.content.sync(dataOnly);
    } else await leases.store(file);
    await client.flush();
  }

  async fallocate(
    fh: number,
    mode: number,
    offset: number,
    length: number,
    caller: CallingProcess,
  ): Promise<void> {
    const { file } = this.#table.file(fh);
    const { leases } = this.#context;
    const work = (): Promise<void> => file.content.fallocate(mode, offset, length);
    await (leases === undefined ? work() : leases.run(file, 'write', work));
    if (caller.uid !== 0) await this.#killPrivileges(file.ino, caller);
  }

  async seek(fh: number, offset: number, whence: number): Promise<number> {
    if (whence !== SEEK_DATA && whence !== SEEK_HOLE) {
      throw new GfsError('EINVAL', `lseek whence ${whence} is not for the filesystem to answer`);
    }
    const { file } = this.#table.file(fh);
    const { leases } = this.#context;
    if (leases === undefined) return file.content.seek(offset, whence);
    return leases.run(file, 'read', () => file.content.seek(offset, whence));
  }

  async copyRange(
    source: { fh: number; offset: number },
    target: { fh: number; offset: number },
    length: number,
    caller: CallingProcess,
  ): Promise<number> {
    if (this.#context.leases !== undefined) return this.#copyShared(source, target, length, caller);
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

  /** One lease at a time: two mounts that copy in opposite directions would wait for each other. */
  async #copyShared(
    source: { fh: number; offset: number },
    target: { fh: number; offset: number },
    length: number,
    caller: CallingProcess,
  ): Promise<number> {
    let bytes: Buffer = Buffer.alloc(0);
    await this.readSlow(
      this.#table.file(source.fh),
      source.offset,
      Math.min(length, COPY_SHARED_BYTES_MAX),
      (read) => {
        bytes = read;
      },
    );
    if (bytes.length === 0) return 0;
    const handle = this.#table.file(target.fh);
    const kill = caller.uid === 0 ? undefined : caller;
    const written = await this.write(
      { ...handle, appends: false },
      bytes,
      0,
      bytes.length,
      target.offset,
      kill,
    );
    return written;
  }

  /** A read that reached this process. */
  touch(ino: Ino): Promise<void> {
    return this.#attributes.touch(ino);
  }
}

async function readRange(fd: number, offset: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await readAsync(fd, bytes, done, length - done, offset + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return bytes.subarray(0, done);
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
