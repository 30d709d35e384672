import { beforeAll, describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { type TimeNs, timeNs } from '../../src/core/index.js';
import { type Attributes, ReplyWriter, type Validity } from '../../src/fuse/protocol/reply.js';
import { CLayout } from './layout.js';

let layout: CLayout;
beforeAll(async () => {
  layout = await CLayout.load();
});

const OUT = 16;
const UNIQUE = 0x1f_ffff_ffff_ffff; // 2^53 - 1, the largest number that is exact
const VALIDITY: Validity = { entrySec: 31_536_000, attrSec: 0x1_0000_0003, attrNsec: 10_000_000 };
const ATTRIBUTES: Attributes = {
  ino: 2 ** 53 - 2,
  size: 2 ** 53 - 3,
  blocks: 2 ** 44 + 5,
  atimeNs: timeNs(1_700_000_001_000_000_011n),
  mtimeNs: timeNs(1_700_000_002_000_000_022n),
  ctimeNs: timeNs(1_700_000_003_000_000_033n),
  mode: 0o106755,
  nlink: 2 ** 31 - 1,
  uid: 0xffff_fffe,
  gid: 0xffff_fffd,
  rdev: 0x0801_0003,
};
const FIELDS = {
  ino: 2n ** 53n - 2n,
  size: 2n ** 53n - 3n,
  blocks: 2n ** 44n + 5n,
  atime: 1_700_000_001n,
  atimensec: 11n,
  mtime: 1_700_000_002n,
  mtimensec: 22n,
  ctime: 1_700_000_003n,
  ctimensec: 33n,
  mode: 0o106755n,
  nlink: 2n ** 31n - 1n,
  uid: 0xffff_fffen,
  gid: 0xffff_fffdn,
  rdev: 0x0801_0003n,
  blksize: 4096n,
  flags: 0n,
};

/** A reply of which each byte is written: what was in the buffer before does not show. */
function reply(encode: (writer: ReplyWriter) => void): Buffer {
  const writer = new ReplyWriter(64 * 1024);
  writer.bytes.fill(0xa5);
  writer.begin(UNIQUE, 0);
  encode(writer);
  writer.end();
  return Buffer.from(writer.bytes.subarray(0, writer.length));
}

describe('replies have the layout of the C structures', () => {
  test('header', () => {
    const bytes = reply((writer) => writer.u64(1));
    const header = { len: 24n, error: 0n, unique: BigInt(UNIQUE) };
    expect(layout.decode('fuse_out_header', bytes)).toEqual(header);
  });

  test('an error is a negative errno', () => {
    const writer = new ReplyWriter(64);
    writer.begin(7, -38);
    writer.end();
    expect(writer.bytes.readInt32LE(layout.offsetOf('fuse_out_header', 'error'))).toBe(-38);
    expect(writer.length).toBe(OUT);
  });

  test('a header counts the payload that is sent beside it', () => {
    const writer = new ReplyWriter(64);
    writer.begin(7, 0);
    writer.end(4096);
    expect(writer.bytes.readUInt32LE(0)).toBe(OUT + 4096);
  });

  test('attributes', () => {
    const bytes = reply((writer) => writer.attrOut(ATTRIBUTES, VALIDITY));
    expect(bytes.length).toBe(OUT + layout.sizeOf('fuse_attr_out'));
    expect(layout.decode('fuse_attr_out', bytes, OUT)).toEqual({
      attr_valid: 0x1_0000_0003n,
      attr_valid_nsec: 10_000_000n,
    });
    expect(layout.decode('fuse_attr', bytes, OUT + layout.offsetOf('fuse_attr_out', 'attr'))).toEqual(FIELDS);
  });

  test('an entry', () => {
    const bytes = reply((writer) => writer.entryOut(ATTRIBUTES, VALIDITY));
    expect(bytes.length).toBe(OUT + layout.sizeOf('fuse_entry_out'));
    expect(layout.decode('fuse_entry_out', bytes, OUT)).toEqual({
      nodeid: 2n ** 53n - 2n,
      generation: 0n,
      entry_valid: 31_536_000n,
      attr_valid: 0x1_0000_0003n,
      entry_valid_nsec: 0n,
      attr_valid_nsec: 10_000_000n,
    });
    expect(layout.decode('fuse_attr', bytes, OUT + layout.offsetOf('fuse_entry_out', 'attr'))).toEqual(
      FIELDS,
    );
  });

  test('the entry that says "no such name" has node 0 and a validity', () => {
    const bytes = reply((writer) => writer.negativeEntryOut(VALIDITY));
    expect(bytes.length).toBe(OUT + layout.sizeOf('fuse_entry_out'));
    const entry = layout.decode('fuse_entry_out', bytes, OUT);
    expect(entry).toMatchObject({ nodeid: 0n, entry_valid: 31_536_000n, entry_valid_nsec: 0n });
  });

  test('an open file', () => {
    const bytes = reply((writer) => writer.openOut({ fh: 2 ** 40 + 1, flags: 0xa2, backingId: 77 }));
    expect(bytes.length).toBe(OUT + layout.sizeOf('fuse_open_out'));
    const open = layout.decode('fuse_open_out', bytes, OUT);
    expect(open).toMatchObject({ fh: 2n ** 40n + 1n, open_flags: 0xa2n });
    expect(bytes.readInt32LE(OUT + layout.offsetOf('fuse_open_out', 'open_flags') + 4)).toBe(77);
  });

  test('statfs', () => {
    const counts = { blocks: 2 ** 41, blocksFree: 2, blocksAvailable: 3, files: 2 ** 33, filesFree: 5 };
    const bytes = reply((writer) => writer.statfsOut({ ...counts, blockBytes: 4096, nameBytesMax: 255 }));
    expect(bytes.length).toBe(OUT + layout.sizeOf('fuse_statfs_out'));
    const counted = { blocks: 2n ** 41n, bfree: 2n, bavail: 3n, files: 2n ** 33n, ffree: 5n };
    const expected = { ...counted, bsize: 4096n, namelen: 255n, frsize: 4096n };
    expect(layout.decode('fuse_kstatfs', bytes, OUT)).toEqual(expected);
  });

  test('a lock, and one to the end of the file', () => {
    const lock = { start: 100, end: 199, type: 1, pid: 4242 };
    const bytes = reply((writer) => writer.lockOut(lock));
    expect(bytes.length).toBe(OUT + layout.sizeOf('fuse_lk_out'));
    const fields = layout.decode('fuse_file_lock', bytes, OUT);
    expect(fields).toEqual({ start: 100n, end: 199n, type: 1n, pid: 4242n });
    const toEnd = reply((writer) => writer.lockOut({ ...lock, end: 2 ** 63 }));
    expect(layout.decode('fuse_file_lock', toEnd, OUT)).toMatchObject({ end: 2n ** 63n - 1n });
  });

  test('counts: what was written, the size of an xattr, where lseek ended', () => {
    const count = reply((writer) => {
      writer.u32(4096);
      writer.u32(0);
    });
    for (const struct of ['fuse_write_out', 'fuse_getxattr_out']) {
      expect(count.length).toBe(OUT + layout.sizeOf(struct));
      expect(layout.decode(struct, count, OUT)).toEqual({ size: 4096n });
    }
    const offset = reply((writer) => writer.u64(2 ** 50 + 1));
    expect(layout.decode('fuse_lseek_out', offset, OUT)).toEqual({ offset: 2n ** 50n + 1n });
  });
});

describe('times are seconds and 0 to 999,999,999 nanoseconds, before 1970 too', () => {
  function sent(ns: TimeNs): { sec: bigint; nsec: number } {
    const bytes = reply((writer) => writer.attributes({ ...ATTRIBUTES, mtimeNs: ns }));
    return {
      sec: bytes.readBigInt64LE(OUT + layout.offsetOf('fuse_attr', 'mtime')),
      nsec: bytes.readUInt32LE(OUT + layout.offsetOf('fuse_attr', 'mtimensec')),
    };
  }

  test.each([
    ['the epoch', 0n, 0n, 0],
    ['a nanosecond before the epoch', -1n, -1n, 999_999_999],
    ['a second before the epoch', -1_000_000_000n, -1n, 0],
    ['1901-01-01', -2_177_452_800_000_000_001n, -2_177_452_801n, 999_999_999],
    ['the end of 32 bits', 2_147_483_648_000_000_001n, 2_147_483_648n, 1],
    ['the last moment, in 2262', 2n ** 63n - 1n, 9_223_372_036n, 854_775_807],
    ['the first moment, in 1677', -(2n ** 63n) + 1n, -9_223_372_037n, 145_224_193],
  ])('%s', (_what, ns, sec, nsec) => {
    expect(sent(timeNs(ns))).toEqual({ sec, nsec });
  });

  test('what lies outside of 1677 to 2262 is sent as the nearest moment inside', () => {
    expect(sent(timeNs(2n ** 63n))).toEqual(sent(timeNs(2n ** 63n - 1n)));
    expect(sent(timeNs(-(2n ** 70n)))).toEqual(sent(timeNs(-(2n ** 63n) + 1n)));
  });

  test('every time arrives as it was', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 63n) + 1n, max: 2n ** 63n - 1n }), (ns) => {
        const { sec, nsec } = sent(timeNs(ns));
        expect(nsec).toBeLessThan(1_000_000_000);
        expect(sec * 1_000_000_000n + BigInt(nsec)).toBe(ns);
      }),
    );
  });
});

describe('directory entries', () => {
  const entry = (nameBytes: number) => ({
    ino: 9,
    name: 'x'.repeat(nameBytes),
    type: 0o100000,
    nextOffset: 3,
  });

  test('have the fields of the C structure, and NULs up to the next 8 bytes', () => {
    const named = { ino: 2 ** 40 + 9, name: 'a\xff\n', type: 0o040000, nextOffset: 2 ** 33 };
    const bytes = reply((writer) => writer.directoryEntry(named, undefined, VALIDITY, 4096));
    const fields = { ino: 2n ** 40n + 9n, off: 2n ** 33n, namelen: 3n, type: 4n };
    expect(layout.decode('fuse_dirent', bytes, OUT)).toEqual(fields);
    expect(bytes.subarray(OUT + layout.sizeOf('fuse_dirent'))).toEqual(
      Buffer.from('a\xff\n\0\0\0\0\0', 'latin1'),
    );
  });

  test('with attributes have these before', () => {
    const bytes = reply((writer) => writer.directoryEntry(entry(1), ATTRIBUTES, VALIDITY, 4096));
    const at = OUT + layout.offsetOf('fuse_direntplus', 'dirent');
    expect(layout.decode('fuse_entry_out', bytes, OUT)).toMatchObject({ nodeid: 2n ** 53n - 2n });
    expect(layout.decode('fuse_dirent', bytes, at)).toEqual({ ino: 9n, off: 3n, namelen: 1n, type: 8n });
  });

  test('`.` and `..` carry node 0 in a reply with attributes: no lookup', () => {
    const bytes = reply((writer) => writer.directoryEntry(entry(1), 'none', VALIDITY, 4096));
    expect(layout.decode('fuse_entry_out', bytes, OUT)).toMatchObject({ nodeid: 0n, entry_valid: 0n });
  });

  test('of every length are as long as C has them, fill a buffer exactly, and not a byte more', () => {
    expect(layout.entryBytes.size).toBe(255);
    for (const [nameBytes, { plain, plus }] of layout.entryBytes) {
      for (const [attributes, bytes] of [
        [undefined, plain],
        [ATTRIBUTES, plus],
        ['none', plus],
      ] as const) {
        const writer = new ReplyWriter(1024);
        writer.begin(1, 0);
        expect(writer.directoryEntry(entry(nameBytes), attributes, VALIDITY, bytes - 1)).toBe(false);
        expect(writer.length).toBe(OUT);
        expect(writer.directoryEntry(entry(nameBytes), attributes, VALIDITY, bytes)).toBe(true);
        expect(writer.length).toBe(OUT + bytes);
        expect(writer.directoryEntry(entry(1), undefined, VALIDITY, bytes)).toBe(false);
        expect(writer.length).toBe(OUT + bytes);
      }
    }
  });

  test('fill a 4 KiB buffer with 128 names of 8 bytes', () => {
    const writer = new ReplyWriter(8192);
    writer.begin(1, 0);
    let count = 0;
    while (writer.directoryEntry(entry(8), undefined, VALIDITY, 4096)) count++;
    expect([count, writer.length]).toEqual([128, OUT + 4096]);
  });
});
