import { beforeAll, describe, expect, test } from '@jest/globals';
import { makeHandlers, type Operations } from '../../src/fuse/handlers.js';
import { Opcode } from '../../src/fuse/protocol/constants.js';
import { CLayout } from './layout.js';
import { BYTES_BEFORE, HEADER, makeRequest, type Part } from './requests.js';

let layout: CLayout;
beforeAll(async () => {
  layout = await CLayout.load();
});

interface Call {
  readonly method: string;
  readonly args: readonly unknown[];
}

/** Operations that note what they are asked, and have no answer: only the decoding is under test. */
function recorder(calls: Call[]): Operations {
  const group = (name: string): unknown =>
    new Proxy(
      {},
      {
        get: (_target, key) => {
          if (name === 'table' && key === 'file')
            return (fh: number) => ({ fh, file: { ino: HEADER.nodeid } });
          return (...args: unknown[]) => {
            if (name !== 'replier') calls.push({ method: `${name}.${String(key)}`, args });
            return undefined;
          };
        },
      },
    );
  const names = ['replier', 'table', 'attributes', 'names', 'files', 'directories', 'xattrs', 'locks'];
  return {
    ...Object.fromEntries(names.map((name) => [name, group(name)])),
    interruptible: (_unique: number, work: (signal: AbortSignal) => Promise<unknown>) =>
      work(new AbortController().signal),
  } as unknown as Operations;
}

/** All that a request makes the operations do. */
async function allDecoded(opcode: Opcode, ...parts: Part[]): Promise<Call[]> {
  const calls: Call[] = [];
  const handler = makeHandlers(recorder(calls)).get(opcode);
  if (handler === undefined) throw new Error(`no handler for ${Opcode[opcode]}`);
  const run = async (): Promise<void> => handler(makeRequest(layout, opcode, ...parts), HEADER.unique);
  await Promise.allSettled([run()]); // replies are made of answers, which there are none of
  return calls;
}

/** The first of it. What comes after the fields of the request (who asks) is left to the operations' own tests. */
async function decoded(opcode: Opcode, ...parts: Part[]): Promise<Call> {
  const [first] = await allDecoded(opcode, ...parts);
  if (first === undefined) throw new Error(`${Opcode[opcode]} asked for nothing`);
  return first;
}

const struct = (name: string, values: Record<string, number | bigint>): Buffer => layout.encode(name, values);
const caller = { uid: HEADER.uid, gid: HEADER.gid };
const node = HEADER.nodeid;

describe('the header', () => {
  test('is read where C has it, without touching what lies around it', () => {
    const request = makeRequest(layout, Opcode.GETATTR);
    const { opcode, unique, nodeid, uid, gid, pid } = request;
    expect({ unique, nodeid, uid, gid, pid }).toEqual(HEADER);
    expect(opcode).toBe(Opcode.GETATTR);
    expect(request.uniqueBytes.readBigUInt64LE()).toBe(BigInt(HEADER.unique));
  });

  test('a string without its NUL ends with the request', () => {
    expect(makeRequest(layout, Opcode.LOOKUP, Buffer.from('abc')).cString(0)).toBe('abc');
    expect(makeRequest(layout, Opcode.LOOKUP, '\xff\x01\n').cString(0)).toBe('\xff\x01\n');
    expect(makeRequest(layout, Opcode.LOOKUP, Buffer.from('abcdef')).bytes(2, 100).toString()).toBe('cdef');
  });
});

describe('requests on names', () => {
  test('LOOKUP, UNLINK, RMDIR', async () => {
    expect(await decoded(Opcode.LOOKUP, 'n')).toEqual({ method: 'names.lookup', args: [node, 'n'] });
    const unlink = { method: 'names.remove', args: ['unlink', node, 'n'] };
    expect(await decoded(Opcode.UNLINK, 'n')).toEqual(unlink);
    expect((await decoded(Opcode.RMDIR, 'n')).args).toEqual(['rmdir', node, 'n']);
  });

  test('MKNOD, MKDIR, SYMLINK', async () => {
    const mknod = struct('fuse_mknod_in', { mode: 0o20644, rdev: 0x103, umask: 0o22 });
    expect(await decoded(Opcode.MKNOD, mknod, 'null')).toEqual({
      method: 'names.mknod',
      args: [node, 'null', { mode: 0o20644, umask: 0o22 }, 0x103, caller],
    });
    const mkdir = struct('fuse_mkdir_in', { mode: 0o755, umask: 0o27 });
    expect((await decoded(Opcode.MKDIR, mkdir, 'd')).args).toEqual([
      node,
      'd',
      { mode: 0o755, umask: 0o27 },
      caller,
    ]);
    expect((await decoded(Opcode.SYMLINK, 'l', 'to/there')).args).toEqual([node, 'l', 'to/there', caller]);
  });

  test('RENAME, RENAME2, LINK', async () => {
    const old = struct('fuse_rename_in', { newdir: 77 });
    expect((await decoded(Opcode.RENAME, old, 'a', 'bc')).args).toEqual([node, 'a', 77, 'bc', 0]);
    const flagged = struct('fuse_rename2_in', { newdir: 78, flags: 2 });
    expect((await decoded(Opcode.RENAME2, flagged, 'a', 'bc')).args).toEqual([node, 'a', 78, 'bc', 2]);
    const link = struct('fuse_link_in', { oldnodeid: 79 });
    expect(await decoded(Opcode.LINK, link, 'n')).toEqual({ method: 'names.link', args: [79, node, 'n'] });
  });

  test('FORGET, BATCH_FORGET', async () => {
    const forget = struct('fuse_forget_in', { nlookup: 3 });
    expect(await decoded(Opcode.FORGET, forget)).toEqual({ method: 'names.forget', args: [node, 3] });
    const calls: Call[] = [];
    const head = struct('fuse_batch_forget_in', { count: 2 });
    const one = struct('fuse_forget_one', { nodeid: 5, nlookup: 1 });
    const two = struct('fuse_forget_one', { nodeid: 6, nlookup: 2 });
    const request = makeRequest(layout, Opcode.BATCH_FORGET, head, one, two);
    await makeHandlers(recorder(calls)).get(Opcode.BATCH_FORGET)?.(request, HEADER.unique);
    expect(calls.map(({ args }) => args)).toEqual([
      [5, 1],
      [6, 2],
    ]);
  });

  test('CREATE', async () => {
    const create = struct('fuse_create_in', {
      flags: 0o200 | 0o102,
      mode: 0o100640,
      umask: 0o22,
      open_flags: 0,
    });
    const args = [node, 'n', { mode: 0o100640, umask: 0o22 }, caller, true];
    expect(await decoded(Opcode.CREATE, create, 'n')).toEqual({ method: 'names.create', args });
    const tmpfile = await decoded(Opcode.TMPFILE, create, 'n');
    expect(tmpfile.args).toEqual([node, { mode: 0o100640, umask: 0o22 }, caller]);
  });
});

describe('SETATTR', () => {
  const all = {
    fh: 1,
    size: 2 ** 45 + 7,
    atime: -2,
    atimensec: 999_999_999,
    mtime: 9_223_372_036,
    mtimensec: 854_775_807,
    mode: 0o104755,
    uid: 0xffff_fff0,
    gid: 0xffff_fff1,
  };

  test('reads what the mask says, times before 1970 and in 2262 among it', async () => {
    const valid = 0b111111 | (1 << 11);
    const { args } = await decoded(Opcode.SETATTR, struct('fuse_setattr_in', { valid, ...all }));
    expect(args[0]).toBe(node);
    expect(args[1]).toMatchObject({
      mode: 0o104755,
      uid: 0xffff_fff0,
      gid: 0xffff_fff1,
      size: 2 ** 45 + 7,
      atime: { kind: 'at', ns: -1_000_000_001n },
      mtime: { kind: 'at', ns: 2n ** 63n - 1n },
      killSuidSgid: true,
    });
  });

  test('reads nothing that the mask leaves out', async () => {
    const { args } = await decoded(Opcode.SETATTR, struct('fuse_setattr_in', { valid: 0, ...all }));
    expect(args[1]).toMatchObject({ killSuidSgid: false });
    for (const field of ['mode', 'uid', 'gid', 'size', 'atime', 'mtime'])
      expect(args[1]).not.toHaveProperty(field);
  });

  test('tells "now" from a time', async () => {
    const valid = (1 << 4) | (1 << 5) | (1 << 7) | (1 << 8);
    const { args } = await decoded(Opcode.SETATTR, struct('fuse_setattr_in', { valid, ...all }));
    expect(args[1]).toMatchObject({ atime: { kind: 'now' }, mtime: { kind: 'now' } });
  });
});

describe('requests on open files', () => {
  test('OPEN', async () => {
    const open = struct('fuse_open_in', { flags: 0o1002, open_flags: 1 });
    const { method, args } = await decoded(Opcode.OPEN, open);
    expect([method, ...args.slice(0, 3)]).toEqual(['files.open', node, 0o1002, true]);
  });

  test('READ: the range that is asked for', async () => {
    const read = struct('fuse_read_in', { fh: 5, offset: 2 ** 43, size: 131_072 });
    const { method, args } = await decoded(Opcode.READ, read);
    expect([method, ...args.slice(1, 3)]).toEqual(['files.read', 2 ** 43, 131_072]);
    expect(args[0]).toMatchObject({ fh: 5 });
  });

  test('WRITE: the data lies behind the structure', async () => {
    const write = struct('fuse_write_in', { fh: 5, offset: 2 ** 43, size: 3, write_flags: 4 });
    const { args } = await decoded(Opcode.WRITE, write, Buffer.from('abc'));
    const dataAt = BYTES_BEFORE + layout.sizeOf('fuse_in_header') + layout.sizeOf('fuse_write_in');
    expect(args.slice(2, 5)).toEqual([dataAt, 3, 2 ** 43]);
    expect(args[5]).toBeTruthy();
  });

  test('RELEASE, FSYNC, FLUSH', async () => {
    const release = struct('fuse_release_in', { fh: 5, release_flags: 2, lock_owner: 9 });
    const released = await allDecoded(Opcode.RELEASE, release);
    expect(released).toContainEqual({ method: 'files.release', args: [5] });
    expect(released).toContainEqual({ method: 'locks.release', args: [node, 'flock', '9'] });
    const fsync = struct('fuse_fsync_in', { fh: 6, fsync_flags: 1 });
    expect(await decoded(Opcode.FSYNC, fsync)).toEqual({ method: 'files.fsync', args: [6, true] });
    const flush = struct('fuse_flush_in', { fh: 7, lock_owner: 9 });
    expect((await decoded(Opcode.FLUSH, flush)).args[0]).toMatchObject({ fh: 7 });
  });

  test('FALLOCATE, LSEEK, COPY_FILE_RANGE', async () => {
    const fallocate = struct('fuse_fallocate_in', { fh: 5, offset: 4096, length: 2 ** 40, mode: 3 });
    const { args } = await decoded(Opcode.FALLOCATE, fallocate);
    expect(args.slice(0, 4)).toEqual([5, 3, 4096, 2 ** 40]);
    const lseek = struct('fuse_lseek_in', { fh: 5, offset: 2 ** 41, whence: 4 });
    expect((await decoded(Opcode.LSEEK, lseek)).args).toEqual([5, 2 ** 41, 4]);
    const ends = { fh_in: 5, off_in: 11, nodeid_out: 12, fh_out: 6, off_out: 13 };
    const copy = await decoded(
      Opcode.COPY_FILE_RANGE,
      struct('fuse_copy_file_range_in', { ...ends, len: 2 ** 45 }),
    );
    const [source, target, length] = copy.args;
    expect([source, target]).toEqual([
      { fh: 5, offset: 11 },
      { fh: 6, offset: 13 },
    ]);
    expect(length).toBeLessThan(2 ** 31); // fuse_write_out counts in 32 bits
  });

  test('READDIR and READDIRPLUS', async () => {
    const read = struct('fuse_read_in', { fh: 5, offset: 130, size: 4096 });
    expect((await decoded(Opcode.READDIR, read)).args).toEqual([5, 130, false, 4096]);
    expect((await decoded(Opcode.READDIRPLUS, read)).args).toEqual([5, 130, true, 4096]);
  });
});

describe('xattrs and locks', () => {
  test('GETXATTR, SETXATTR, REMOVEXATTR', async () => {
    const get = struct('fuse_getxattr_in', { size: 100 });
    expect((await decoded(Opcode.GETXATTR, get, 'user.a')).args).toEqual([node, 'user.a']);
    const set = struct('fuse_setxattr_in', { size: 3, flags: 1, setxattr_flags: 1 });
    const value = Buffer.from([0, 255, 0]);
    const { args } = await decoded(Opcode.SETXATTR, set, 'user.a', value);
    expect(args).toEqual([node, 'user.a', value, 1, 1]);
    expect((await decoded(Opcode.REMOVEXATTR, 'user.a')).args).toEqual([node, 'user.a']);
  });

  test('SETLK, SETLKW, GETLK: all 64 bits of the owner, and a lock to the end of the file', async () => {
    const lockBytes = (): Buffer => {
      const bytes = struct('fuse_lk_in', { fh: 5, owner: 0xfedc_ba98_7654_3210n, lk_flags: 1 });
      const range = struct('fuse_file_lock', { start: 10, end: 2n ** 63n - 1n, type: 1, pid: 99 });
      range.copy(bytes, layout.offsetOf('fuse_lk_in', 'lk'));
      return bytes;
    };
    const owner = BigInt.asIntN(64, 0xfedc_ba98_7654_3210n).toString(16);
    const lock = { start: 10, end: 2 ** 63, type: 1, pid: 99 };
    const set = await decoded(Opcode.SETLK, lockBytes());
    expect(set.args.slice(0, 4)).toEqual([node, 'flock', owner, lock]);
    const waiting = await decoded(Opcode.SETLKW, lockBytes());
    expect([waiting.method, ...waiting.args.slice(0, 4)]).toEqual(['locks.wait', node, 'flock', owner, lock]);
    expect((await decoded(Opcode.GETLK, lockBytes())).args).toEqual([node, owner, lock]);
  });
});
