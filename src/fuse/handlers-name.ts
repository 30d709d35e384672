import type { Ino } from '../core/index.js';
import type { Caller, InodeRecord } from '../namespace/index.js';
import type { AttributeChange } from './attributes.js';
import { type HandlerTable, nodeOf, type Operations, processOf } from './handlers.js';
import { Opcode, SetattrValid } from './protocol/constants.js';
import type { RequestReader } from './protocol/request.js';

const ENODATA = 61;
const NS_PER_S = 1_000_000_000n;

const callerOf = (request: RequestReader): Caller => ({ uid: request.uid, gid: request.gid });

/** Names, attributes, extended attributes. Layouts: `struct fuse_*_in` of linux/fuse.h. */
export function nameHandlers(operations: Operations): HandlerTable {
  const { names, attributes, xattrs, replier } = operations;
  const replyEntry = async (
    unique: number,
    parent: Ino,
    name: string,
    made: Promise<InodeRecord>,
  ): Promise<void> => replier.entry(unique, await made, { parent, name });
  const done = async (unique: number, work: Promise<void>): Promise<void> => {
    await work;
    replier.ok(unique);
  };
  return new Map<Opcode, (r: RequestReader, unique: number) => void | Promise<void>>([
    [
      Opcode.LOOKUP,
      async (r, unique) => {
        const parent = nodeOf(r);
        const name = r.cString(0);
        const record = await names.lookup(parent, name);
        if (record === undefined) replier.noEntry(unique, { parent, name });
        else replier.entry(unique, record, { parent, name });
      },
    ],
    [Opcode.FORGET, (r) => names.forget(nodeOf(r), r.u64(0))],
    [
      Opcode.BATCH_FORGET,
      (r) => {
        const count = r.u32(0);
        for (let i = 0; i < count; i++) names.forget(r.u64(8 + i * 16) as Ino, r.u64(16 + i * 16));
      },
    ],
    [Opcode.GETATTR, async (r, unique) => replier.attributes(unique, await attributes.get(nodeOf(r)))],
    [
      Opcode.SETATTR,
      async (r, unique) => replier.attributes(unique, await attributes.set(nodeOf(r), attributeChange(r))),
    ],
    [
      Opcode.READLINK,
      async (r, unique) => {
        const ino = nodeOf(r);
        replier.bytes(unique, Buffer.from(await names.readlink(ino), 'latin1'));
        await attributes.touch(ino);
      },
    ],
    [
      Opcode.SYMLINK,
      (r, unique) => {
        const name = r.cString(0);
        const target = r.cString(name.length + 1);
        const parent = nodeOf(r);
        return replyEntry(unique, parent, name, names.symlink(parent, name, target, callerOf(r)));
      },
    ],
    [
      Opcode.MKNOD,
      (r, unique) => {
        const mode = { mode: r.u32(0), umask: r.u32(8) };
        const [parent, name] = [nodeOf(r), r.cString(16)];
        return replyEntry(unique, parent, name, names.mknod(parent, name, mode, r.u32(4), callerOf(r)));
      },
    ],
    [
      Opcode.MKDIR,
      (r, unique) => {
        const mode = { mode: r.u32(0), umask: r.u32(4) };
        const [parent, name] = [nodeOf(r), r.cString(8)];
        return replyEntry(unique, parent, name, names.mkdir(parent, name, mode, callerOf(r)));
      },
    ],
    [Opcode.UNLINK, (r, unique) => done(unique, names.remove('unlink', nodeOf(r), r.cString(0)))],
    [Opcode.RMDIR, (r, unique) => done(unique, names.remove('rmdir', nodeOf(r), r.cString(0)))],
    [Opcode.RENAME, (r, unique) => done(unique, rename(r, 8, 0))],
    [Opcode.RENAME2, (r, unique) => done(unique, rename(r, 16, r.u32(8)))],
    [
      Opcode.LINK,
      (r, unique) => {
        const [parent, name] = [nodeOf(r), r.cString(8)];
        return replyEntry(unique, parent, name, names.link(r.u64(0) as Ino, parent, name));
      },
    ],
    [
      Opcode.GETXATTR,
      async (r, unique) => {
        const room = r.u32(0);
        const value = await xattrs.get(nodeOf(r), r.cString(8));
        // The usual answer (security.capability, before a file's first write), so without the cost of an error.
        if (value === undefined) replier.device.sendErrno(unique, ENODATA);
        else replier.xattr(unique, value, room);
      },
    ],
    [
      Opcode.LISTXATTR,
      async (r, unique) => {
        const room = r.u32(0);
        replier.xattr(unique, await xattrs.list(nodeOf(r), r.uid), room);
      },
    ],
    [
      Opcode.SETXATTR,
      (r, unique) => {
        const name = r.cString(16);
        const value = Buffer.from(r.bytes(16 + name.length + 1, r.u32(0)));
        return done(unique, xattrs.set(nodeOf(r), name, value, r.u32(4), r.u32(8)));
      },
    ],
    [Opcode.REMOVEXATTR, (r, unique) => done(unique, xattrs.remove(nodeOf(r), r.cString(0)))],
    [
      Opcode.ACCESS,
      async (r, unique) => {
        // Permissions are the kernel's to check (default_permissions): what exists may be asked about.
        await attributes.get(nodeOf(r));
        replier.ok(unique);
      },
    ],
  ]);

  function rename(r: RequestReader, namesAt: number, flags: number): Promise<void> {
    const name = r.cString(namesAt);
    const newName = r.cString(namesAt + name.length + 1);
    return names.rename(nodeOf(r), name, r.u64(0) as Ino, newName, flags);
  }
}

/** `struct fuse_setattr_in` */
function attributeChange(r: RequestReader): AttributeChange {
  const valid = r.u32(0);
  const has = (bit: number): boolean => (valid & bit) !== 0;
  const time = (secAt: number, nsecAt: number, nowBit: number): AttributeChange['atime'] =>
    has(nowBit) ? { kind: 'now' } : { kind: 'at', ns: r.i64(secAt) * NS_PER_S + BigInt(r.u32(nsecAt)) };
  return {
    ...(has(SetattrValid.MODE) ? { mode: r.u32(68) } : {}),
    ...(has(SetattrValid.UID) ? { uid: r.u32(76) } : {}),
    ...(has(SetattrValid.GID) ? { gid: r.u32(80) } : {}),
    ...(has(SetattrValid.SIZE) ? { size: r.u64(16) } : {}),
    ...(has(SetattrValid.ATIME) ? { atime: time(32, 56, SetattrValid.ATIME_NOW) } : {}),
    ...(has(SetattrValid.MTIME) ? { mtime: time(40, 60, SetattrValid.MTIME_NOW) } : {}),
    killSuidSgid: has(SetattrValid.KILL_SUIDGID),
    caller: processOf(r),
  };
}
