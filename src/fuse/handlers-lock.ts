import { lockOwner } from './handlers-file.js';
import { type HandlerTable, nodeOf, type Operations } from './handlers.js';
import { LK_FLOCK, Opcode } from './protocol/constants.js';
import type { FileLock } from './protocol/reply.js';
import type { RequestReader } from './protocol/request.js';

/** fcntl and flock locks. Only asked of a process that said it keeps them. */
export function lockHandlers(operations: Operations): HandlerTable {
  const { locks, replier } = operations;
  const familyOf = (r: RequestReader): 'posix' | 'flock' =>
    (r.u32(40) & LK_FLOCK) === 0 ? 'posix' : 'flock';
  return new Map<Opcode, (r: RequestReader, unique: number) => void | Promise<void>>([
    [
      Opcode.GETLK,
      async (r, unique) => {
        const found = await locks.get(nodeOf(r), lockOwner(r, 8), lockOf(r));
        replier.device.reply.begin(unique, 0);
        replier.device.reply.lockOut(found);
        replier.device.send();
      },
    ],
    [
      Opcode.SETLK,
      async (r, unique) => {
        await locks.set(nodeOf(r), familyOf(r), lockOwner(r, 8), lockOf(r), r.u64(0));
        replier.ok(unique);
      },
    ],
    [
      Opcode.SETLKW,
      async (r, unique) => {
        const [ino, family, owner, lock] = [nodeOf(r), familyOf(r), lockOwner(r, 8), lockOf(r)];
        const fh = r.u64(0);
        await operations.interruptible(unique, (signal) => locks.wait(ino, family, owner, lock, fh, signal));
        replier.ok(unique);
      },
    ],
  ]);
}

/** `struct fuse_file_lock` inside `struct fuse_lk_in` */
function lockOf(r: RequestReader): FileLock {
  return { start: r.u64(16), end: r.u64(24), type: r.u32(32), pid: r.u32(36) };
}
