import { type HandlerTable, nodeOf, type Operations } from './handlers.js';
import { MAX_IO_BYTES } from './device.js';
import { Opcode } from './protocol/constants.js';
import type { RequestReader } from './protocol/request.js';

/** Directories. */
export function directoryHandlers(operations: Operations): HandlerTable {
  const { directories, replier } = operations;
  const read = async (r: RequestReader, unique: number, plus: boolean): Promise<void> => {
    const fh = r.u64(0);
    const offset = r.u64(8);
    const limit = Math.min(r.u32(16), MAX_IO_BYTES);
    const encode = await directories.read(fh, offset, plus, limit);
    replier.device.reply.begin(unique, 0);
    encode(replier.device.reply);
    replier.device.send();
  };
  return new Map<Opcode, (r: RequestReader, unique: number) => void | Promise<void>>([
    [
      Opcode.OPENDIR,
      (r, unique) => {
        const opened = directories.open(nodeOf(r));
        replier.device.reply.begin(unique, 0);
        replier.device.reply.openOut(opened);
        if (!replier.device.send()) directories.release(opened.fh);
      },
    ],
    [Opcode.READDIR, (r, unique) => read(r, unique, false)],
    [Opcode.READDIRPLUS, (r, unique) => read(r, unique, true)],
    [
      Opcode.RELEASEDIR,
      (r, unique) => {
        directories.release(r.u64(0));
        replier.ok(unique);
      },
    ],
    [
      Opcode.FSYNCDIR,
      async (_r, unique) => {
        await directories.sync();
        replier.ok(unique);
      },
    ],
  ]);
}
