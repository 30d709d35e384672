import { type HandlerTable, nodeOf, type Operations, processOf } from './handlers.js';
import {
  FSYNC_DATASYNC,
  O_DSYNC,
  Opcode,
  OPEN_KILL_SUIDGID,
  RELEASE_FLOCK_UNLOCK,
  WRITE_CACHE,
  WRITE_KILL_SUIDGID,
} from './protocol/constants.js';
import type { RequestReader } from './protocol/request.js';

const O_EXCL = 0o200;
/** Payload of a WRITE begins behind `struct fuse_write_in`. */
const WRITE_DATA_AT = 40;
/** `struct fuse_write_out` says 32 bits: a copy must not report more. */
const COPY_MAX = 0x7fff_f000;

/** Open regular files: content, sync, space. */
export function fileHandlers(operations: Operations): HandlerTable {
  const { names, files, table, replier, locks } = operations;
  return new Map<Opcode, (r: RequestReader, unique: number) => void | Promise<void>>([
    [
      Opcode.OPEN,
      async (r, unique) => {
        const killSuidSgid = (r.u32(4) & OPEN_KILL_SUIDGID) !== 0;
        replier.openedFile(unique, await files.open(nodeOf(r), r.u32(0), killSuidSgid, processOf(r)));
      },
    ],
    [
      Opcode.CREATE,
      async (r, unique) => {
        const flags = r.u32(0);
        const exclusive = (flags & O_EXCL) !== 0;
        const mode = { mode: r.u32(4), umask: r.u32(8) };
        const caller = { uid: r.uid, gid: r.gid };
        const [parent, name] = [nodeOf(r), r.cString(16)];
        const { inode, file } = await names.create(parent, name, mode, caller, exclusive);
        replier.created(unique, inode, await files.openedNew(file, flags), { parent, name });
      },
    ],
    [
      Opcode.TMPFILE,
      async (r, unique) => {
        const mode = { mode: r.u32(4), umask: r.u32(8) };
        const flags = r.u32(0);
        const { inode, file } = await names.tmpfile(nodeOf(r), mode, { uid: r.uid, gid: r.gid });
        replier.created(unique, inode, files.opened(file, 'write', flags), undefined);
      },
    ],
    [Opcode.READ, read],
    [Opcode.WRITE, write],
    [
      Opcode.FLUSH,
      async (r, unique) => {
        const handle = table.file(r.u64(0));
        const owner = lockOwner(r, 16);
        await files.publish(handle);
        await locks.release(handle.file.ino, 'posix', owner);
        replier.ok(unique);
      },
    ],
    [
      Opcode.RELEASE,
      async (r, unique) => {
        const fh = r.u64(0);
        const [ino, owner, unlock] = [nodeOf(r), lockOwner(r, 16), (r.u32(12) & RELEASE_FLOCK_UNLOCK) !== 0];
        // In this turn: whoever asks for a lock after the close() finds it free.
        const unlocked = Promise.all([
          unlock ? locks.release(ino, 'flock', owner) : undefined,
          locks.releaseHandle(ino, fh),
        ]);
        await files.release(fh);
        await unlocked;
        replier.ok(unique);
        // The kernel may have forgotten the inode before its last close came to an end.
        await names.reapIfUnused(ino);
      },
    ],
    [
      Opcode.FSYNC,
      async (r, unique) => {
        await files.fsync(r.u64(0), (r.u32(8) & FSYNC_DATASYNC) !== 0);
        replier.ok(unique);
      },
    ],
    [
      Opcode.FALLOCATE,
      async (r, unique) => {
        await files.fallocate(r.u64(0), r.u32(24), r.u64(8), r.u64(16), processOf(r));
        replier.ok(unique);
      },
    ],
    [Opcode.LSEEK, async (r, unique) => replier.u64(unique, await files.seek(r.u64(0), r.u64(8), r.u32(16)))],
    [
      Opcode.COPY_FILE_RANGE,
      async (r, unique) => {
        const source = { fh: r.u64(0), offset: r.u64(8) };
        const target = { fh: r.u64(24), offset: r.u64(32) };
        const length = Math.min(r.u64(40), COPY_MAX);
        replier.written(unique, await files.copyRange(source, target, length, processOf(r)));
      },
    ],
    [
      Opcode.STATFS,
      async (_r, unique) => {
        const statistics = await operations.statistics();
        replier.device.reply.begin(unique, 0);
        replier.device.reply.statfsOut(statistics);
        replier.device.send();
      },
    ],
    [
      Opcode.SYNCFS,
      async (_r, unique) => {
        await operations.syncAll();
        replier.ok(unique);
      },
    ],
  ]);

  /** What is in the page cache is answered in this turn, without passing through JavaScript. */
  function read(r: RequestReader, unique: number): void | Promise<void> {
    const handle = table.file(r.u64(0));
    const offset = r.u64(8);
    const length = r.u32(16);
    const reply = (bytes: Buffer): void => replier.bytes(unique, bytes);
    let waiting = files.read(handle, offset, length, reply);
    if (waiting === undefined) {
      const sent = replier.device.sendFromFile(unique, handle.file.content.fd, offset, length);
      if (sent >= 0) return files.touch(handle.file.ino);
      waiting = files.readSlow(handle, offset, length, reply);
    }
    return waiting.then(() => files.touch(handle.file.ino));
  }

  function write(r: RequestReader, unique: number): void | Promise<void> {
    const open = table.file(r.u64(0));
    // Pages that a memory map changed belong where they are, also of a file that is open for appending.
    const handle = (r.u32(20) & WRITE_CACHE) !== 0 ? { ...open, appends: false } : open;
    const offset = r.u64(8);
    const length = r.u32(16);
    const kill = (r.u32(20) & WRITE_KILL_SUIDGID) !== 0 ? processOf(r) : undefined;
    const start = r.position(WRITE_DATA_AT);
    const written = files.write(handle, replier.device.batch, start, length, offset, kill);
    // What bypasses the page cache the kernel does not sync by itself.
    if (handle.appends && (r.u32(32) & O_DSYNC) !== 0) return writeSynced(r.u64(0), unique, written);
    if (typeof written === 'number') {
      replier.written(unique, written);
      return undefined;
    }
    return written.then((bytes) => replier.written(unique, bytes));
  }

  async function writeSynced(fh: number, unique: number, written: number | Promise<number>): Promise<void> {
    const bytes = await written;
    await files.fsync(fh, true);
    replier.written(unique, bytes);
  }
}

/** The kernel's lock owner is a hash: all 64 bits count. */
export const lockOwner = (r: RequestReader, at: number): string => r.i64(at).toString(16);
